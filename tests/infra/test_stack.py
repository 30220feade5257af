"""The stack, deployed in ministack: every resource is there, requests are answered by both kinds of host name, and the
functions' calls to AWS are what their roles allow, no less and no more."""

import base64
import copy
import json
import time
import unittest
import urllib.parse
import uuid
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import iam
from caller import Caller
from home import Home
from ministack import UNKNOWN, Ministack, Stack
from template import FUNCTIONS, load, logical_id, of_type, translate

DOMAIN = "mcp.example.com"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class KeyedClient:
    """A client with a key of its own (private_key_jwt)."""

    def __init__(self, home):
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        coordinates = {name: base64url(getattr(numbers, name).to_bytes(32)) for name in "xy"}
        jwk = {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1", **coordinates}
        file = f"{home.folder.name}/jwks.json"
        with open(file, "w") as jwks:
            json.dump({"keys": [jwk]}, jwks)
        made = home.command("client", "create", "keyed", "--auth-method", "private_key_jwt", "--jwks", file, "--token-limit", "60/min")
        self.client_id = made["client_id"]

    def assertion(self, issuer):
        now = int(time.time())
        header = {"typ": "client-authentication+jwt", "alg": "ES256", "kid": "1"}
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": issuer, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{base64url(r.to_bytes(32) + s.to_bytes(32))}"


def rotate(stack, secret_id):
    """What Secrets Manager does: a version without a value gets AWSPENDING, then the four steps."""
    secrets, functions = stack.ministack.client("secretsmanager"), stack.ministack.client("lambda")
    secret = secrets.describe_secret(SecretId=secret_id)
    for version, stages in secret["VersionIdsToStages"].items():
        if "AWSPENDING" in stages:
            secrets.update_secret_version_stage(SecretId=secret_id, VersionStage="AWSPENDING", RemoveFromVersionId=version)
    token = str(uuid.uuid4())
    secrets.put_secret_value(SecretId=secret_id, ClientRequestToken=token, VersionStages=["AWSPENDING"])
    for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
        event = {"Step": step, "SecretId": secret["ARN"], "ClientRequestToken": token}
        answer = functions.invoke(FunctionName=stack.physical_id("RotateFunction"), Payload=json.dumps(event))
        if "FunctionError" in answer:
            return json.loads(answer["Payload"].read())
    return None


def enable_rotation(stack, secret_id):
    """ministack's RotateSecret invokes nothing: it makes the same value current again, which is taken back here."""
    secrets = stack.ministack.client("secretsmanager")
    secrets.rotate_secret(SecretId=secret_id, RotationLambdaARN=stack.outputs["RotateFunctionArn"])
    for version, stages in secrets.describe_secret(SecretId=secret_id)["VersionIdsToStages"].items():
        if "AWSPREVIOUS" in stages:
            secrets.update_secret_version_stage(SecretId=secret_id, VersionStage="AWSPREVIOUS", RemoveFromVersionId=version)


class World:
    """One ministack with two stacks: one with the API's own name, one with a domain."""

    def __init__(self, cleanup):
        self.template = translate(load())
        self.home = Home()
        cleanup(self.home.close)
        self.keyed = KeyedClient(self.home)
        self.quick = self.home.command("client", "create", "quick", "--quiet-period", "1s")
        self.ministack = Ministack()
        cleanup(self.ministack.close)
        zone = self.ministack.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
        self.zone = zone["HostedZone"]["Id"].rsplit("/", 1)[1]
        common = {"Architecture": "x86_64"}
        self.plain = Stack(self.ministack, "northstar", self.template, common)
        domain = {"DomainName": DOMAIN, "HostedZoneId": self.zone, "AlarmEmail": "operator@example.com"}
        self.domain = Stack(self.ministack, "northstar-domain", self.template, {**common, **domain})
        for stack in (self.plain, self.domain):
            self.home.fill(stack)


def setUpModule():
    global WORLD
    WORLD = World(unittest.addModuleCleanup)


class Requests(unittest.TestCase):
    def callers(self):
        yield "execute-api host", Caller(WORLD.plain, WORLD.home.demo, WORLD.plain.execute_api_host)
        yield "custom domain", Caller(WORLD.domain, WORLD.home.demo, DOMAIN)

    def test_an_order_is_found_by_both_kinds_of_host_name(self):
        for name, caller in self.callers():
            with self.subTest(name):
                order = caller.call(caller.token(), "get_order_status", order_id="1001")
                self.assertEqual(order["order_id"], "1001")

    def test_metadata_names_the_public_url(self):
        for name, caller in self.callers():
            with self.subTest(name):
                status, _, content = caller.stack.request("GET", "/.well-known/oauth-authorization-server", host=caller.host)
                self.assertEqual((status, json.loads(content)["issuer"]), (200, f"https://{caller.host}"))
                path = "/.well-known/oauth-protected-resource/mcp"
                status, _, content = caller.stack.request("GET", path, host=caller.host)
                self.assertEqual((status, json.loads(content)["resource"]), (200, f"https://{caller.host}/mcp"))

    def test_every_route_is_answered_by_a_function(self):
        for name, caller in self.callers():
            for route in of_type(WORLD.template, "AWS::ApiGatewayV2::Route").values():
                path = route["Properties"]["RouteKey"].removeprefix("ANY ").replace("{server}", "nobody").replace("{upstream}", "nobody")
                with self.subTest(name, path=path):
                    _, headers, content = caller.stack.request("GET", path, host=caller.host)
                    # Those of API Gateway are {"message": …}, and say nothing of caching.
                    self.assertIn("cache-control", headers, content)

    def test_another_path_is_answered_by_the_api(self):
        status, headers, _ = WORLD.plain.request("GET", "/nothing")
        self.assertEqual((status, "cache-control" in headers), (404, False))

    def test_without_a_token_the_challenge_is_sent(self):
        for name, caller in self.callers():
            with self.subTest(name):
                status, headers, _ = caller.rpc(None, "tools/list")
                self.assertEqual(status, 401)
                self.assertIn("resource_metadata", headers["www-authenticate"])


class Parameters(unittest.TestCase):
    def refused(self, **parameters):
        with self.assertRaises(Exception) as refusal:
            Stack(WORLD.ministack, f"refused-{uuid.uuid4().hex[:8]}", WORLD.template, parameters)
        return str(refusal.exception)

    def test_a_domain_without_a_certificate_is_refused(self):
        self.assertIn("A domain needs HostedZoneId, or CertificateArn", self.refused(DomainName=DOMAIN))

    def test_a_hosted_zone_without_a_domain_is_refused(self):
        self.assertIn("name it in DomainName", self.refused(HostedZoneId=WORLD.zone))

    def test_a_table_for_lookups_is_named_by_its_whole_arn(self):
        table = "arn:aws:dynamodb:us-east-1:000000000000:table/warranties"
        for name, value in [
            ("LookupTables", "warranties"), ("LookupTables", f"{table},*"), ("LookupTables", f"{table}*"), ("LookupTables", f"{table}/index/by_owner"),
            ("LookupIndexes", f"{table}/index/*"), ("LookupPolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess"),
        ]:
            with self.subTest(name, value=value):
                self.assertIn(name, self.refused(**{name: value}))

    def test_existing_tables_and_secrets_are_used(self):
        parameters = {f"{name}TableName": WORLD.plain.outputs[f"{name}TableName"] for name in ("Orders", "Loyalty", "Config", "State")}
        parameters |= {name: WORLD.plain.outputs[name] for name in ("SigningKeysSecretName", "StateKeySecretName", "GrantKeyArn")}
        stack = Stack(WORLD.ministack, "northstar-again", WORLD.template, parameters)
        kinds = {each["ResourceType"] for each in stack.resources.values()}
        self.assertFalse(kinds & {"AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::KMS::Key", "AWS::KMS::Alias"})
        for name, value in parameters.items():
            self.assertEqual(stack.outputs[name], value)
        status, _, content = stack.request("GET", "/readyz")
        self.assertEqual((status, json.loads(content)["status"]), (200, "ok"))


class Resources(unittest.TestCase):
    """Each resource by its own API; a stack's word that it is complete is not enough.

    ministack leaves out point-in-time recovery, expiry of items, reserved concurrency and the alphabet of a generated
    secret: test_template.py sees to the first three.
    """

    def setUp(self):
        self.stack = WORLD.domain
        self.client = WORLD.ministack.client

    def test_every_resource_of_the_template_is_asked_for(self):
        asked = {kind for method in dir(self) for kind in getattr(getattr(self, method), "kinds", ())}
        self.assertEqual(asked | UNKNOWN, {each["Type"] for each in WORLD.template["Resources"].values()})

    def test_every_condition_is_met_by_one_of_the_stacks(self):
        made = WORLD.plain.resources.keys() | WORLD.domain.resources.keys()
        known = {name for name, each in WORLD.template["Resources"].items() if each["Type"] not in UNKNOWN}
        self.assertEqual(known - made, set())

    def each(self, kind):
        """The physical ids of a type, by logical id."""
        found = {name: self.stack.physical_id(name) for name in of_type(WORLD.template, kind) if name in self.stack.resources}
        self.assertTrue(found, kind)
        return found

    def properties(self, name):
        return WORLD.template["Resources"][name]["Properties"]

    def asks_for(*kinds):
        def mark(test):
            test.kinds = kinds
            return test
        return mark

    @asks_for("AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::Permission")
    def test_functions(self):
        functions = self.client("lambda")
        for function in FUNCTIONS:
            name = f"{self.stack.name}-{function}"
            known = functions.get_function_configuration(FunctionName=name)
            self.assertEqual((known["Runtime"], known["MemorySize"], known["Architectures"]), ("provided.al2023", 256, ["x86_64"]))
            self.assertEqual(known["LoggingConfig"]["SystemLogLevel"], "WARN")
            self.assertEqual(known["LoggingConfig"]["LogGroup"], self.stack.physical_id(logical_id(function, "Logs")))
            self.assertEqual(known["Environment"]["Variables"]["NORTHSTAR_CONFIG_TABLE"], self.stack.outputs["ConfigTableName"])
        for function in ("token", "mcp", "connect"):
            name = f"{self.stack.name}-{function}"
            alias = functions.get_alias(FunctionName=name, Name="live")
            self.assertIn(alias["FunctionVersion"], [each["Version"] for each in functions.list_versions_by_function(FunctionName=name)["Versions"]])
            self.assertNotEqual(alias["FunctionVersion"], "$LATEST")
            policy = json.loads(functions.get_policy(FunctionName=name, Qualifier="live")["Policy"])
            self.assertEqual([each["Principal"]["Service"] for each in policy["Statement"]], ["apigateway.amazonaws.com"])
        policy = json.loads(functions.get_policy(FunctionName=f"{self.stack.name}-rotate")["Policy"])
        self.assertEqual([each["Principal"]["Service"] for each in policy["Statement"]], ["secretsmanager.amazonaws.com"])

    @asks_for("AWS::IAM::Role")
    def test_roles(self):
        known = self.client("iam")
        for name, role in self.each("AWS::IAM::Role").items():
            trusted = known.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
            service = "codedeploy.amazonaws.com" if name == "CodeDeployServiceRole" else "lambda.amazonaws.com"
            self.assertEqual([each["Principal"]["Service"] for each in trusted], [[service]] if isinstance(trusted[0]["Principal"]["Service"], list) else [service])

    @asks_for("AWS::DynamoDB::Table")
    def test_tables(self):
        dynamodb = self.client("dynamodb")
        for name, table in self.each("AWS::DynamoDB::Table").items():
            known = dynamodb.describe_table(TableName=table)["Table"]
            self.assertEqual(known["KeySchema"], self.properties(name)["KeySchema"])
            self.assertEqual(known["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST")
            self.assertEqual(known["DeletionProtectionEnabled"], name != "StateTable")
        orders = dynamodb.describe_table(TableName=self.stack.outputs["OrdersTableName"])["Table"]
        self.assertEqual([index["IndexName"] for index in orders["GlobalSecondaryIndexes"]], ["by_customer"])

    @asks_for("AWS::SecretsManager::Secret")
    def test_secrets(self):
        secrets = self.client("secretsmanager")
        self.assertEqual(
            {secrets.describe_secret(SecretId=secret)["Name"] for secret in self.each("AWS::SecretsManager::Secret").values()},
            {"northstar-domain/signing-keys", "northstar-domain/state-key"},
        )
        key = secrets.get_secret_value(SecretId="northstar-domain/state-key")["SecretString"]
        self.assertEqual(len(key), 43)
        self.assertNotEqual(key, secrets.get_secret_value(SecretId="northstar/state-key")["SecretString"])

    @asks_for("AWS::KMS::Key", "AWS::KMS::Alias")
    def test_the_key_of_grants(self):
        kms = self.client("kms")
        key = kms.describe_key(KeyId="alias/northstar-domain-grants")["KeyMetadata"]
        self.assertEqual((key["Arn"], key["KeySpec"]), (self.stack.outputs["GrantKeyArn"], "SYMMETRIC_DEFAULT"))
        self.assertTrue(kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"])

    @asks_for("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Stage")
    def test_api(self):
        api = self.client("apigatewayv2")
        for stack, domain in ((WORLD.plain, False), (WORLD.domain, True)):
            known = api.get_api(ApiId=stack.outputs["ApiId"])
            self.assertEqual((known["ProtocolType"], known["DisableExecuteApiEndpoint"]), ("HTTP", domain))
        api_id = self.stack.outputs["ApiId"]
        integrations = {each["IntegrationId"]: each for each in api.get_integrations(ApiId=api_id)["Items"]}
        for function in ("token", "mcp", "connect"):
            known = integrations[self.stack.physical_id(logical_id(function, "Integration"))]
            self.assertTrue(known["IntegrationUri"].endswith(f":{self.stack.name}-{function}:live"), known["IntegrationUri"])
            self.assertEqual(known.get("ResponseParameters", {}).keys(), set() if function == "connect" else {"401", "403"})
        wanted = {each["Properties"]["RouteKey"] for each in of_type(WORLD.template, "AWS::ApiGatewayV2::Route").values()}
        routes = api.get_routes(ApiId=api_id, MaxResults="100")["Items"]
        self.assertEqual({each["RouteKey"] for each in routes}, wanted)
        for route in routes:
            self.assertIn(route["Target"].removeprefix("integrations/"), integrations)
        # As text: ministack spells the settings as the template does, which boto3 drops.
        _, _, content = self.stack.request("GET", f"/v2/apis/{api_id}/stages", headers={"Authorization": AUTHORIZATION}, host=f"127.0.0.1:{WORLD.ministack.port}")
        stage, = json.loads(content)["items"]
        self.assertEqual((stage["stageName"], stage["autoDeploy"]), ("$default", True))
        self.assertEqual(str(stage["defaultRouteSettings"]["ThrottlingRateLimit"]), "200")
        self.assertEqual(str(stage["routeSettings"]["ANY /token"]["ThrottlingRateLimit"]), "50")

    @asks_for("AWS::CertificateManager::Certificate", "AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::ApiMapping", "AWS::Route53::RecordSet")
    def test_domain(self):
        api = self.client("apigatewayv2")
        known = api.get_domain_name(DomainName=DOMAIN)["DomainNameConfigurations"][0]
        certificate = self.client("acm").describe_certificate(CertificateArn=self.stack.physical_id("Certificate"))["Certificate"]
        self.assertEqual((certificate["DomainName"], certificate["CertificateArn"]), (DOMAIN, known["CertificateArn"]))
        self.assertEqual((known["SecurityPolicy"], known["EndpointType"]), ("TLS_1_2", "REGIONAL"))
        mapping, = api.get_api_mappings(DomainName=DOMAIN)["Items"]
        self.assertEqual((mapping["ApiId"], mapping["Stage"], mapping.get("ApiMappingKey", "")), (self.stack.outputs["ApiId"], "$default", ""))
        records = self.client("route53").list_resource_record_sets(HostedZoneId=WORLD.zone)["ResourceRecordSets"]
        record, = [each for each in records if each["Name"].rstrip(".") == DOMAIN]
        self.assertEqual((record["Type"], record["AliasTarget"]["DNSName"].rstrip(".")), ("A", self.stack.outputs["DomainTarget"]))

    @asks_for("AWS::Logs::LogGroup", "AWS::Logs::MetricFilter")
    def test_logs(self):
        logs = self.client("logs")
        for group in self.each("AWS::Logs::LogGroup").values():
            known, = [each for each in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] if each["logGroupName"] == group]
            self.assertEqual(known["retentionInDays"], 90)
        for name in self.each("AWS::Logs::MetricFilter"):
            group = self.stack.physical_id(self.properties(name)["LogGroupName"]["Ref"])
            filters = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
            self.assertIn(self.properties(name)["FilterPattern"], [each["filterPattern"] for each in filters])
            self.assertEqual({each["metricTransformations"][0]["metricNamespace"] for each in filters}, {"Northstar/northstar-domain"})

    @asks_for("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::SNS::Topic", "AWS::SNS::Subscription")
    def test_alarms(self):
        cloudwatch, sns = self.client("cloudwatch"), self.client("sns")
        topic = self.stack.outputs["AlarmTopicArn"]
        pages = cloudwatch.get_paginator("describe_alarms").paginate()
        known = {each["AlarmName"]: each for page in pages for each in page["MetricAlarms"]}
        for name, alarm in self.each("AWS::CloudWatch::Alarm").items():
            self.assertEqual(known[alarm]["AlarmActions"], [topic])
            self.assertEqual(known[alarm]["MetricName"], self.properties(name)["MetricName"])
        subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        self.assertEqual([(each["Protocol"], each["Endpoint"]) for each in subscriptions], [("email", "operator@example.com")])
        body = json.loads(cloudwatch.get_dashboard(DashboardName=self.stack.physical_id("Dashboard"))["DashboardBody"])
        text = json.dumps(body)
        self.assertNotIn("${", text)
        for alarm in self.each("AWS::CloudWatch::Alarm").values():
            self.assertIn(f":{alarm}", text)


# ministack takes the service from the scope of a signature, and does not check it.
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=000000000000/20261121/us-east-1/apigateway/aws4_request, SignedHeaders=host, Signature=0"


ORG_SERVERS = """
servers:
  - { name: sealed, org: sealed, tools: [getOrganizationLimits] }
  - { name: asking, org: asking, tools: [getOrganizationLimits] }
"""
NOBODY = "https://nobody.invalid.salesforce.com"


def use_orgs(stack):
    """Calls a tool of an org whose grant the operator has sealed, and of one whose grant is made here. There is nobody at
    their address, so neither gets further than to the token request."""
    app = ("--login-url", NOBODY, "--client-id", "consumer-key", "--flow")
    stack.command("org", "add", "sealed", *app, "refresh-token", input="refresh-token\nconsumer-secret\n")
    stack.command("org", "add", "asking", *app, "client-credentials", input="consumer-secret\n")
    file = Path(stack.ministack.folder.name, "orgs.yaml")
    file.write_text(ORG_SERVERS)
    stack.command("server", "apply", str(file))
    for name in ("sealed", "asking"):
        client = json.loads(stack.command("client", "create", name, "--server", name, "--json"))
        caller = Caller(stack, client, path=f"/mcp/{name}")
        result = caller.result(caller.token(), "getOrganizationLimits")
        assert result["isError"], result


AUTHORIZATION_SERVER = "https://login.nobody.invalid.example.com"
UPSTREAM_SERVERS = """
servers:
  - { name: consented, tools: [get_order_status], upstreams: [{ name: consented }] }
  - { name: fixed, tools: [get_order_status], upstreams: [{ name: fixed }] }
"""


def add_upstream(stack, name, *options, input=""):
    stack.command("upstream", "add", name, "--url", f"https://{name}.nobody.invalid.example.com/mcp", *options, input=input)


def begin_consent(stack, name):
    """The operator's link, opened in a browser: what it is answered, with the parameters for the authorization server and the
    cookie of the browser."""
    link = urllib.parse.urlsplit(json.loads(stack.command("upstream", "connect", name, "--json"))["link"])
    status, headers, content = stack.request("GET", f"{link.path}?{link.query}", host=link.hostname)
    again = stack.request("GET", f"{link.path}?{link.query}", host=link.hostname)
    parameters = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(headers.get("location", "")).query))
    cookie = headers.get("set-cookie", "").split(";")[0]
    return {"status": status, "headers": headers, "content": content, "again": again, "parameters": parameters, "cookie": cookie}


