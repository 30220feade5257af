"""requests-oauthlib gets a token and calls a tool with it.

    requests_oauthlib_client.py ISSUER AUTH_METHOD     credentials: CLIENT_ID and CLIENT_SECRET in the environment

Prints one JSON document: versions, the token's answer without the token, and what came back from the tool.
"""

import json
import os
import platform
import sys

import requests
import requests_oauthlib
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth

# The issuer is on loopback.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

CALL = {"name": "get_order_status", "arguments": {"order_id": "1001"}}


def credentials(auth_method):
    client_id, client_secret = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
    if auth_method == "client_secret_basic":
        return {"auth": HTTPBasicAuth(client_id, client_secret)}
    return {"include_client_id": True, "client_secret": client_secret}


def main(issuer, auth_method):
    metadata = requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=30).json()
    client = BackendApplicationClient(client_id=os.environ["CLIENT_ID"], scope=["mcp.read"])
    session = requests_oauthlib.OAuth2Session(client=client)
    token = session.fetch_token(metadata["token_endpoint"], **credentials(auth_method))
    answer = session.post(f"{issuer}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL})
    return {
        "client": f"requests-oauthlib {requests_oauthlib.__version__} on Python {platform.python_version()}",
        "token": {"token_type": token["token_type"], "expires_in": token["expires_in"], "scope": token["scope"][0]},
        "status": answer.status_code,
        "answer": answer.json(),
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
