"""The official Python client against one MCP server, knowing nothing but its URL and a client's credentials.

    mcp_client.py URL MODE AUTH_METHOD [CALLS]
                  credentials: CLIENT_ID, and CLIENT_SECRET or PRIVATE_KEY with ALGORITHM, in the environment
                  CALLS: what to call, [[tool, arguments], …]; unless given, an order that is there and one that is not

Prints one JSON document: versions, every HTTP exchange, and what came back.
"""

import asyncio
import importlib.metadata
import json
import os
import platform
import sys
from urllib.parse import parse_qs, urlsplit

from mcp import Client
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


class Memory:
    """Tokens for the length of one run: every run starts at 401."""

    tokens = client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


def provider(url, auth_method):
    parts = urlsplit(url)
    common = {
        "server_url": url,
        "storage": Memory(),
        "client_id": os.environ["CLIENT_ID"],
        "issuer": f"{parts.scheme}://{parts.netloc}",
    }
    if auth_method != "private_key_jwt":
        client_secret = os.environ["CLIENT_SECRET"]
        return ClientCredentialsOAuthProvider(
            **common, client_secret=client_secret, token_endpoint_auth_method=auth_method
        )
    signed = SignedJWTParameters(
        issuer=common["client_id"],
        subject=common["client_id"],
        signing_key=os.environ["PRIVATE_KEY"],
        signing_algorithm=os.environ["ALGORITHM"],
    )
    return PrivateKeyJWTOAuthProvider(**common, assertion_provider=signed.create_assertion_provider())


def sent_client_auth(request):
    """By which method a token request says who the client is."""
    form = parse_qs(request.content.decode())
    sent = []
    if request.headers.get("authorization", "").startswith("Basic "):
        sent.append("client_secret_basic")
    if "client_secret" in form:
        sent.append("client_secret_post")
    if "client_assertion" in form:
        sent.append("private_key_jwt")
    return " and ".join(sent)


ORDERS = [["get_order_status", {"order_id": order}] for order in ("1001", "no-such-order")]


async def main(url, mode, auth_method, calls=None):
    exchanges = []
    challenges = []
    client_auth = []

    async def note(response):
        exchanges.append(f"{response.request.method} {response.request.url.path} {response.status_code}")
        if response.status_code == 401:
            challenges.append(response.headers.get("www-authenticate"))
        if response.request.url.path == "/token":
            client_auth.append(sent_client_auth(response.request))

    async with create_mcp_http_client(auth=provider(url, auth_method)) as http:
        http.event_hooks = {"response": [note]}
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            tools = await client.list_tools()
            calls = json.loads(calls) if calls else ORDERS
            results = [await client.call_tool(tool, arguments) for tool, arguments in calls]
            revision = client.session.protocol_version
    return {
        "client": f"mcp {importlib.metadata.version('mcp')} on Python {platform.python_version()}",
        "exchanges": exchanges,
        "challenge": challenges[0],
        "client_auth": client_auth[-1],
        "revision": revision,
        "tools": [tool.name for tool in tools.tools],
        "results": [
            {"is_error": result.is_error, "structured": result.structured_content, "text": result.content[0].text}
            for result in results
        ],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