def come_back(stack, **parameters):
    """The browser comes back from the authorization server, with its cookie: status and content of the answer. As API Gateway
    would invoke the function: ministack's leaves a request's cookies out of the event's list of them."""
    cookie, path = parameters.pop("cookie"), "/connect/consented"
    event = {
        "version": "2.0", "routeKey": "ANY /connect/{upstream}", "rawPath": path, "rawQueryString": urllib.parse.urlencode(parameters),
        "cookies": [cookie] if cookie else [], "headers": {"host": stack.host}, "isBase64Encoded": False,
        "requestContext": {"http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}, "requestId": "JKJaXmPLvHcESHA="},
    }
    invoked = stack.ministack.client("lambda").invoke(FunctionName=f"{stack.name}-connect:live", Payload=json.dumps(event))
    answer = json.loads(invoked["Payload"].read())
    return answer["statusCode"], answer["body"]


def use_upstreams(stack):
    """A consent as far as it goes without an authorization server, and calls of tools of upstreams where nobody answers."""
    endpoints = {name: f"{AUTHORIZATION_SERVER}/{name}" for name in ("authorize", "token", "revoke")}
    settings = ["--issuer", AUTHORIZATION_SERVER, "--client-id", "client", "--scope", "read", "--client-auth", "post"]
    for name, url in endpoints.items():
        settings += [f"--{name}-url", url]
    add_upstream(stack, "consented", *settings, input="client-secret\n")
    add_upstream(stack, "fixed", "--auth", "bearer", input="bearer-token\n")

    consent = begin_consent(stack, "consented")
    state = consent["parameters"].get("state", "")
    consent["ended"] = come_back(stack, state=state, code="a-code", iss=AUTHORIZATION_SERVER, cookie=consent["cookie"])
    consent["ended_again"] = come_back(stack, state=state, code="a-code", iss=AUTHORIZATION_SERVER, cookie=consent["cookie"])
    other = begin_consent(stack, "consented")
    consent["other_browser"] = come_back(stack, state=other["parameters"].get("state", ""), code="a-code", cookie="")
    return consent


def call_upstreams(stack):
    """Calls a tool of each upstream, as if it had been accepted: of the one there is no grant, the other does not answer."""
    dynamodb = stack.ministack.client("dynamodb")
    tool = {
        "name": "read", "title": "Read", "description": "Reads.", "input_schema": {"type": "object"},
        "read_only": True, "destructive": False, "idempotent": True, "open_world": True, "hash": "0" * 24,
    }
    outcomes = {}
    for name in ("consented", "fixed"):
        tools = json.dumps({"tools": [tool], "accepted_at": 1})
        item = {"pk": f"CONNECTION#{name}", "sk": "TOOLS", "tools": tools}
        dynamodb.put_item(TableName=stack.outputs["ConfigTableName"], Item={key: {"S": value} for key, value in item.items()})
        # As if somebody had just looked: the tool is as it was accepted.
        seen = {
            "pk": {"S": f"UPSTREAM#{name}"}, "sk": {"S": "SEEN"}, "checked_at": {"N": str(int(time.time()))},
            "hashes": {"M": {"read": {"S": tool["hash"]}}},
        }
        dynamodb.put_item(TableName=stack.outputs["StateTableName"], Item=seen)
    file = Path(stack.ministack.folder.name, "upstreams.yaml")
    file.write_text(UPSTREAM_SERVERS)
    stack.command("server", "apply", str(file))
    for name in ("consented", "fixed"):
        client = json.loads(stack.command("client", "create", f"{name}-agent", "--server", name, "--json"))
        caller = Caller(stack, client, path=f"/mcp/{name}")
        result = caller.result(caller.token(), "read")
        assert result["isError"], result
        outcomes[name] = result["_meta"]["northstar/code"]
    return outcomes


def lines_of(stack, function):
    """What a function has written into its log group."""
    logs = stack.ministack.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=stack.physical_id(logical_id(function, "Logs")))
    return [json.loads(line) for page in pages for event in page["events"] for line in event["message"].splitlines() if line.startswith("{")]


