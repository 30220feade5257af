// The official TypeScript client against one MCP server, knowing nothing but its URL and a client's credentials.
//
//     cd .tools/node-clients && node --input-type=module - URL MODE AUTH [CALLS] <FILE
//
//     MODE  legacy, auto, or the revision to pin
//     AUTH  client_secret_basic   with CLIENT_ID and CLIENT_SECRET in the environment
//           client_secret_post    the same
//           private_key_jwt       with CLIENT_ID, PRIVATE_KEY and ALGORITHM in the environment
//           bearer                with ACCESS_TOKEN in the environment
//     CALLS  what to call, [[tool, arguments], …]; unless given, an order that is there and one that is not
//
// Prints one JSON document: versions, every HTTP exchange, and what came back. It is read from standard input because
// Node.js then looks for packages in the working directory.

import { readFile } from 'node:fs/promises';
import {
  Client,
  ClientCredentialsProvider,
  PrivateKeyJwtProvider,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';

const [url, mode, auth, given] = process.argv.slice(2);
const orders = ['1001', 'no-such-order'].map((order_id) => ['get_order_status', { order_id }]);
const calls = given ? JSON.parse(given) : orders;

const exchanges = [];
let challenge;
let clientAuth;

async function watchedFetch(input, init) {
  const response = await fetch(input, init);
  const { pathname } = new URL(input);
  exchanges.push(`${init?.method ?? 'GET'} ${pathname} ${response.status}`);
  if (pathname === '/token') clientAuth = sentClientAuth(new Headers(init.headers), new URLSearchParams(init.body));
  if (response.status === 401) challenge ??= response.headers.get('www-authenticate');
  return response;
}

// By which method a token request says who the client is.
function sentClientAuth(headers, form) {
  const sent = [];
  if (headers.get('authorization')?.startsWith('Basic ')) sent.push('client_secret_basic');
  if (form.has('client_secret')) sent.push('client_secret_post');
  if (form.has('client_assertion')) sent.push('private_key_jwt');
  return sent.join(' and ');
}

// A token from elsewhere. It is not shown before it is asked for, so that this way, too, begins at 401.
function bearer(accessToken) {
  let shown;
  return {
    token: async () => shown,
    onUnauthorized: async () => {
      shown = accessToken;
    },
  };
}

function privateKeyJwt() {
  return new PrivateKeyJwtProvider({
    clientId: process.env.CLIENT_ID,
    privateKey: process.env.PRIVATE_KEY,
    algorithm: process.env.ALGORITHM,
    expectedIssuer: new URL(url).origin,
  });
}

function clientCredentials(Provider) {
  return new Provider({
    clientId: process.env.CLIENT_ID,
    clientSecret: process.env.CLIENT_SECRET,
    expectedIssuer: new URL(url).origin,
  });
}

// The client sends the secret in the header unless what is registered of it says otherwise.
class RegisteredForPost extends ClientCredentialsProvider {
  clientInformation() {
    return { ...super.clientInformation(), token_endpoint_auth_method: 'client_secret_post' };
  }
}

const client = new Client(
  { name: 'test', version: '1' },
  { versionNegotiation: { mode: ['legacy', 'auto'].includes(mode) ? mode : { pin: mode } } },
);
const authProvider = {
  client_secret_basic: () => clientCredentials(ClientCredentialsProvider),
  client_secret_post: () => clientCredentials(RegisteredForPost),
  private_key_jwt: privateKeyJwt,
  bearer: () => bearer(process.env.ACCESS_TOKEN),
}[auth]();
await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider, fetch: watchedFetch }));
const { tools } = await client.listTools();
const results = [];
for (const [name, args] of calls) results.push(await client.callTool({ name, arguments: args }));
const revision = client.getNegotiatedProtocolVersion();
await client.close();

const { version } = JSON.parse(await readFile('node_modules/@modelcontextprotocol/client/package.json'));
console.log(
  JSON.stringify({
    client: `@modelcontextprotocol/client ${version} on Node.js ${process.versions.node}`,
    exchanges,
    challenge: challenge ?? null,
    client_auth: clientAuth ?? null,
    revision,
    tools: tools.map((tool) => tool.name),
    results: results.map((result) => ({
      is_error: result.isError ?? false,
      structured: result.structuredContent ?? null,
      text: result.content[0].text,
    })),
  }),
);
