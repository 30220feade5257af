// The official TypeScript client with `northstar stdio` as its local server.
//
//     cd .tools/node-clients && node --input-type=module - NORTHSTAR MODE <FILE
//
//     MODE         legacy, auto, or the revision to pin
//     environment  of the bridge: CLIENT_ID, CLIENT_SECRET, PUBLIC_URL
//
// Prints one JSON document: versions, and what came back. It is read from standard input because Node.js then looks
// for packages in the working directory.

import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const [northstar, mode] = process.argv.slice(2);

const names = ['CLIENT_ID', 'CLIENT_SECRET', 'PUBLIC_URL'];
const env = Object.fromEntries(names.map((name) => [`NORTHSTAR_${name}`, process.env[name]]));
const client = new Client(
  { name: 'test', version: '1' },
  { versionNegotiation: { mode: ['legacy', 'auto'].includes(mode) ? mode : { pin: mode } } },
);
await client.connect(
  new StdioClientTransport({
    command: northstar,
    args: ['stdio'],
    env: { ...env, NO_PROXY: '127.0.0.1' },
    cwd: tmpdir(),
  }),
);
const { tools } = await client.listTools();
const call = (order_id) => client.callTool({ name: 'get_order_status', arguments: { order_id } });
const order = await call('1001');
const missing = await call('no-such-order');
const many = await Promise.all(Array.from({ length: 32 }, () => call('1001')));
const revision = client.getNegotiatedProtocolVersion();
await client.close();

const { version } = JSON.parse(await readFile('node_modules/@modelcontextprotocol/client/package.json'));
const text = ({ structuredContent }) => JSON.stringify(structuredContent);
console.log(
  JSON.stringify({
    client: `@modelcontextprotocol/client ${version} on Node.js ${process.versions.node}`,
    revision,
    tools: tools.map((tool) => tool.name),
    order: order.structuredContent,
    order_is_error: order.isError ?? false,
    missing_is_error: missing.isError ?? false,
    missing: missing.content[0].text,
    many: many.filter((answer) => text(answer) === text(order)).length,
  }),
);