def with_an_upstream_that_answers(stack):
    """What is called beside that when an authorization server gives tokens for a code, and an upstream lists its tools: the
    end of functions/connect/src/callback.rs, crates/oauth-client/src/grants.rs, crates/upstream/src/seen.rs. Neither can be
    ours, as with an org."""
    table = f"arn:aws:dynamodb:us-east-1:000000000000:table/{stack.outputs['StateTableName']}"
    connect = [iam.Call(f"dynamodb:{action}", table, "GRANT#consented") for action in ("GetItem", "PutItem", "DeleteItem")]
    connect.append(iam.Call("kms:GenerateDataKey", stack.outputs["GrantKeyArn"], connection="consented"))
    return {"connect": connect, "mcp": [iam.Call("dynamodb:PutItem", table, "UPSTREAM#fixed")]}


def with_an_org_that_answers(stack):
    """What mcp calls beside that when an org gives a token and takes a write: functions/mcp/src/idempotency.rs, and the record
    of a grant that was refreshed. A deployed function asks Salesforce's own hosts alone, so no org of ours can answer it."""
    table = f"arn:aws:dynamodb:us-east-1:000000000000:table/{stack.outputs['StateTableName']}"
    yield iam.Call("dynamodb:PutItem", table, "GRANT#sealed")
    for action in ("GetItem", "PutItem", "UpdateItem", "DeleteItem"):
        yield iam.Call(f"dynamodb:{action}", table, "IDEMPOTENCY#digest")


