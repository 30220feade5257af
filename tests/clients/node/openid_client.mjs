// openid-client gets a token and calls a tool with it.
//
//     cd .tools/node-clients && node --input-type=module - ISSUER AUTH_METHOD <FILE
//
// Credentials in the environment: CLIENT_ID, and CLIENT_SECRET or PRIVATE_KEY with ALGORITHM.
//
// Prints one JSON document: versions, the token's answer without the token, and what came back from the tool.

import { readFile } from 'node:fs/promises';
import { importPKCS8 } from 'jose';
import * as openid from 'openid-client';

const [issuer, method] = process.argv.slice(2);
const { CLIENT_ID, CLIENT_SECRET, PRIVATE_KEY, ALGORITHM } = process.env;

const authentication = {
  client_secret_basic: () => openid.ClientSecretBasic(CLIENT_SECRET),
  client_secret_post: () => openid.ClientSecretPost(CLIENT_SECRET),
  private_key_jwt: async () => openid.PrivateKeyJwt(await importPKCS8(PRIVATE_KEY, ALGORITHM)),
};
// The issuer is on loopback.
const options = { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] };
const config = await openid.discovery(new URL(issuer), CLIENT_ID, {}, await authentication[method](), options);

const server = new URL('/mcp', issuer);
const token = await openid.clientCredentialsGrant(config, { scope: 'mcp.read', resource: server.href });

const params = { name: 'get_order_status', arguments: { order_id: '1001' } };
const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
const headers = new Headers({ 'content-type': 'application/json' });
const answer = await openid.fetchProtectedResource(config, token.access_token, server, 'POST', call, headers);

const { version } = JSON.parse(await readFile('node_modules/openid-client/package.json'));
console.log(
  JSON.stringify({
    client: `openid-client ${version} on Node.js ${process.versions.node}`,
    token: { token_type: token.token_type, expires_in: token.expires_in, scope: token.scope },
    status: answer.status,
    answer: await answer.json(),
  }),
);
