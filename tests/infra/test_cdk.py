"""The CDK construct makes the stack of the template, and its properties reach the parameters."""

import copy
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from template import FUNCTIONS, REPOSITORY, differences, load, logical_id

CDK = REPOSITORY / "infra/cdk"


def normal(template):
    """The same template in one spelling: `Fn::GetAtt` as a list, `DependsOn` as a sorted one."""
    if isinstance(template, list):
        return [normal(each) for each in template]
    if not isinstance(template, dict):
        return template
    result = {}
    for key, value in template.items():
        if key == "Fn::GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        if key == "DependsOn":
            value = sorted(value if isinstance(value, list) else [value])
        result[key] = normal(value)
    return result


def without_code(template):
    """Code is a folder in the one and an asset in the other."""
    template = copy.deepcopy(template)
    for function in FUNCTIONS:
        del template["Resources"][logical_id(function)]["Properties"]["CodeUri"]
    return template


def without_cdks_own(template):
    """What CDK puts into every stack: a check of the account's bootstrap version."""
    template = copy.deepcopy(template)
    del template["Parameters"]["BootstrapVersion"]
    del template["Rules"]["CheckBootstrapVersion"]
    return template


class TheConstruct(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="northstar-cdk-")
        cls.addClassCleanup(cls.folder.cleanup)
        for function in FUNCTIONS:
            path = Path(cls.folder.name, "bootstraps", function)
            path.mkdir(parents=True)
            (path / "bootstrap").write_text(f"not the real {function}")
        subprocess.run([CDK / "node_modules/.bin/tsc"], cwd=CDK, check=True)
        cls.template = load()
        cls.synthesised = cls.synth()

    @classmethod
    def try_synth(cls, **context):
        context = {"bootstraps": f"{cls.folder.name}/bootstraps", **context}
        arguments = [f"--context={key}={value}" for key, value in context.items()]
        output = tempfile.mkdtemp(dir=cls.folder.name)
        environment = {**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "1"}
        command = [CDK / "node_modules/.bin/cdk", "synth", "--quiet", "--no-notices", "--no-version-reporting", "--output", output, *arguments]
        done = subprocess.run(command, cwd=CDK, env=environment, capture_output=True, text=True)
        return done, Path(output)

    @classmethod
    def synth(cls, **context):
        done, output = cls.try_synth(**context)
        if done.returncode != 0:
            raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
        return json.loads((output / "Northstar.template.json").read_text())

    def compare(self, template, synthesised):
        return differences(normal(without_code(template)), normal(without_code(without_cdks_own(synthesised))))

    def test_it_synthesises_the_template(self):
        self.assertEqual(self.compare(self.template, self.synthesised), [])

    def test_code_is_an_asset_of_each_function(self):
        keys = set()
        for function in FUNCTIONS:
            code = self.synthesised["Resources"][logical_id(function)]["Properties"]["CodeUri"]
            self.assertEqual(code.keys(), {"Bucket", "Key"})
            keys.add(code["Key"])
        self.assertEqual(len(keys), len(FUNCTIONS))

    def test_a_difference_is_found(self):
        for path, value in [("McpFunction/Properties/MemorySize", 128), ("Stage/DependsOn", []), ("TokenIntegration/Properties/IntegrationUri", {"Ref": "TokenFunction"})]:
            with self.subTest(path):
                changed = copy.deepcopy(self.synthesised)
                name, *inner, last = path.split("/")
                target = changed["Resources"][name]
                for key in inner:
                    target = target[key]
                target[last] = value
                self.assertNotEqual(self.compare(self.template, changed), [])

    def test_properties_become_the_parameters(self):
        synthesised = self.synth(domainName="mcp.example.com", hostedZoneId="Z0123456789", architecture="x86_64")
        self.assertEqual(
            self.compare(self.template, synthesised),
            [
                "/Parameters/Architecture/Default: 'arm64' and 'x86_64'",
                "/Parameters/DomainName/Default: '' and 'mcp.example.com'",
                "/Parameters/HostedZoneId/Default: '' and 'Z0123456789'",
            ],
        )

    def test_lists_become_parameters_with_commas(self):
        tables = ",".join(f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}" for name in ("warranties", "readings"))
        policy = "arn:aws:iam::000000000000:policy/lookups"
        synthesised = self.synth(lookupTables=tables, lookupIndexes=f"{tables}/index/by_site", lookupPolicyArn=policy)
        self.assertEqual(
            self.compare(self.template, synthesised),
            [
                f"/Parameters/LookupIndexes/Default: '' and '{tables}/index/by_site'",
                f"/Parameters/LookupPolicyArn/Default: '' and '{policy}'",
                f"/Parameters/LookupTables/Default: '' and '{tables}'",
            ],
        )

    def test_without_bootstraps_it_says_what_to_do(self):
        done, _ = self.try_synth(bootstraps=f"{self.folder.name}/nowhere")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("make build", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
