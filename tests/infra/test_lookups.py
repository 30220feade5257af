"""Lookups over tables of the operator's own, in a deployed stack: from a definitions file to answers through the API, and the
calls that AWS sees held against the policy that `northstar server iam` prints, no less and no more."""

import copy
import dataclasses
import json
import re
import unittest
from pathlib import Path

import iam
from caller import Caller
from ministack import Ministack, Stack
from template import load, translate

DEFINITIONS = """
servers:
  - name: warranty
    title: Warranty
    tools:
      - lookup: get_warranty
        table: warranties
        key: { serial_number: { title: Serial number, description: As printed on the box, pattern: "^[A-Z0-9]{8,16}$" } }
        returns: { product: string, valid_until: string, covered: boolean, owner_email: string }
        rename: { validTo: valid_until }
        mask: [owner_email]
      - lookup: list_warranties
        table: warranties
        index: by_owner
        key: { owner: { title: Owner, description: Number of the customer } }
        sort: { bought: { title: Bought, description: "YYYY-MM-DD", condition: at_least } }
        filter: { product: { title: Product, description: As in the catalogue } }
        page: 2
        returns: { serial_number: string, bought: string }
      - lookup: list_repairs
        table: repairs
        key: { serial_number: { title: Serial number, description: As printed on the box } }
        page: 5
        returns: { day: string, fault: string }
      - lookup: carrier_of_order
        table: orders
        key: { order_id: { title: Order number, description: As on the confirmation } }
        returns: { carrier: string }
"""


def make_tables(dynamodb):
    def text(*names):
        return [{"AttributeName": name, "AttributeType": "S"} for name in names]

    def key(*names):
        return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"))]

    dynamodb.create_table(
        TableName="warranties", BillingMode="PAY_PER_REQUEST", KeySchema=key("serial_number"),
        AttributeDefinitions=text("serial_number", "owner", "bought"),
        GlobalSecondaryIndexes=[{"IndexName": "by_owner", "KeySchema": key("owner", "bought"), "Projection": {"ProjectionType": "ALL"}}],
    )
    dynamodb.create_table(
        TableName="repairs", BillingMode="PAY_PER_REQUEST", KeySchema=key("serial_number", "day"), AttributeDefinitions=text("serial_number", "day"),
    )
    for number in range(5):
        item = {
            "serial_number": f"AB12CD3{number}", "owner": "C-0001", "bought": f"2026-01-0{number + 1}", "product": "Kettle", "validTo": "2028-01-01",
            "owner_email": "jo@example.com", "notes": "for nobody",
        }
        item = {name: {"S": value} for name, value in item.items()} | {"covered": {"BOOL": True}}
        dynamodb.put_item(TableName="warranties", Item=item)
    dynamodb.put_item(TableName="repairs", Item={"serial_number": {"S": "AB12CD30"}, "day": {"S": "2026-05-01"}, "fault": {"S": "leaks"}})


