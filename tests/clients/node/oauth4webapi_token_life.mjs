// oauth4webapi follows a token from its issue to the end that its client gives it: introspection (RFC 7662) before and
// after revocation (RFC 7009), and how long the MCP server goes on taking it.
//
//     cd .tools/node-clients && node --input-type=module - ISSUER AUTH_METHOD <FILE
//
// Credentials in the environment: CLIENT_ID, and CLIENT_SECRET or PRIVATE_KEY with ALGORITHM.
//
// Prints one JSON document: versions, both introspections, the answer that ended the wait and the seconds it took.

import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { importPKCS8 } from 'jose';
import * as oauth from 'oauth4webapi';

const [issuer, method] = process.argv.slice(2);
const { CLIENT_ID, CLIENT_SECRET, PRIVATE_KEY, ALGORITHM } = process.env;

// The issuer is on loopback.
const options = { [oauth.allowInsecureRequests]: true };
const url = new URL(issuer);
const discovery = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...options });
const as = await oauth.processDiscoveryResponse(url, discovery);

const client = { client_id: CLIENT_ID };
const authentication = await {
  client_secret_basic: () => oauth.ClientSecretBasic(CLIENT_SECRET),
  client_secret_post: () => oauth.ClientSecretPost(CLIENT_SECRET),
  private_key_jwt: async () => oauth.PrivateKeyJwt(await importPKCS8(PRIVATE_KEY, ALGORITHM)),
}[method]();

const granted = await oauth.clientCredentialsGrantRequest(as, client, authentication, {}, options);
const token = (await oauth.processClientCredentialsResponse(as, client, granted)).access_token;

async function introspect() {
  const answer = await oauth.introspectionRequest(as, client, authentication, token, options);
  return oauth.processIntrospectionResponse(as, client, answer);
}

async function call() {
  const headers = new Headers({ 'content-type': 'application/json' });
  const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
  try {
    const answer = await oauth.protectedResourceRequest(token, 'POST', new URL('/mcp', url), headers, ping, options);
    return { status: answer.status };
  } catch (error) {
    if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
    return { status: error.status, error: error.cause[0].parameters.error };
  }
}

const before = { introspection: await introspect(), call: await call() };
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, token, options));
const revoked = performance.now();
const introspection = await introspect();
let last = await call();
while (last.status === 200 && performance.now() - revoked < 20_000) {
  await setTimeout(250);
  last = await call();
}
const seconds = (performance.now() - revoked) / 1000;
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, token, options));

const { version } = JSON.parse(await readFile('node_modules/oauth4webapi/package.json'));
console.log(
  JSON.stringify({
    client: `oauth4webapi ${version} on Node.js ${process.versions.node}`,
    before,
    after: { introspection, call: last, seconds },
  }),
);
