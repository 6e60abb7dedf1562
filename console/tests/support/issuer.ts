// A certified OpenID Connect issuer (npm's oidc-provider), whose access tokens are JWTs that expire soon.
import http from 'node:http';
import Provider from 'oidc-provider';

export const RESOURCE = 'https://api.rallycrm.io';
export const CLIENT_ID = 'rally-console';
/** Seconds. The console renews tokens 30 s before they expire. */
const TOKEN_LIFETIME = 35;

export class Issuer {
  readonly #server = http.createServer((request, response) => {
    this.requests.push(request.url ?? '');
    this.#answer?.(request, response);
  });
  #answer: http.RequestListener | undefined;
  readonly requests: string[] = [];
  /** `error` of refused calls of the token endpoint. */
  readonly errors: string[] = [];
  renewals = 0;

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Its users sign in for that tenant's console. */
  serve(tenant: string, redirectUri: string): void {
    const provider = new Provider(this.url, {
      clients: [
        { client_id: CLIENT_ID, token_endpoint_auth_method: 'none', redirect_uris: [redirectUri], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] },
      ],
      clientBasedCORS: () => true,
      cookies: { keys: ['a key of the tests'] },
      features: {
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: () => ({ scope: 'read write admin', audience: RESOURCE, accessTokenFormat: 'jwt', accessTokenTTL: TOKEN_LIFETIME }),
        },
      },
      extraTokenClaims: () => ({ tenant, email: 'dana@acme.com' }),
    });
    provider.on('grant.success', ({ oidc }) => (this.renewals += oidc.params?.grant_type === 'refresh_token' ? 1 : 0));
    provider.on('grant.error', (_, error) => this.errors.push(error.message));
    this.#answer = provider.callback();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
