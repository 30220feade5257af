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
    4. token and mcp get the variables of `overrides`: none, but in test_black_box.py.
    """
    template = json.loads(json.dumps(template))
    resources = template["Resources"]
    for name in [name for name, each in resources.items() if each["Type"] in UNKNOWN]:
        del resources[name]
    for each in resources.values():
        each.pop("UpdatePolicy", None)
    for function in FUNCTIONS:
        variables = resources[logical_id(function)]["Properties"]["Environment"]["Variables"]
        variables["AWS_ENDPOINT_URL_DYNAMODB"] = endpoints[function]
        variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = endpoints[function]
    resources["RotateFunction"]["Properties"]["Environment"]["Variables"]["NORTHSTAR_PUBLIC_URL"] = rotate_url
    for function in ("token", "mcp"):
        resources[logical_id(function)]["Properties"]["Environment"]["Variables"] |= overrides
    return template


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
        self.proxies = []
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
        s3 = ministack.client("s3")
        cloudformation = ministack.client("cloudformation")
        template = for_ministack(template, endpoints, front.url, overrides)
        s3.put_object(Bucket="code", Key=f"{name}.json", Body=json.dumps(template))
        cloudformation.create_stack(
            StackName=name,
            TemplateURL=f"http://127.0.0.1:{ministack.port}/code/{name}.json",
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        for _ in range(300):
            (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                break
            time.sleep(0.2)
        if stack["StackStatus"] != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
            reasons = [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in events if "FAILED" in e["ResourceStatus"]]
            raise RuntimeError(f"{stack['StackStatus']}: {reasons}")
        # rotate goes the way of everybody, by the name that only now is known.
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        self.host = front.host = self.outputs["PublicUrl"].removeprefix("https://")
        self.execute_api_host = f"{self.outputs['ApiId']}.execute-api.{ENDING}"
        listed = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        self.resources = {each["LogicalResourceId"]: each for each in listed}

    def request(self, method, path, body=None, headers=None, host=None):
        """Sends a request to the API, by its public host name or another; returns status, headers and content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ministack.port, timeout=60)
        connection.request(method, path, body, {"Host": host or self.host, **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content

    def physical_id(self, logical):
        return self.resources[logical]["PhysicalResourceId"]

    def calls_of(self, function):
        """What a function has called so far, as IAM sees it."""
        return [call for target, body in self.calls[function] for call in self.as_iam_sees(target, json.loads(body))]

    def as_iam_sees(self, target, body):
        service, operation = target.split(".")
        if service.startswith("DynamoDB"):
            return list(dynamodb_calls(operation, body))
        if service == "secretsmanager":
            arn = self.ministack.client("secretsmanager").describe_secret(SecretId=body["SecretId"])["ARN"]
            return [Call(f"secretsmanager:{operation}", arn)]
        raise ValueError(f"{target}: a call to a service that no function has a client for")


# The partition key of each kind of table.
PARTITION_KEYS = {"config": "pk", "state": "pk", "orders": "order_id", "loyalty": "customer_id"}


def dynamodb_calls(operation, body):
    """The permissions that a call to DynamoDB needs: those of a transaction are those of what is in it."""
    if operation == "TransactWriteItems":
        actions = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
        for item in body["TransactItems"]:
            (kind, inner), = item.items()
            yield from dynamodb_calls(actions[kind], inner)
        return
    table = body["TableName"]
    key = PARTITION_KEYS[table.rsplit("-", 1)[1]]
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"
    action = f"dynamodb:{operation}"
    if operation == "Query":
        index = body.get("IndexName")
        value, = re.match(r"\s*[#\w]+\s*=\s*(:\w+)", body["KeyConditionExpression"]).groups()
        yield Call(action, arn + (f"/index/{index}" if index else ""), body["ExpressionAttributeValues"][value]["S"])
    elif operation == "PutItem":
        yield Call(action, arn, body["Item"][key]["S"])
    elif operation in ("GetItem", "DeleteItem", "UpdateItem", "ConditionCheckItem"):
        yield Call(action, arn, body["Key"][key]["S"])
    else:
        yield Call(action, arn)
