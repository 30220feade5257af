"""ministack on loopback, the stack in it, and a record of the calls that functions make to AWS."""

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

from home import NORTHSTAR
from iam import Call
from template import FUNCTIONS, REGION, REPOSITORY, TARGET, logical_id

ACCOUNT = "000000000000"
# The ending of the API's own host name, as in AWS; ministack is told, so that it answers by the name that the stack has.
ENDING = f"{REGION}.amazonaws.com"

# Types that ministack does not know. test_template.py checks them by what they say.
UNKNOWN = {
    "AWS::SecretsManager::RotationSchedule",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
}


def for_ministack(template, endpoints, rotate_url, overrides):
    """The one transform: a translated template as ministack can take it.

    1. Resources of UNKNOWN types are left out, and the update policies that name them.
    2. Each function calls AWS at `endpoints[function]`, where its calls are recorded.
    3. rotate reaches the token endpoint at `rotate_url`: there is no DNS here for the stack's own name.
    4. What requests reach gets the variables of `overrides`: none, but in test_black_box.py.
    5. A condition that joins a list to see whether it is empty looks at the list itself: ministack joins nothing there, and
       has the list as it was written.
    """
    template = json.loads(json.dumps(template))
    resources = template["Resources"]
    for name in [name for name, each in resources.items() if each["Type"] in UNKNOWN]:
        del resources[name]
    for each in resources.values():
        each.pop("UpdatePolicy", None)
    template["Conditions"] = unjoined(template["Conditions"])
    for function in FUNCTIONS:
        variables = resources[logical_id(function)]["Properties"]["Environment"]["Variables"]
        variables["AWS_ENDPOINT_URL_DYNAMODB"] = endpoints[function]
        variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = endpoints[function]
        variables["AWS_ENDPOINT_URL_KMS"] = endpoints[function]
    resources["RotateFunction"]["Properties"]["Environment"]["Variables"]["NORTHSTAR_PUBLIC_URL"] = rotate_url
    for function in ("token", "mcp", "connect"):
        resources[logical_id(function)]["Properties"]["Environment"]["Variables"] |= overrides
    return template


def unjoined(value):
    """Without `Fn::Join`, each list in its place."""
    if isinstance(value, list):
        return [unjoined(each) for each in value]
    if not isinstance(value, dict):
        return value
    return unjoined(value["Fn::Join"][1]) if "Fn::Join" in value else {key: unjoined(each) for key, each in value.items()}


def bootstrap(function):
    """What ships, unless it is older than the build that the tests run with."""
    built = TARGET / "debug" / function
    shipped = TARGET / "lambda-x86_64" / function / "bootstrap"
    candidates = [path for path in (shipped, built) if path.exists()]
    if not candidates:
        raise FileNotFoundError(f"there is no {built}: cargo build --workspace")
    return max(candidates, key=lambda path: path.stat().st_mtime)


