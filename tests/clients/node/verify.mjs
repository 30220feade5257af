// jose verifies access tokens as a resource server does, with the keys of the issuer.
//
//     cd .tools/node-clients && node --input-type=module - ISSUER <FILE
//
// TOKENS in the environment: JSON, [[token, audience], …]
//
// Prints one JSON document: versions, and for each token its claims or the name of the error.

import { readFile } from 'node:fs/promises';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [issuer] = process.argv.slice(2);

const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
const requiredClaims = ['iss', 'sub', 'aud', 'client_id', 'iat', 'exp', 'jti'];

async function verdict([token, audience]) {
  try {
    const rules = { issuer: metadata.issuer, audience, typ: 'at+jwt', algorithms: ['RS256'], requiredClaims };
    return (await jwtVerify(token, keys, rules)).payload;
  } catch (error) {
    return error.code;
  }
}

const verdicts = [];
for (const token of JSON.parse(process.env.TOKENS)) verdicts.push(await verdict(token));
const { version } = JSON.parse(await readFile('node_modules/jose/package.json'));
console.log(JSON.stringify({ client: `jose ${version} on Node.js ${process.versions.node}`, verdicts }));
