"""Authlib gets a token and calls a tool with it.

    authlib_client.py ISSUER AUTH_METHOD
                      credentials: CLIENT_ID, and CLIENT_SECRET or PRIVATE_KEY with ALGORITHM, in the environment;
                      AUDIENCE of the assertions, if it is not the issuer

Prints one JSON document: versions, the token's answer without the token, and what came back from the tool.
"""

import json
import os
import platform
import sys
import time

import authlib
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import import_key

# The issuer is on loopback.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

CALL = {"name": "get_order_status", "arguments": {"order_id": "1001"}}


def session(issuer, auth_method):
    client_id = os.environ["CLIENT_ID"]
    if auth_method != "private_key_jwt":
        return OAuth2Session(client_id, os.environ["CLIENT_SECRET"], token_endpoint_auth_method=auth_method)
    algorithm = os.environ["ALGORITHM"]
    key = import_key(os.environ["PRIVATE_KEY"], "EC" if algorithm.startswith("ES") else "RSA")
    client = OAuth2Session(client_id, key, token_endpoint_auth_method=auth_method)
    # Two of its defaults are those of RFC 7523 alone: the token endpoint for an audience, and an hour for a lifetime.
    audience, claims = os.environ.get("AUDIENCE", issuer), {"exp": int(time.time()) + 60}
    client.register_client_auth_method(PrivateKeyJWT(token_endpoint=audience, claims=claims, alg=algorithm))
    return client


def main(issuer, auth_method):
    client = session(issuer, auth_method)
    metadata = client.get(f"{issuer}/.well-known/oauth-authorization-server", withhold_token=True).json()
    token = client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials", scope="mcp.read")
    answer = client.post(f"{issuer}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL})
    return {
        "client": f"Authlib {authlib.__version__} on Python {platform.python_version()}",
        "token": {name: token[name] for name in ("token_type", "expires_in", "scope")},
        "status": answer.status_code,
        "answer": answer.json(),
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