def zipped(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy:
    """Passes requests on to ministack, and tells `record` of each; `host`, when it is set, replaces their Host."""

    def __init__(self, port, record=None):
        self.host = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if record:
                    record(self.headers.get("X-Amz-Target", f"{self.command} {self.path}"), body)
                headers = dict(self.headers.items())
                if outer.host:
                    headers = {**{k: v for k, v in headers.items() if k.lower() != "host"}, "Host": outer.host}
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                connection.close()

            do_GET = do_POST = pass_on

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Ministack:
    """A running ministack; it ends with `close`, and so does everything in it."""

    def __init__(self):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="northstar-ministack-")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.folder.name,
            "TMPDIR": self.folder.name,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": ENDING,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AWS_DEFAULT_REGION": REGION,
        }
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        self.process = subprocess.Popen(
            [REPOSITORY / ".tools/ministack/bin/ministack"],
            env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
        )
        self.proxies, self.shapes = [], {}
        try:
            self.wait()
            s3 = self.client("s3")
            s3.create_bucket(Bucket="code")
            for function in FUNCTIONS:
                s3.put_object(Bucket="code", Key=f"{function}.zip", Body=zipped(bootstrap(function)))
        except BaseException:
            self.close()
            raise

    def wait(self):
        for _ in range(600):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/_ministack/health")
                status = connection.getresponse().status
                connection.close()
                if status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"ministack does not start: {self.log_text()}")

    def log_text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-4000:]

    def client(self, service):
        return boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{self.port}", region_name=REGION,
            aws_access_key_id=ACCOUNT, aws_secret_access_key="test",
        )

    def key_attributes(self, table, index=None):
        """Partition key, and sort key if there is one, of a table or an index of it."""
        if table not in self.shapes:
            self.shapes[table] = self.client("dynamodb").describe_table(TableName=table)["Table"]
        shape = self.shapes[table]
        if index:
            indexes = shape.get("GlobalSecondaryIndexes", []) + shape.get("LocalSecondaryIndexes", [])
            shape, = [each for each in indexes if each["IndexName"] == index]
        return [each["AttributeName"] for each in sorted(shape["KeySchema"], key=lambda each: each["KeyType"])]

    def proxy(self, **options):
        self.proxies.append(Proxy(self.port, **options))
        return self.proxies[-1]

    def close(self):
        for proxy in self.proxies:
            proxy.close()
        # Its functions are its children, in the session that was started for it.
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Stack:
    """The translated template, deployed in ministack under a name; see `for_ministack` for `overrides`."""

    def __init__(self, ministack, name, template, parameters, overrides={}):
        self.ministack, self.name, self.calls = ministack, name, {function: [] for function in FUNCTIONS}
        endpoints = {
            function: ministack.proxy(record=lambda target, body, f=function: self.calls[f].append((target, body))).url
            for function in FUNCTIONS
        }
        front = self.front = ministack.proxy()
        self.cloudformation = ministack.client("cloudformation")
        template = for_ministack(template, endpoints, front.url, overrides)
        ministack.client("s3").put_object(Bucket="code", Key=f"{name}.json", Body=json.dumps(template))
        self.parameters = dict(parameters)
        self.deploy(self.cloudformation.create_stack, "CREATE_COMPLETE")
        # rotate goes the way of everybody, by the name that only now is known.
        self.host = front.host = self.outputs["PublicUrl"].removeprefix("https://")
        self.execute_api_host = f"{self.outputs['ApiId']}.execute-api.{ENDING}"

    def deploy(self, operation, wanted):
        operation(
            StackName=self.name,
            TemplateURL=f"http://127.0.0.1:{self.ministack.port}/code/{self.name}.json",
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in self.parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        for _ in range(300):
            (stack,) = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                break
            time.sleep(0.2)
        if stack["StackStatus"] != wanted:
            events = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
            reasons = [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in events if "FAILED" in e["ResourceStatus"]]
            raise RuntimeError(f"{stack['StackStatus']}: {reasons}")
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        listed = self.cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        self.resources = {each["LogicalResourceId"]: each for each in listed}

    def update(self, **parameters):
        """Deploys it again, with other values of some parameters."""
        self.parameters |= parameters
        self.deploy(self.cloudformation.update_stack, "UPDATE_COMPLETE")

    def request(self, method, path, body=None, headers=None, host=None):
        """Sends a request to the API, by its public host name or another; returns status, headers and content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ministack.port, timeout=60)
        connection.request(method, path, body, {"Host": host or self.host, **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content

    def command(self, *arguments, input=""):
        """What a command of `northstar` prints, by an operator of this stack; `input` is what it reads."""
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ministack.port}", "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        done = subprocess.run([NORTHSTAR, *arguments, "--stack", self.name], env=environment, input=input, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"northstar {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def policy(self, function):
        """What the role of a function allows, by the template's own policy and by those that are attached to it."""
        iam, role = self.ministack.client("iam"), self.physical_id(logical_id(function, "Role"))
        documents = [iam.get_role_policy(RoleName=role, PolicyName=function)["PolicyDocument"]]
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
            documents.append(iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"])
        return {"Version": "2012-10-17", "Statement": [statement for each in documents for statement in each["Statement"]]}

    def physical_id(self, logical):
        return self.resources[logical]["PhysicalResourceId"]

    def calls_of(self, function):
        """What a function has called so far, as IAM sees it."""
        return [call for target, body in self.calls[function] for call in self.as_iam_sees(target, json.loads(body))]

    def as_iam_sees(self, target, body):
        service, operation = target.split(".")
        if service.startswith("DynamoDB"):
            return list(dynamodb_calls(operation, body, self.ministack.key_attributes))
        if service == "secretsmanager":
            arn = self.ministack.client("secretsmanager").describe_secret(SecretId=body["SecretId"])["ARN"]
            return [Call(f"secretsmanager:{operation}", arn)]
        if service == "TrentService":
            return [Call(f"kms:{operation}", body["KeyId"], connection=body["EncryptionContext"]["connection"])]
        raise ValueError(f"{target}: a call to a service that no function has a client for")


def dynamodb_calls(operation, body, key_attributes):
    """The permissions that a call to DynamoDB needs: those of a transaction are those of what is in it."""
    if operation == "TransactWriteItems":
        actions = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
        for item in body["TransactItems"]:
            (kind, inner), = item.items()
            yield from dynamodb_calls(actions[kind], inner, key_attributes)
        return
    table = body["TableName"]
    key, *_ = key_attributes(table)
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"
    action = f"dynamodb:{operation}"
    if operation == "Query":
        index = body.get("IndexName")
        value, = re.match(r"\s*[#\w]+\s*=\s*(:\w+)", body["KeyConditionExpression"]).groups()
        leading, = body["ExpressionAttributeValues"][value].values()
        keys = {*key_attributes(table), *(key_attributes(table, index) if index else [])}
        everything = "ALL_PROJECTED_ATTRIBUTES" if index else "ALL_ATTRIBUTES"
        yield Call(action, arn + (f"/index/{index}" if index else ""), leading, *named(body, keys, everything))
    elif operation == "PutItem":
        yield Call(action, arn, body["Item"][key]["S"])
    elif operation == "GetItem":
        yield Call(action, arn, body["Key"][key]["S"], *named(body, set(key_attributes(table)), "ALL_ATTRIBUTES"))
    elif operation in ("DeleteItem", "UpdateItem", "ConditionCheckItem"):
        yield Call(action, arn, body["Key"][key]["S"])
    else:
        yield Call(action, arn)


def named(body, keys, everything):
    """The attributes that a read names beside keys, and what it selects; `everything` unless it names what it wants."""
    expressions = " ".join(body.get(name, "") for name in ("ProjectionExpression", "KeyConditionExpression", "FilterExpression"))
    # Placeholders begin with # and :, and none is there in vain.
    words = {word for word in re.findall(r"[#:\w.-]+", expressions) if word[0] not in "#:"} - {"AND", "OR", "BETWEEN", "begins_with"}
    attributes = keys | words | set(body.get("ExpressionAttributeNames", {}).values()) | body.get("ExclusiveStartKey", {}).keys()
    select = "SPECIFIC_ATTRIBUTES" if "ProjectionExpression" in body else body.get("Select", everything)
    return frozenset(attributes), select
