"""What can be told of the template without deploying it, and that each check finds what it is there for."""

import copy
import json
import os
import re
import subprocess
import tempfile
import unittest

from iam import platform_findings
from template import FUNCTIONS, REGION, REPOSITORY, TEMPLATE, load, logical_id, of_type, translate

TOOLS = REPOSITORY / ".tools/sam/bin"
SERVING = ["token", "mcp", "connect"]
# Those that challenge a client.
CHALLENGING = ["token", "mcp"]


def run(program, *arguments):
    """Output and status of a tool that is kept off the network and out of every account."""
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": REGION}
    done = subprocess.run([TOOLS / program, *arguments], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def linted(template):
    """What cfn-lint says of a template; the file stands where its CodeUri leads somewhere."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", dir=TEMPLATE.parent) as file:
        json.dump(template, file)
        file.flush()
        return run("cfn-lint", file.name)


# --- Checks: each takes the translated template and returns findings ---


def routes(template):
    """The local run and the stack have the same routes, to the same functions."""
    text = (REPOSITORY / "crates/local/src/serve.rs").read_text()
    local = {(key, function.lower()) for key, function in re.findall(r'\("(ANY [^"]+)", Function::(\w+)\)', text)}
    targets = {f"integrations/${{{logical_id(function, 'Integration')}}}": function for function in SERVING}
    stack = {
        (each["Properties"]["RouteKey"], targets[each["Properties"]["Target"]["Fn::Sub"]])
        for each in of_type(template, "AWS::ApiGatewayV2::Route").values()
    }
    return [f"{key} → {function}" for key, function in local ^ stack] if local else ["no route found in serve.rs"]


def integrations(template):
    """Requests go to the alias, and the API is allowed to invoke it."""
    found = []
    for function in SERVING:
        alias = {"Ref": logical_id(function) + "Aliaslive"}
        integration = template["Resources"][logical_id(function, "Integration")]["Properties"]
        permission = template["Resources"][logical_id(function, "Permission")]["Properties"]
        if integration["IntegrationUri"] != alias or integration["PayloadFormatVersion"] != "2.0":
            found.append(f"{function}: not the alias, or not payload format 2.0")
        if permission["FunctionName"] != alias or permission["Principal"] != "apigateway.amazonaws.com":
            found.append(f"{function}: the API may not invoke the alias")
        if "${HttpApi}" not in permission["SourceArn"]["Fn::Sub"]:
            found.append(f"{function}: any API may invoke it")
        if function not in CHALLENGING:
            if "ResponseParameters" in integration:
                found.append(f"{function}: maps a challenge that it never sends")
            continue
        condition, mapped, otherwise = integration["ResponseParameters"]["Fn::If"]
        header = {"Destination": "overwrite:header.WWW-Authenticate", "Source": "$response.header.northstar-challenge"}
        if condition != "MapsChallengeHeader" or otherwise != {"Ref": "AWS::NoValue"}:
            found.append(f"{function}: the mapping cannot be left out")
        if mapped != {status: {"ResponseParameters": [header]} for status in ("401", "403")}:
            found.append(f"{function}: the challenge is not mapped on 401 and 403")
    return found


def throttling(template):
    settings = template["Resources"]["Stage"]["Properties"]
    found = []
    wanted = {"ThrottlingRateLimit": {"Ref": "RateLimit"}, "ThrottlingBurstLimit": {"Ref": "BurstLimit"}}
    if settings["DefaultRouteSettings"] != wanted:
        found.append("routes without a setting of their own are not throttled")
    tighter = {"ThrottlingRateLimit": {"Ref": "TokenRateLimit"}, "ThrottlingBurstLimit": {"Ref": "TokenBurstLimit"}}
    if settings["RouteSettings"] != {f"ANY /{path}": tighter for path in ("token", "revoke", "introspect", "connect/{upstream}")}:
        found.append("secrets can be guessed as fast as tools can be called")
    return found


def functions(template):
    found = []
    for function in FUNCTIONS:
        properties = template["Resources"][logical_id(function)]["Properties"]
        wanted = {
            "Runtime": "provided.al2023",
            "MemorySize": 256,
            "Architectures": [{"Ref": "Architecture"}],
            "TracingConfig": {"Mode": "Active"},
            "Role": {"Fn::GetAtt": [logical_id(function, "Role"), "Arn"]},
            "LoggingConfig": {
                "LogGroup": {"Ref": logical_id(function, "Logs")},
                "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN",
            },
        }
        found += [f"{function}: {name} is {properties.get(name)}" for name in wanted if properties.get(name) != wanted[name]]
        if template["Resources"][logical_id(function, "Logs")]["Properties"].get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            found.append(f"{function}: log lines are kept for ever")
    defaults = {name: each.get("Default") for name, each in template["Parameters"].items()}
    if [defaults[name] for name in ("Architecture", "TokenConcurrency", "McpConcurrency", "ConnectConcurrency")] != ["arm64", -1, -1, -1]:
        found.append("arm64 without reserved concurrency is not the default")
    return found


def deployments(template):
    """A canary, rolled back by the alarms of its own function."""
    found = []
    for function in SERVING:
        group = template["Resources"][logical_id(function) + "DeploymentGroup"]["Properties"]
        alarms = {each["Name"]["Ref"] for each in group["AlarmConfiguration"]["Alarms"]}
        if alarms != {logical_id(function, "ErrorsAlarm"), logical_id(function, "FailuresAlarm")}:
            found.append(f"{function}: watches {sorted(alarms)}")
        if "DEPLOYMENT_STOP_ON_ALARM" not in group["AutoRollbackConfiguration"]["Events"] or not group["AlarmConfiguration"]["Enabled"]:
            found.append(f"{function}: an alarm does not roll back")
        if "Canary10Percent5Minutes" not in json.dumps(group["DeploymentConfigName"]):
            found.append(f"{function}: {group['DeploymentConfigName']}")
        update = template["Resources"][logical_id(function) + "Aliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        if update["DeploymentGroupName"] != {"Ref": logical_id(function) + "DeploymentGroup"}:
            found.append(f"{function}: the alias moves at once")
    return found


def data(template):
    """Nothing that is worth keeping can be lost by a command."""
    found = []
    kinds = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::KMS::Key", "AWS::KMS::Alias")
    for name, each in [named for kind in kinds for named in of_type(template, kind).items()]:
        if (each.get("DeletionPolicy"), each.get("UpdateReplacePolicy")) != ("Retain", "Retain"):
            found.append(f"{name}: goes with the stack")
    for name, each in of_type(template, "AWS::DynamoDB::Table").items():
        properties = each["Properties"]
        if properties["BillingMode"] != "PAY_PER_REQUEST":
            found.append(f"{name}: not on demand")
        if name == "StateTable":
            if properties.get("TimeToLiveSpecification") != {"AttributeName": "expires_at", "Enabled": True}:
                found.append(f"{name}: nothing in it expires")
        elif not properties.get("DeletionProtectionEnabled"):
            found.append(f"{name}: can be deleted")
        elif properties.get("PointInTimeRecoverySpecification") != {"PointInTimeRecoveryEnabled": True}:
            found.append(f"{name}: cannot be restored")
    for name, each in of_type(template, "AWS::KMS::Key").items():
        if (each["Properties"].get("EnableKeyRotation"), each["Properties"].get("PendingWindowInDays")) != (True, 30):
            found.append(f"{name}: not rotated, or gone before anybody notices")
    return found


def rotation(template):
    """A schedule for the signing keys alone; a client secret is rotated when its client can be told."""
    schedules = of_type(template, "AWS::SecretsManager::RotationSchedule")
    if list(schedules) != ["SigningKeysRotation"]:
        return [f"schedules: {sorted(schedules)}"]
    found = []
    schedule = schedules["SigningKeysRotation"]
    properties = schedule["Properties"]
    if properties["SecretId"] != {"Fn::If": ["MakeSigningKeys", {"Ref": "SigningKeys"}, {"Ref": "SigningKeysSecretName"}]}:
        found.append("another secret than the signing keys")
    if properties["RotationLambdaARN"] != {"Fn::GetAtt": ["RotateFunction", "Arn"]}:
        found.append("another function than rotate")
    # The secret is empty until `northstar init`.
    if properties.get("RotateImmediatelyOnUpdate") is not False:
        found.append("a rotation begins before there is a key")
    if "RotatePermission" not in json.dumps(schedule.get("DependsOn")):
        found.append("the schedule is made before Secrets Manager may invoke the function")
    permission = template["Resources"]["RotatePermission"]["Properties"]
    if permission["Principal"] != "secretsmanager.amazonaws.com" or permission.get("SourceAccount") != {"Ref": "AWS::AccountId"}:
        found.append("others than this account's Secrets Manager may invoke rotate")
    return found


def only_if(condition, value):
    return {"Fn::If": [condition, value, {"Ref": "AWS::NoValue"}]}


def statements(policy):
    """Those that depend on a parameter among them."""
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in policy["Statement"]]


def roles(template):
    """One role a function, for Lambda alone, with one policy written out; nothing on everything but traces. Only mcp may be
    given a policy of the operator's beside it."""
    found = []
    for function in FUNCTIONS:
        properties = template["Resources"][logical_id(function, "Role")]["Properties"]
        attached = only_if("HasLookupPolicy", [{"Ref": "LookupPolicyArn"}]) if function == "mcp" else None
        if properties.get("ManagedPolicyArns") != attached or len(properties["Policies"]) != 1:
            found.append(f"{function}: policies from elsewhere")
        if properties.keys() - {"AssumeRolePolicyDocument", "Policies", "ManagedPolicyArns"}:
            found.append(f"{function}: {sorted(properties)}")
        principals = [each["Principal"] for each in properties["AssumeRolePolicyDocument"]["Statement"]]
        if principals != [{"Service": "lambda.amazonaws.com"}]:
            found.append(f"{function}: assumed by {principals}")
        policy = properties["Policies"][0]["PolicyDocument"]
        for statement in statements(policy):
            text = json.dumps(statement["Resource"])
            table = re.search(r"\b(Config|State)Table\b", text)
            if table and "dynamodb:LeadingKeys" not in json.dumps(statement.get("Condition")):
                found.append(f"{function}: {statement['Sid']} reaches every item of {table.group()}")
            if "kms:" in json.dumps(statement["Action"]) and "kms:EncryptionContext:connection" not in json.dumps(statement.get("Condition")):
                found.append(f"{function}: {statement['Sid']} opens what is bound to nothing")
            if "*" in json.dumps(statement["Action"]):
                found.append(f"{function}: {statement['Sid']} allows {statement['Action']}")
            if statement["Resource"] == "*" and statement["Sid"] != "Traces":
                found.append(f"{function}: {statement['Sid']} on everything")
    return found


def lookups(template):
    """Tables of the operator's own are read only where a parameter names them, by GetItem and Query, one action each."""
    found = []
    for name, action, condition in [("LookupTables", "dynamodb:GetItem", "HasLookupTables"), ("LookupIndexes", "dynamodb:Query", "HasLookupIndexes")]:
        wanted = only_if(condition, {"Sid": name, "Effect": "Allow", "Action": action, "Resource": {"Ref": name}})
        policy = template["Resources"]["McpRole"]["Properties"]["Policies"][0]["PolicyDocument"]
        if policy["Statement"].count(wanted) != 1:
            found.append(f"{name}: not what the role of mcp is given {condition}")
        if template["Conditions"][condition] != {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": name}]}, ""]}]}:
            found.append(f"{condition}: {template['Conditions'][condition]}")
        parameter = template["Parameters"][name]
        if (parameter["Type"], parameter["Default"]) != ("CommaDelimitedList", ""):
            found.append(f"{name}: no list that may be empty")
        if re.search(parameter["AllowedPattern"], "arn:aws:dynamodb:us-east-1:000000000000:table/*"):
            found.append(f"{name}: every table at once")
    return found


def parameter_groups(template):
    """The console shows every parameter under a heading."""
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    return sorted(template["Parameters"].keys() ^ {name for group in groups for name in group["Parameters"]})


def alarms(template):
    found = []
    topic = [{"Ref": "AlarmTopic"}]
    every = of_type(template, "AWS::CloudWatch::Alarm")
    for name, each in every.items():
        properties = each["Properties"]
        if properties.get("AlarmActions") != topic or properties.get("TreatMissingData") != "notBreaching":
            found.append(f"{name}: tells nobody, or of silence")
        if not properties.get("AlarmDescription"):
            found.append(f"{name}: does not say what to do")
    metrics = {each["Properties"]["MetricTransformations"][0]["MetricName"] for each in of_type(template, "AWS::Logs::MetricFilter").values()}
    used = {each["Properties"]["MetricName"] for each in every.values() if each["Properties"]["Namespace"] != "AWS/Lambda"}
    found += [f"an alarm on {name}, which nothing makes" for name in used - metrics]
    wanted = {("AWS/Lambda", metric, function) for metric in ("Errors", "Throttles") for function in SERVING}
    # How long connect takes is up to the authorization servers of others.
    wanted |= {("AWS/Lambda", "Errors", "rotate"), ("AWS/Lambda", "Duration", "token"), ("AWS/Lambda", "Duration", "mcp")}
    wanted |= {("own", metric, None) for metric in ("TokenFailures", "McpFailures", "ConnectFailures", "WrongSecrets", "StaleValues", "LimiterUnavailable", "ConnectionsNeedAttention", "UpstreamToolsChanged", "RotationsRefused")}
    had = set()
    for each in every.values():
        properties = each["Properties"]
        named = [d["Value"]["Ref"] for d in properties.get("Dimensions", []) if d["Name"] == "FunctionName"]
        function = named[0].removesuffix("Function").lower() if named else None
        had.add(("AWS/Lambda" if function else "own", properties["MetricName"], function))
    return found + [f"no alarm on {metric} of {function or 'the lines'}" for _, metric, function in sorted(wanted - had, key=str)]


def metric_filters(template):
    """They look for fields that a line has and for codes that docs/errors.md explains."""
    lines = (REPOSITORY / "crates/request-log/src/lib.rs").read_text()
    fields = set(re.findall(r"^    (?:pub )?(\w+): ", lines, re.MULTILINE)) | set(re.findall(r'rename = "(\w+)"', lines))
    codes = set(re.findall(r"^\| `(\w+)`", (REPOSITORY / "docs/errors.md").read_text(), re.MULTILINE))
    found = []
    for name, each in of_type(template, "AWS::Logs::MetricFilter").items():
        pattern = each["Properties"]["FilterPattern"]
        for field, value in terms(pattern):
            if field not in fields:
                found.append(f"{name}: no line has {field}")
            if field == "outcome" and value not in codes:
                found.append(f"{name}: docs/errors.md has no {value}")
        transformation, = each["Properties"]["MetricTransformations"]
        used = {part.split("[")[0] for part in re.findall(r"\$\.([\w\[\]]+)", json.dumps(transformation))}
        found += [f"{name}: no line has {part}" for part in sorted(used - fields)]
    return found


def terms(pattern):
    """Field and value of each comparison in a filter pattern."""
    inner, = re.findall(r"^\{ (.+) \}$", pattern)
    for term in re.split(r" (?:&&|\|\|) ", inner):
        (field, value), = re.findall(r'^\$\.(\w+)(?:\[[01]\])? (?:!?= "([\w*]+)"|>= 0)$', term)
        yield field, value


def failures(template):
    """What rolls a deployment back is every line at ERROR, and nothing else; consents that are missing, and tools of upstreams
    that have changed, have alarms that watch no deployment."""
    wanted = {logical_id(function, "Failures"): (logical_id(function, "Logs"), '{ $.level = "ERROR" }') for function in SERVING}
    wanted["ConnectionsNeedAttention"] = ("McpLogs", '{ $.outcome = "connection_needs_attention" || $.outcome = "connection_not_connected" }')
    wanted["UpstreamToolsChanged"] = ("McpLogs", '{ $.outcome = "upstream_tool_changed" }')
    known = {name: template["Resources"][name]["Properties"] for name in wanted}
    return [
        f"{name}: counts {known[name]['FilterPattern']} in {known[name]['LogGroupName']['Ref']}"
        for name in wanted if (known[name]["LogGroupName"]["Ref"], known[name]["FilterPattern"]) != wanted[name]
    ]


def dashboard(template):
    """Valid JSON, with every alarm and the three questions."""
    body, _ = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    found = [f"{name} is not on it" for name in of_type(template, "AWS::CloudWatch::Alarm") if f"${{{name}.Arn}}" not in body]
    try:
        widgets = json.loads(re.sub(r"\$\{[\w.:]+\}", "x", body))["widgets"]
    except json.JSONDecodeError as error:
        return [f"no JSON: {error}"]
    text = " ".join(widget["properties"].get("markdown", "") for widget in widgets)
    return found + [f"does not ask {q}" for q in ("Is it well?", "Who calls?", "What does it cost?") if q not in text]


def custom_domain(template):
    resources = template["Resources"]
    found = []
    if resources["HttpApi"]["Properties"]["DisableExecuteApiEndpoint"] != {"Fn::If": ["HasDomain", True, False]}:
        found.append("the API answers by two names")
    conditions = {name: resources[name].get("Condition") for name in ("Certificate", "Domain", "DomainMapping", "DomainRecord")}
    if conditions != {"Certificate": "MakeCertificate", "Domain": "HasDomain", "DomainMapping": "HasDomain", "DomainRecord": "MakeAliasRecord"}:
        found.append(f"made when they should not be: {conditions}")
    if resources["Domain"]["Properties"]["DomainNameConfigurations"][0]["SecurityPolicy"] != "TLS_1_2":
        found.append("old TLS")
    return found


# What `northstar --stack NAME` and infra/stack.py read.
OUTPUTS = {
    "PublicUrl", "Region", "ApiId", "ConfigTableName", "StateTableName", "OrdersTableName", "LoyaltyTableName",
    "SigningKeysSecretName", "StateKeySecretName", "ClientSecretPrefix", "ConnectionSecretPrefix", "GrantKeyArn", "TokenFunctionName", "McpFunctionName", "ConnectFunctionName",
    "RotateFunctionArn", "TokenLogGroupName", "McpLogGroupName", "ConnectLogGroupName", "RotateLogGroupName", "AlarmTopicArn", "DashboardUrl",
}


def outputs(template):
    return sorted(OUTPUTS - template["Outputs"].keys())


CHECKS = [routes, integrations, throttling, functions, deployments, data, rotation, roles, lookups, parameter_groups, alarms, metric_filters, failures, dashboard, custom_domain, outputs]


def put(path, value):
    """A change to the source template, at resource/key/key…"""

    def change(template):
        *keys, last = path.split("/")
        target = template["Resources"]
        for key in keys:
            target = target[int(key) if isinstance(target, list) else key]
        if value is None:
            del target[int(last) if isinstance(target, list) else last]
        else:
            target[int(last) if isinstance(target, list) else last] = value

    return change


def without_output(template):
    del template["Outputs"]["ClientSecretPrefix"]


def every_table(template):
    template["Parameters"]["LookupIndexes"]["AllowedPattern"] = "^arn:"


def another_condition(template):
    template["Conditions"]["HasLookupTables"] = {"Fn::Equals": ["", ""]}


def without_heading(template):
    del template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"][2]


def another_default(template):
    template["Parameters"]["McpConcurrency"]["Default"] = 10


# For each check, changes that it has to find.
PLANTED = {
    routes: [put("ReadyRoute", None), put("JwksRoute/Properties/Target", {"Fn::Sub": "integrations/${McpIntegration}"})],
    integrations: [
        put("McpIntegration/Properties/IntegrationUri", {"Fn::GetAtt": ["McpFunction", "Arn"]}),
        put("McpIntegration/Properties/PayloadFormatVersion", "1.0"),
        put("TokenPermission/Properties/SourceArn", {"Fn::Sub": "arn:aws:execute-api:*:*:*"}),
        put("TokenIntegration/Properties/ResponseParameters/Fn::If/1/403", None),
        put("ConnectIntegration/Properties/ResponseParameters", {}),
    ],
    throttling: [put("Stage/Properties/DefaultRouteSettings/ThrottlingRateLimit", 10_000), put("Stage/Properties/RouteSettings", {})],
    functions: [
        put("McpFunction/Properties/LoggingConfig/SystemLogLevel", "INFO"),
        put("RotateFunction/Properties/Role", {"Fn::GetAtt": ["TokenRole", "Arn"]}),
        put("TokenLogs/Properties/RetentionInDays", None),
        another_default,
    ],
    deployments: [
        put("McpFunction/Properties/DeploymentPreference/Type", "AllAtOnce"),
        put("McpFunction/Properties/DeploymentPreference/Alarms/1", None),
    ],
    data: [
        put("ConfigTable/DeletionPolicy", "Delete"),
        put("ConfigTable/Properties/DeletionProtectionEnabled", False),
        put("OrdersTable/Properties/PointInTimeRecoverySpecification", None),
        put("StateTable/Properties/TimeToLiveSpecification", None),
        put("StateKey/UpdateReplacePolicy", None),
        put("GrantKey/DeletionPolicy", "Delete"),
        put("GrantKey/Properties/EnableKeyRotation", None),
    ],
    rotation: [
        put("SigningKeysRotation/Properties/SecretId", {"Ref": "StateKey"}),
        put("SigningKeysRotation/Properties/RotateImmediatelyOnUpdate", None),
        put("SigningKeysRotation/DependsOn", None),
        put("RotatePermission/Properties/SourceAccount", None),
    ],
    roles: [
        put("TokenRole/Properties/Policies/0/PolicyDocument/Statement/2/Condition", None),
        put("McpRole/Properties/Policies/0/PolicyDocument/Statement/3/Action", "dynamodb:*"),
        put("McpRole/Properties/Policies/0/PolicyDocument/Statement/5/Resource", "*"),
        put("RotateRole/Properties/ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
        put("McpRole/Properties/ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
        put("McpRole/Properties/Policies/0/PolicyDocument/Statement/14/Condition", None),
        put("ConnectRole/Properties/Policies/0/PolicyDocument/Statement/6/Condition", None),
        put("ConnectRole/Properties/Policies/0/PolicyDocument/Statement/3/Condition", None),
        put("McpRole/Properties/Path", "/"),
        put("McpRole/Properties/Policies/0/PolicyDocument/Statement/7/Fn::If/1/Action", "dynamodb:*"),
    ],
    lookups: [
        put("McpRole/Properties/Policies/0/PolicyDocument/Statement/7/Fn::If/1/Action", "dynamodb:Scan"),
        put("McpRole/Properties/Policies/0/PolicyDocument/Statement/8", None),
        every_table,
        another_condition,
    ],
    parameter_groups: [without_heading],
    alarms: [
        put("StaleValuesAlarm/Properties/MetricName", "Stale"),
        put("McpLatencyAlarm/Properties/AlarmActions", None),
        put("RotationsRefusedAlarm", None),
    ],
    metric_filters: [
        put("ToolCalls/Properties/FilterPattern", '{ $.tool_name = "*" }'),
        put("WrongSecrets/Properties/FilterPattern", '{ $.outcome = "wrong_secret" }'),
        put("OrgRequests/Properties/MetricTransformations/0/MetricValue", "$.requests[0]"),
    ],
    failures: [
        put("McpFailures/Properties/FilterPattern", '{ $.level != "INFO" }'),
        put("ConnectFailures/Properties/LogGroupName", {"Ref": "McpLogs"}),
        put("TokenFailures/Properties/FilterPattern", '{ $.level = "ERROR" && $.outcome != "stale_value" }'),
        put("ConnectionsNeedAttention/Properties/FilterPattern", '{ $.outcome = "connection_needs_attention" }'),
    ],
    dashboard: [put("Dashboard/Properties/DashboardBody/Fn::Sub/0", '{"widgets": [}')],
    custom_domain: [put("HttpApi/Properties/DisableExecuteApiEndpoint", False), put("Domain/Properties/DomainNameConfigurations/0/SecurityPolicy", "TLS_1_0")],
    outputs: [without_output],
}


class TheTemplate(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.source = load()
        cls.translated = translate(cls.source)

    def test_sam_validates_it(self):
        status, output = run("sam", "validate", "--lint", "--template", TEMPLATE)
        self.assertEqual(status, 0, output)

    def test_cfn_lint_finds_nothing_as_it_is_written_and_as_it_is_translated(self):
        self.assertEqual(run("cfn-lint", TEMPLATE), (0, ""))
        self.assertEqual(linted(self.translated), (0, ""))

    def test_cfn_lint_finds_what_is_wrong(self):
        changes = [
            put("OrdersTable/Properties/GlobalSecondaryIndexes/0/IndexName", "g1"),
            put("McpRoute/Properties/Target", {"Fn::Sub": "integrations/${NoIntegration}"}),
        ]
        for change in changes:
            for template in (self.source, self.translated):
                broken = copy.deepcopy(template)
                change(broken)
                status, output = linted(broken)
                self.assertNotEqual((status, output), (0, ""))

    def test_it_says_what_it_should(self):
        for check in CHECKS:
            with self.subTest(check.__name__):
                self.assertEqual(check(self.translated), [])

    def test_every_check_finds_what_it_is_there_for(self):
        self.assertEqual(PLANTED.keys(), set(CHECKS))
        for check, changes in PLANTED.items():
            clean = set(check(self.translated))
            for number, change in enumerate(changes):
                with self.subTest(check.__name__, number=number):
                    broken = copy.deepcopy(self.source)
                    change(broken)
                    self.assertTrue(set(check(translate(broken))) - clean)

    def test_roles_let_lambda_write_the_functions_own_log_and_no_other(self):
        for function in FUNCTIONS:
            policy = self.translated["Resources"][logical_id(function, "Role")]["Properties"]["Policies"][0]["PolicyDocument"]
            granted = [atom for atom in atoms_with_names(policy)]
            self.assertEqual(platform_findings({"Statement": granted}, f"log group {logical_id(function, 'Logs')}"), [])


def atoms_with_names(policy):
    """The statements of the platform, with the log group by its logical id."""
    for statement in statements(policy):
        if statement["Sid"] in ("OwnLog", "Traces"):
            resource = statement["Resource"]
            name = resource if resource == "*" else f"log group {resource['Fn::GetAtt'][0]}"
            yield {**statement, "Resource": name}


if __name__ == "__main__":
    unittest.main()
