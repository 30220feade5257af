// npm's `oidc-provider` as the authorization server of an MCP server: PKCE is required, access tokens are JWTs for the one
// resource, refresh tokens rotate, and anybody may log in. Ends with its standard input.
//
// Environment: CLIENT_ID, REDIRECT_URI, RESOURCE (URL of the MCP server), ACCESS_TOKEN_SECONDS.
// Standard output: `{"issuer", "jwks"}`, then a line for each grant, with what is secret in it, and for each refusal.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const { CLIENT_ID, REDIRECT_URI, RESOURCE, ACCESS_TOKEN_SECONDS } = process.env;
const SCOPES = ['openid', 'mcp_api', 'refresh_token'];

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const describe = (key) => ({ ...key.export({ format: 'jwk' }), kid: 'consent', use: 'sig', alg: 'RS256' });

  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT_ID,
        client_name: 'Northstar',
        redirect_uris: [REDIRECT_URI],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        scope: SCOPES.join(' '),
        token_endpoint_auth_method: 'none',
      },
    ],
    scopes: SCOPES,
    jwks: { keys: [describe(privateKey)] },
    cookies: { keys: ['a key of a test'] },
    pkce: { required: () => true },
    rotateRefreshToken: () => true,
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      devInteractions: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          if (resource !== RESOURCE) throw new Error(`no such resource: ${resource}`);
          return {
            scope: 'mcp_api',
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: Number(ACCESS_TOKEN_SECONDS),
          };
        },
      },
    },
  });
  provider.on('grant.success', ({ oidc, body }) => {
    const { grant_type, code, code_verifier } = oidc.params;
    const { access_token, refresh_token, id_token } = body;
    say({ granted: grant_type, secrets: { access_token, refresh_token, id_token, code, code_verifier } });
  });
  provider.on('grant.error', ({ oidc }, error) => say({ refused: oidc.params?.grant_type, error: error.error }));
  provider.on('grant.revoked', () => say({ revoked: 'grant' }));
  provider.on('authorization.error', (_, error) => say({ refused: 'authorization', error: error.error }));
  provider.on('server_error', (_, error) => say({ failed: String(error) }));

  server.on('request', provider.callback());
  say({ issuer, jwks: { keys: [describe(publicKey)] } });
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