class Lookups(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.ministack = Ministack()
        cls.addClassCleanup(cls.ministack.close)
        dynamodb = cls.ministack.client("dynamodb")
        make_tables(dynamodb)
        stack = cls.stack = Stack(cls.ministack, "lookups", translate(load()), {"Architecture": "x86_64"})
        dynamodb.put_item(TableName="lookups-orders", Item={"order_id": {"S": "1001"}, "carrier": {"S": "UPS"}})
        cls.file = str(Path(cls.ministack.folder.name, "servers.yaml"))
        Path(cls.file).write_text(DEFINITIONS)
        stack.command("init")
        stack.command("server", "apply", cls.file)
        client = json.loads(stack.command("client", "create", "Warranty agent", "--server", "warranty", "--json"))
        cls.caller = Caller(stack, client, path="/mcp/warranty")
        cls.token = cls.caller.token()
        cls.answers = {
            "warranty": cls.call("get_warranty", serial_number="AB12CD34"),
            "first": cls.call("list_warranties", owner="C-0001", bought="2026-01-02", product="Kettle"),
            "repairs": cls.call("list_repairs", serial_number="AB12CD30"),
            "carrier": cls.call("carrier_of_order", order_id="1001"),
        }
        cls.answers["next"] = cls.call(
            "list_warranties", owner="C-0001", bought="2026-01-02", product="Kettle", cursor=cls.answers["first"]["cursor"]
        )
        cls.before = stack.policy("mcp")
        cls.printed = json.loads(stack.command("server", "iam", cls.file, "--json"))
        created = cls.ministack.client("iam").create_policy(PolicyName="lookups", PolicyDocument=json.dumps(cls.printed))
        stack.update(LookupPolicyArn=created["Policy"]["Arn"])
        cls.with_policy = stack.policy("mcp")
        parameters = dict(re.findall(r"^(Lookup\w+)=(.*)$", stack.command("server", "iam", cls.file), re.MULTILINE))
        stack.update(**{"LookupPolicyArn": "", **parameters})
        cls.with_tables, cls.parameters = stack.policy("mcp"), parameters
        cls.calls = set(stack.calls_of("mcp"))
        own = re.compile(r":table/(warranties|repairs)(/|$)")
        cls.lookups = {call for call in cls.calls if own.search(call.resource)}

    @classmethod
    def call(cls, tool, **arguments):
        return cls.caller.call(cls.token, tool, **arguments)

    def test_every_lookup_is_answered(self):
        self.assertEqual(
            self.answers["warranty"], {"product": "Kettle", "valid_until": "2028-01-01", "covered": True, "owner_email": "jo********"}
        )
        days = [row["bought"][-2:] for page in ("first", "next") for row in self.answers[page]["rows"]]
        self.assertEqual(days, ["05", "04", "03", "02"])
        self.assertEqual(self.answers["repairs"]["rows"], [{"day": "2026-05-01", "fault": "leaks"}])
        self.assertEqual(self.answers["carrier"], {"carrier": "UPS"})

    def test_a_serial_number_of_another_form_is_refused_before_the_table_is_asked(self):
        seen = len(self.stack.calls["mcp"])
        result = self.caller.result(self.token, "get_warranty", serial_number="ab-1")
        self.assertTrue(result["isError"])
        self.assertEqual(len(self.stack.calls["mcp"]), seen)

    def test_without_a_parameter_the_role_allows_everything_but_the_lookups(self):
        self.assertEqual(set(iam.refused(self.before, self.calls)), self.lookups)
        self.assertFalse({"LookupTables", "LookupIndexes"} & {each["Sid"] for each in self.before["Statement"]})

    def test_every_call_is_allowed_with_the_printed_policy_and_with_the_printed_tables(self):
        self.assertEqual({(call.action, call.resource.rsplit(":", 1)[1]) for call in self.lookups}, {
            ("dynamodb:GetItem", "table/warranties"), ("dynamodb:Query", "table/warranties/index/by_owner"), ("dynamodb:Query", "table/repairs"),
        })
        self.assertEqual(iam.refused(self.with_policy, self.calls), [])
        self.assertEqual(iam.refused(self.with_tables, self.calls), [])

    def test_the_printed_policy_is_attached_as_it_is(self):
        self.assertEqual(self.with_policy["Statement"], self.before["Statement"] + self.printed["Statement"])

    def test_the_printed_tables_become_two_statements(self):
        table = "arn:aws:dynamodb:us-east-1:000000000000:table/"
        self.assertEqual(
            self.parameters, {"LookupTables": f"{table}warranties", "LookupIndexes": f"{table}repairs,{table}warranties/index/by_owner"}
        )
        added = [each for each in self.with_tables["Statement"] if each not in self.before["Statement"]]
        self.assertEqual(added, [
            {"Sid": "LookupTables", "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": [f"{table}warranties"]},
            {"Sid": "LookupIndexes", "Effect": "Allow", "Action": "dynamodb:Query", "Resource": [f"{table}repairs", f"{table}warranties/index/by_owner"]},
        ])
        self.assertEqual(iam.unneeded({"Statement": added}, self.lookups), [])

    def test_nothing_is_printed_that_no_call_needs(self):
        self.assertEqual(iam.unneeded(self.printed, self.lookups), [])

    def test_a_statement_or_an_attribute_that_is_left_out_is_missed(self):
        every = list(iam.atoms(self.printed))
        self.assertEqual(len(every), 3)
        for atom in every:
            others = [other for other in every if other is not atom]
            with self.subTest(iam.described(atom)):
                self.assertNotEqual(iam.refused({"Statement": others}, self.lookups), [])
            attributes = iam.granted_attributes(atom)
            self.assertTrue(attributes)
            for attribute in attributes:
                with self.subTest(iam.described(atom), attribute=attribute):
                    narrower = {"Statement": [*others, iam.without_attribute(atom, attribute)]}
                    self.assertNotEqual(iam.refused(narrower, self.lookups), [])

    def test_a_planted_attribute_is_found(self):
        for number in range(len(self.printed["Statement"])):
            policy = copy.deepcopy(self.printed)
            policy["Statement"][number]["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"].append("notes")
            with self.subTest(policy["Statement"][number]["Sid"]):
                self.assertNotEqual(iam.unneeded(policy, self.lookups), [])

    def test_the_printed_policy_allows_nothing_beyond_the_lookups(self):
        for call in self.lookups:
            for other in [
                dataclasses.replace(call, attributes=call.attributes | {"notes"}),
                dataclasses.replace(call, select="ALL_ATTRIBUTES"),
                dataclasses.replace(call, select="ALL_PROJECTED_ATTRIBUTES"),
                dataclasses.replace(call, action="dynamodb:Scan"),
                dataclasses.replace(call, resource=f"{call.resource}-other"),
            ]:
                with self.subTest(other):
                    self.assertEqual(iam.refused(self.printed, {other}), [other])


if __name__ == "__main__":
    unittest.main()