class Roles(unittest.TestCase):
    """Everything that the functions do is done once, and the calls that AWS sees are held against the roles."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        stack = cls.stack = WORLD.plain
        caller = Caller(stack, WORLD.home.demo)
        token = caller.token()
        assert caller.rpc(token, "tools/list")[0] == 200
        caller.call(token, "get_order_status", order_id="1001")
        caller.call(token, "list_customer_orders", customer_id=WORLD.home.customer)
        caller.call(token, "check_loyalty_points", customer_id=WORLD.home.customer)
        stack.request("GET", "/.well-known/jwks.json")
        stack.request("GET", "/readyz")
        wrong = {**caller.credentials, "client_secret": "wrong"}
        assert caller.form("/token", {"grant_type": "client_credentials", **wrong})[0] == 401
        assertion = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": WORLD.keyed.assertion(stack.outputs["PublicUrl"]),
        }
        status, _, answer = caller.form("/token", assertion)
        assert status == 200, answer
        assert caller.form("/introspect", {"token": token, **caller.credentials})[2]["active"]
        assert caller.form("/revoke", {"token": token, **caller.credentials})[0] == 200

        secret = stack.outputs["ClientSecretPrefix"] + "demo"
        keys = stack.outputs["SigningKeysSecretName"]
        for each in (secret, keys):
            enable_rotation(stack, each)
        # A key that a rotation left behind when it was given up: the next one deletes it.
        dynamodb, table = WORLD.ministack.client("dynamodb"), stack.outputs["ConfigTableName"]
        key = next(item for item in dynamodb.scan(TableName=table)["Items"] if item["pk"]["S"] == "KEYS")
        left = {**key, "sk": {"S": "left-behind"}, "kid": {"S": "left-behind"}}
        left.pop("not_after", None)
        dynamodb.put_item(TableName=table, Item=left)
        for each in (keys, secret):
            error = rotate(stack, each)
            assert error is None, error
        # The old secret is the previous one now. A rotation that would end it is refused while it is in use.
        caller.token()
        cls.second_rotation = rotate(stack, secret)
        # Past its quiet period its last use decides.
        quick = stack.outputs["ClientSecretPrefix"] + WORLD.quick["client_id"]
        enable_rotation(stack, quick)
        error = rotate(stack, quick)
        assert error is None, error
        time.sleep(3)
        # A wrong secret makes token read the client's record again.
        for unaccepted in ("wrong", WORLD.quick["client_secret"]):
            fields = {"grant_type": "client_credentials", "client_id": WORLD.quick["client_id"], "client_secret": unaccepted}
            assert caller.form("/token", fields)[0] == 401

        use_orgs(stack)
        cls.consent = use_upstreams(stack)
        cls.outcomes = call_upstreams(stack)

        cls.policies = {function: stack.policy(function) for function in FUNCTIONS}
        cls.calls = {function: set(stack.calls_of(function)) for function in FUNCTIONS}
        cls.seen = {function: set(calls) for function, calls in cls.calls.items()}
        cls.calls["mcp"] |= set(with_an_org_that_answers(stack))
        for function, calls in with_an_upstream_that_answers(stack).items():
            cls.calls[function] |= set(calls)

    def test_a_consent_goes_to_the_authorization_server_and_its_link_works_once(self):
        consent, parameters = self.consent, self.consent["parameters"]
        self.assertEqual(consent["status"], 303, consent["content"])
        self.assertTrue(consent["headers"]["location"].startswith(f"{AUTHORIZATION_SERVER}/authorize?"))
        self.assertEqual(parameters["redirect_uri"], f"{self.stack.outputs['PublicUrl']}/connect/consented")
        self.assertEqual((parameters["client_id"], parameters["code_challenge_method"]), ("client", "S256"))
        self.assertEqual(parameters["resource"], "https://consented.nobody.invalid.example.com/mcp")
        self.assertTrue(consent["cookie"].startswith("__Host-northstar-connect="), consent["headers"])
        status, headers, content = consent["again"]
        self.assertEqual(status, 403, content)
        self.assertIn("text/html", headers["content-type"])

    def test_a_callback_gets_as_far_as_the_exchange(self):
        # Nobody is at the token endpoint: what is between is passed, the state is used up, and the browser is the same.
        self.assertEqual([self.consent[name][0] for name in ("ended", "ended_again", "other_browser")], [502, 400, 403])
        self.assertIn("The authorization server does not answer", self.consent["ended"][1])
        connect = self.seen["connect"]
        called = {(call.action, (call.leading_key or "").split("#")[0]) for call in connect}
        self.assertLessEqual(
            {("dynamodb:DeleteItem", "TICKET"), ("dynamodb:PutItem", "CONSENT"), ("dynamodb:DeleteItem", "CONSENT"),
             ("dynamodb:GetItem", "CONNECTION"), ("secretsmanager:GetSecretValue", "")},
            called,
        )

    def test_trouble_of_others_counts_as_no_failure_of_ours(self):
        lines = [line for function in ("mcp", "connect") for line in lines_of(self.stack, function)]
        self.assertEqual([line for line in lines if line["level"] == "ERROR"], [])
        others = {line["outcome"] for line in lines if line["level"] == "WARN"}
        self.assertLessEqual({"consent_server_unavailable", "upstream_unavailable", "authorization_server_unavailable"}, others)

    def test_calls_of_upstreams_say_what_is_missing(self):
        self.assertEqual(self.outcomes, {"consented": "connection_not_connected", "fixed": "upstream_unavailable"})

    def test_a_secret_in_use_is_not_rotated_again(self):
        self.assertEqual(self.second_rotation["errorType"], "rotation_refused")

    def test_every_call_is_allowed(self):
        for function in FUNCTIONS:
            with self.subTest(function):
                self.assertTrue(self.calls[function])
                self.assertEqual(iam.refused(self.policies[function], self.calls[function]), [])

    def test_nothing_is_allowed_that_no_call_needs(self):
        for function in FUNCTIONS:
            with self.subTest(function):
                self.assertEqual(iam.unneeded(self.policies[function], self.calls[function]), [])

    def test_ministacks_own_evaluation_agrees_on_actions_and_resources(self):
        simulate = WORLD.ministack.client("iam").simulate_custom_policy
        for function in FUNCTIONS:
            policy = iam.without_conditions(self.policies[function])
            # What one function calls, held against the roles of all.
            for call in {iam.Call(call.action, call.resource) for calls in self.calls.values() for call in calls}:
                with self.subTest(function, call=call):
                    answer = simulate(PolicyInputList=[json.dumps(policy)], ActionNames=[call.action], ResourceArns=[call.resource])
                    decision = answer["EvaluationResults"][0]["EvalDecision"] == "allowed"
                    self.assertEqual(decision, iam.allows(policy, call))

    def test_a_planted_permission_is_found(self):
        extra = [
            {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": "arn:aws:dynamodb:us-east-1:000000000000:table/northstar-config"},
            {
                "Effect": "Allow", "Action": "dynamodb:GetItem",
                "Resource": "arn:aws:dynamodb:us-east-1:000000000000:table/northstar-config",
                "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["CONNECTION#*"]}},
            },
            {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "arn:aws:secretsmanager:us-east-1:000000000000:secret:*"},
            {"Effect": "Allow", "Action": "secretsmanager:DeleteSecret", "Resource": "*"},
        ]
        for function in FUNCTIONS:
            for statement in extra:
                with self.subTest(function, statement=statement):
                    policy = copy.deepcopy(self.policies[function])
                    policy["Statement"].append(statement)
                    self.assertNotEqual(iam.unneeded(policy, self.calls[function]), [])

    def test_a_wider_pattern_of_leading_keys_is_found(self):
        for function in FUNCTIONS:
            for number, statement in enumerate(self.policies[function]["Statement"]):
                if "dynamodb:LeadingKeys" not in json.dumps(statement.get("Condition")):
                    continue
                with self.subTest(function, statement=statement["Sid"]):
                    policy = copy.deepcopy(self.policies[function])
                    (keys,) = policy["Statement"][number]["Condition"].values()
                    keys["dynamodb:LeadingKeys"].append("GRANT#*")
                    self.assertNotEqual(iam.unneeded(policy, self.calls[function]), [])

    def test_a_missing_permission_is_found(self):
        for function in FUNCTIONS:
            every = list(iam.atoms(self.policies[function]))
            for atom in every:
                if atom["Action"] in iam.OF_THE_PLATFORM:
                    continue
                with self.subTest(function, atom=iam.described(atom)):
                    policy = {"Statement": [other for other in every if other is not atom]}
                    self.assertNotEqual(iam.refused(policy, self.calls[function]), [])


if __name__ == "__main__":
    unittest.main()
