// oauth4webapi gets a token and calls a tool with it, knowing nothing but the URL of the MCP server: from the metadata of
// the protected resource to those of the authorization server, to a token that it checks as a resource server would.
//
//     cd .tools/node-clients && node --input-type=module - ISSUER AUTH_METHOD <FILE
//
// Credentials in the environment: CLIENT_ID, and CLIENT_SECRET or PRIVATE_KEY with ALGORITHM.
//
// Prints one JSON document: versions, the token's answer without the token, and what came back from the tool.

import { readFile } from 'node:fs/promises';
import { importPKCS8 } from 'jose';
import * as oauth from 'oauth4webapi';

const [issuer, method] = process.argv.slice(2);
const { CLIENT_ID, CLIENT_SECRET, PRIVATE_KEY, ALGORITHM } = process.env;

// The issuer is on loopback.
const options = { [oauth.allowInsecureRequests]: true };

const server = new URL('/mcp', issuer);
const discovered = await oauth.resourceDiscoveryRequest(server, options);
const resource = await oauth.processResourceDiscoveryResponse(server, discovered);
const [authorizationServer] = resource.authorization_servers.map((url) => new URL(url));
const discovery = await oauth.discoveryRequest(authorizationServer, { algorithm: 'oauth2', ...options });
const as = await oauth.processDiscoveryResponse(authorizationServer, discovery);

const client = { client_id: CLIENT_ID };
const authentication = {
  client_secret_basic: () => oauth.ClientSecretBasic(CLIENT_SECRET),
  client_secret_post: () => oauth.ClientSecretPost(CLIENT_SECRET),
  private_key_jwt: async () => oauth.PrivateKeyJwt(await importPKCS8(PRIVATE_KEY, ALGORITHM)),
};
const parameters = { scope: 'mcp.read', resource: resource.resource };
const granted = await oauth.clientCredentialsGrantRequest(
  as,
  client,
  await authentication[method](),
  parameters,
  options,
);
const token = await oauth.processClientCredentialsResponse(as, client, granted);

const authorization = `Bearer ${token.access_token}`;
const request = new Request(server, { method: 'POST', headers: { authorization } });
await oauth.validateJwtAccessToken(as, request, resource.resource, options);

const params = { name: 'get_order_status', arguments: { order_id: '1001' } };
const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
const headers = new Headers({ 'content-type': 'application/json' });
const answer = await oauth.protectedResourceRequest(token.access_token, 'POST', server, headers, call, options);

const { version } = JSON.parse(await readFile('node_modules/oauth4webapi/package.json'));
console.log(
  JSON.stringify({
    client: `oauth4webapi ${version} on Node.js ${process.versions.node}`,
    token: { token_type: token.token_type, expires_in: token.expires_in, scope: token.scope },
    status: answer.status,
    answer: await answer.json(),
  }),
);
