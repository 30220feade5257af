"""What clients send to a stack."""

import base64
import json
import urllib.parse


class Caller:
    """Sends a stack what its clients send; `client` has a `client_id` and a `client_secret`."""

    def __init__(self, stack, client, host=None, path="/mcp"):
        self.stack, self.host, self.path = stack, host, path
        self.credentials = {name: client[name] for name in ("client_id", "client_secret")}

    def form(self, path, fields, basic=None):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if basic:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        status, headers, content = self.stack.request("POST", path, urllib.parse.urlencode(fields), headers, self.host)
        return status, headers, json.loads(content) if content else None

    def token(self):
        status, _, answer = self.form("/token", {"grant_type": "client_credentials", **self.credentials})
        assert status == 200, answer
        return answer["access_token"]

    def rpc(self, token, method, params=None):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}})
        status, headers, content = self.stack.request("POST", self.path, body, headers, self.host)
        return status, headers, json.loads(content)

    def result(self, token, tool, **arguments):
        status, _, answer = self.rpc(token, "tools/call", {"name": tool, "arguments": arguments})
        assert status == 200, answer
        return answer["result"]

    def call(self, token, tool, **arguments):
        result = self.result(token, tool, **arguments)
        assert not result.get("isError"), result
        return result["structuredContent"]
