// better-auth with its jwt plugin for the tests: listens on a free port of the loopback, signs one user up, and prints
// its address and the user's token. Ends when its standard input is closed.
import { createServer } from 'node:http';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';

let answer;
const server = createServer((request, response) => answer(request, response));
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const auth = betterAuth({
    baseURL: issuer,
    secret: 'a secret of the tests, of more than 32 bytes',
    database: memoryAdapter({ user: [], session: [], account: [], verification: [], jwks: [] }),
    emailAndPassword: { enabled: true },
    logger: { disabled: true },
    telemetry: { enabled: false },
    plugins: [jwt({
      jwt: {
        audience: 'rally-crm',
        definePayload: ({ user }) => ({
          email: user.email,
          email_verified: user.emailVerified,
          tenant: 'acme',
          role: 'owner',
        }),
      },
    })],
  });
  answer = toNodeHandler(auth);
  const signedUp = await fetch(`${issuer}/api/auth/sign-up/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: issuer },
    body: JSON.stringify({ name: 'Zoë', email: 'zoe@acme.com', password: 'a password of the tests' }),
  });
  const cookie = signedUp.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ');
  const response = await fetch(`${issuer}/api/auth/token`, { headers: { cookie } });
  const { token } = await response.json();
  console.log(issuer);
  console.log(token);
  process.stdin.resume().on('end', () => process.exit());
});
