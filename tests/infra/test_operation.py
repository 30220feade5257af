"""What `make smoke` and `make destroy` do with a stack, and what the first deployment keeps of its answers."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from home import Home
from ministack import Ministack, Stack
from template import REPOSITORY, load, translate

sys.path.insert(0, str(REPOSITORY / "infra"))
import stack as operation  # noqa: E402


class Settings(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="northstar-settings-")
        self.addCleanup(folder.cleanup)
        patch = mock.patch.object(operation, "SETTINGS", Path(folder.name, "samconfig.toml"))
        patch.start()
        self.addCleanup(patch.stop)

    def test_they_are_found_again_by_the_name_of_the_stack(self):
        kept = {"Architecture": "x86_64", "DomainName": "mcp.example.com", "AlarmEmail": 'a"b@example.com'}
        operation.SETTINGS.write_text(operation.HEAD + operation.samconfig("one", "eu-central-1", kept) + "\n" + operation.samconfig("two", "us-east-1", {"OrdersTableName": ""}))
        self.assertEqual(operation.settings_of("one"), {"region": "eu-central-1", "parameters": kept})
        self.assertEqual(operation.settings_of("two"), {"region": "us-east-1", "parameters": {}})
        self.assertIsNone(operation.settings_of("three"))

    def test_those_of_a_stack_that_is_gone_go(self):
        operation.SETTINGS.write_text(operation.HEAD + operation.samconfig("one", "us-east-1", {}) + "\n" + operation.samconfig("two", "us-east-1", {"DomainName": "b.example.com"}))
        operation.forget_settings("one")
        self.assertIsNone(operation.settings_of("one"))
        self.assertEqual(operation.settings_of("two")["parameters"], {"DomainName": "b.example.com"})


class DeployedStack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        cls.ministack = Ministack()
        cls.addClassCleanup(cls.ministack.close)
        cls.template = translate(load())

    def setUp(self):
        silent = contextlib.redirect_stdout(io.StringIO())
        silent.__enter__()
        self.addCleanup(silent.__exit__, None, None, None)

    def deployed(self, name):
        return Stack(self.ministack, name, self.template, {"Architecture": "x86_64"})

    def test_smoke_passes_where_all_is_well_and_fails_where_it_is_not(self):
        empty, stack = self.deployed("empty"), self.deployed("smoked")
        found = {what: result for result, what, _ in operation.smoke(empty.front.url, empty.outputs["PublicUrl"])}
        self.assertEqual((found["GET /readyz"], found["there is a public key"]), ("FAIL", "FAIL"))
        self.home.fill(stack)
        results = list(operation.smoke(stack.front.url, stack.outputs["PublicUrl"]))
        self.assertEqual([result for result in results if result[0] != "PASS"], [])
        self.assertEqual(len(results), 5)
        other = {what: result for result, what, _ in operation.smoke(stack.front.url, "https://mcp.example.com")}
        self.assertEqual(other["the issuer is the public URL"], "FAIL")
        nowhere = list(operation.smoke("http://127.0.0.1:9", "https://mcp.example.com"))
        self.assertEqual([result for result, *_ in nowhere], ["FAIL"])

    def test_a_challenge_that_was_renamed_is_told(self):
        told = operation.challenge({"x-amzn-Remapped-WWW-Authenticate": "Bearer"})
        self.assertEqual(told[0], "NOTE")
        self.assertIn("x-amzn-Remapped-WWW-Authenticate", told[2])

    def test_destroy_keeps_data_and_the_next_stack_takes_it_up(self):
        stack = self.deployed("kept")
        self.home.fill(stack)
        operation.destroy("kept", self.ministack.client, False, None)
        with self.assertRaises(operation.Refused):
            operation.outputs("kept", self.ministack.client)
        kept = operation.kept("kept", self.ministack.client)
        self.assertEqual(kept.keys(), operation.TABLES.keys() | operation.SECRETS.keys() | {operation.GRANT_KEY})
        again = Stack(self.ministack, "kept", self.template, {"Architecture": "x86_64", **kept})
        status, _, content = again.request("GET", "/readyz")
        self.assertEqual(status, 200, content)

    def test_destroy_deletes_data_when_that_is_said_and_confirmed(self):
        dynamodb = self.ministack.client("dynamodb")
        dynamodb.create_table(
            TableName="their-orders", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "order_id", "AttributeType": "S"}], KeySchema=[{"AttributeName": "order_id", "KeyType": "HASH"}],
        )
        stack = Stack(self.ministack, "gone", self.template, {"OrdersTableName": "their-orders"})
        secrets = self.ministack.client("secretsmanager")
        for name in ("gone/clients/demo", "gone/connections/sales", "gone/somebody-elses"):
            secrets.create_secret(Name=name, SecretString="x")
        with self.assertRaises(operation.Refused):
            operation.destroy(stack.name, self.ministack.client, True, lambda: "another")
        self.assertTrue(operation.outputs("gone", self.ministack.client))
        operation.destroy(stack.name, self.ministack.client, True, lambda: "gone")
        self.assertEqual(operation.data_of("gone", self.ministack.client), [])
        key = self.ministack.client("kms").describe_key(KeyId=stack.outputs["GrantKeyArn"])["KeyMetadata"]
        self.assertEqual(key["KeyState"], "PendingDeletion")
        self.assertIn("their-orders", dynamodb.list_tables()["TableNames"])
        self.assertEqual(secrets.describe_secret(SecretId="gone/somebody-elses")["Name"], "gone/somebody-elses")


if __name__ == "__main__":
    unittest.main()
