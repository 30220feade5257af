"""The official Python client with `northstar stdio` as its local server.

    mcp_stdio_client.py NORTHSTAR MODE
                        environment of the bridge: CLIENT_ID, CLIENT_SECRET, PUBLIC_URL

Prints one JSON document: versions, and what came back.
"""

import asyncio
import importlib.metadata
import json
import os
import platform
import sys
import tempfile

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(northstar, mode, elsewhere):
    names = ["CLIENT_ID", "CLIENT_SECRET", "PUBLIC_URL"]
    env = {f"NORTHSTAR_{name}": os.environ[name] for name in names} | {"NO_PROXY": "127.0.0.1"}
    bridge = StdioServerParameters(command=northstar, args=["stdio"], env=env, cwd=elsewhere)
    async with Client(stdio_client(bridge), mode=mode) as client:
        tools = await client.list_tools()
        order = await client.call_tool("get_order_status", {"order_id": "1001"})
        missing = await client.call_tool("get_order_status", {"order_id": "no-such-order"})
        many = [client.call_tool("get_order_status", {"order_id": "1001"}) for _ in range(32)]
        many = await asyncio.gather(*many)
        revision = client.session.protocol_version
    return {
        "client": f"mcp {importlib.metadata.version('mcp')} on Python {platform.python_version()}",
        "revision": revision,
        "tools": [tool.name for tool in tools.tools],
        "order": order.structured_content,
        "order_is_error": order.is_error,
        "missing_is_error": missing.is_error,
        "missing": missing.content[0].text,
        "many": sum(answer.structured_content == order.structured_content for answer in many),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as elsewhere:
        print(json.dumps(asyncio.run(main(*sys.argv[1:], elsewhere))))
