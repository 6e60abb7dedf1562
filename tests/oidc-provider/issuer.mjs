// A certified OpenID Connect issuer (npm's oidc-provider) for the tests: listens on a free port of
// the loopback, prints its address, and gives itself new keys at each line on its standard input. Ends
// with that.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

// Its advice for production would get among the answers.
console.info = console.warn = () => {};

const jwk = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  kid: randomUUID(),
  use: 'sig',
  alg,
});

const newKeys = () => [
  jwk('rsa', { modulusLength: 2048 }, 'RS256'),
  jwk('rsa', { modulusLength: 2048 }, 'PS256'),
  jwk('ec', { namedCurve: 'P-256' }, 'ES256'),
  jwk('ec', { namedCurve: 'P-384' }, 'ES384'),
  jwk('ed25519', {}, 'EdDSA'),
];

const algorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'];

const makeProvider = (issuer) =>
  new Provider(issuer, {
    jwks: { keys: newKeys() },
    clients: [{
      client_id: 'crm',
      client_secret: 'a secret of the tests',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    enabledJWA: { idTokenSigningAlgValues: algorithms },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // urn:rally:<algorithm>: an access token is a JWT by that algorithm.
        getResourceServerInfo: (_context, resource) => ({
          scope: 'read write admin',
          audience: 'rally-crm',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: resource.split(':').pop() } },
        }),
      },
    },
    extraTokenClaims: () => ({ tenant: 'acme', email: 'admin@acme.com' }),
  });

let answer;
const server = createServer((request, response) => answer(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const rotate = () => { answer = makeProvider(issuer).callback(); };
  rotate();
  console.log(issuer);
  createInterface({ input: process.stdin })
    .on('line', () => { rotate(); console.log('rotated'); })
    .on('close', () => process.exit());
});
