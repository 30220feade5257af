"""A local run, as the source of what a stack is filled with: keys, clients, servers, orders."""

import functools
import json
import subprocess
import tempfile
from pathlib import Path

import boto3

from template import REGION, TARGET

NORTHSTAR = TARGET / "debug/northstar"
LOCAL_PREFIX = "northstar/clients/"


class Home:
    """It ends with `close`, or with this process."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="northstar-home-")
        self.process = subprocess.Popen(
            [NORTHSTAR, "serve", "--port", "0", "--home", self.folder.name, "--stop-with-stdin", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for line in self.process.stdout:
            if line.startswith("listening on "):
                break
        else:
            raise RuntimeError("northstar serve ended before it listened")
        self.demo = json.loads(self.file("demo.json"))

    def file(self, name):
        return Path(self.folder.name, name).read_text()

    def command(self, *arguments):
        """Runs a command that prints JSON."""
        done = subprocess.run([NORTHSTAR, *arguments, "--home", self.folder.name, "--json"], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"northstar {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout)

    def items(self, table, limit=100):
        """The first items of a table of the local run."""
        dynamodb = boto3.client(
            "dynamodb", endpoint_url=self.file("endpoint").strip(), region_name=REGION,
            aws_access_key_id="local", aws_secret_access_key="local",
        )
        return dynamodb.scan(TableName=f"northstar-{table}", Limit=limit)["Items"]

    def secret(self, name):
        """The current value of a secret."""
        versions = json.loads(self.file("secrets.json"))[name].values()
        return next(version["value"] for version in versions if "AWSCURRENT" in version["stages"])

    def fill(self, stack):
        """Copies tables and secrets into a stack; the clients' secrets come under the stack's prefix, and servers have limits."""
        dynamodb, secrets = stack.ministack.client("dynamodb"), stack.ministack.client("secretsmanager")
        prefix, customer = stack.outputs["ClientSecretPrefix"], self.customer
        for table in ("config", "orders", "loyalty"):
            # Order 1001 and its customer are somewhere in the middle.
            for item in self.items(table, limit=2000):
                if "secret_id" in item and "S" in item["secret_id"]:
                    local = item["secret_id"]["S"]
                    item["secret_id"]["S"] = local.replace(LOCAL_PREFIX, prefix)
                    secrets.create_secret(Name=item["secret_id"]["S"], SecretString=self.secret(local))
                if "definition" in item:
                    limits = {"limits": {"per_client": "6000/min"}}
                    item["definition"]["S"] = json.dumps(json.loads(item["definition"]["S"]) | limits)
                if table == "config" or item.get("order_id", {}).get("S") == "1001" or item["customer_id"]["S"] == customer:
                    dynamodb.put_item(TableName=stack.outputs[f"{table.capitalize()}TableName"], Item=item)
        secrets.put_secret_value(SecretId=stack.outputs["SigningKeysSecretName"], SecretString=self.secret("northstar/signing-keys"))

    @functools.cached_property
    def customer(self):
        """The customer of order 1001."""
        return next(item["customer_id"]["S"] for item in self.items("orders", 2000) if item["order_id"]["S"] == "1001")

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()
        self.folder.cleanup()
