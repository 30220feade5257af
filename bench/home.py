"""What stands behind the functions: the home of a local server, and DynamoDB as it answers there."""

import http.client
import json
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

PUBLIC_URL = "https://mcp.example.com"
KEPT = ("content-type", "x-amz-crc32")


class Home:
    """A running `northstar serve` in a folder of its own; it ends with `with`, or with this process."""

    def __init__(self, northstar):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        options = ["--stop-with-stdin", "--port", "0", "--public-url", PUBLIC_URL, "--home", self.path]
        self.server = subprocess.Popen(
            [northstar, "serve", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # A server that fails closes its output and says why on standard error.
        if not any(line.startswith("listening on ") for line in self.server.stdout):
            raise RuntimeError("northstar serve does not start")
        self.demo = json.loads((self.path / "demo.json").read_text())
        self.dynamodb_url = (self.path / "endpoint").read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server.stdout.close()
        self.folder.cleanup()

    def settings(self):
        """What the stack sets for the functions (infra/README.md), with the local names."""
        return {
            "NORTHSTAR_PUBLIC_URL": PUBLIC_URL,
            "NORTHSTAR_ORDERS_TABLE": "northstar-orders",
            "NORTHSTAR_LOYALTY_TABLE": "northstar-loyalty",
            "NORTHSTAR_CONFIG_TABLE": "northstar-config",
            "NORTHSTAR_STATE_TABLE": "northstar-state",
            "NORTHSTAR_SIGNING_KEYS": "northstar/signing-keys",
            "NORTHSTAR_STATE_KEY": "northstar/state-key",
            "NORTHSTAR_CLIENT_SECRET_PREFIX": "northstar/clients/",
            "NORTHSTAR_SECRETS_FILE": str(self.path / "secrets.json"),
        }


class Tables:
    """DynamoDB whose answers are recorded: the first time a request comes the engine answers it, then memory does.

    So every call waits equally long, and nothing else runs meanwhile. Only reads can be measured like this.
    """

    def __init__(self, url):
        self.engine = urlsplit(url).netloc
        self.recorded = {}

    def answer(self, connection, request):
        operation = request.headers["x-amz-target"]
        exact = (operation, request.body)
        if exact not in self.recorded:
            # The SDK writes the members of a key in any order.
            same = (operation, json.dumps(json.loads(request.body), sort_keys=True))
            if same not in self.recorded:
                self.recorded[same] = self._ask(request)
            self.recorded[exact] = self.recorded[same]
        connection.send(*self.recorded[exact])

    def _ask(self, request):
        engine = http.client.HTTPConnection(self.engine, timeout=10)
        engine.request("POST", "/", request.body, request.headers)
        response = engine.getresponse()
        body = response.read()
        engine.close()
        headers = {name: value for name, value in response.getheaders() if name.lower() in KEPT}
        return f"{response.status} {response.reason}", headers, body
