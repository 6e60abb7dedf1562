// Sign-in at the issuer: OpenID Connect, authorization code flow with PKCE (RFC 7636), as a public client. Tokens are in
// memory only. What survives the way to the issuer and back, in sessionStorage, is a code verifier, which is no token.
import * as oauth from 'oauth4webapi';
import type { ConsoleConfig, SignIn } from './index.js';
import { Peers, type Session } from './peers.js';

/** Of the request that is under way, in sessionStorage. */
const PENDING = 'rally-console-sign-in';
/** Set once this tab has asked the issuer without the user's doing. */
const ASKED = 'rally-console-asked';
/** Tokens are renewed so many seconds before they expire. */
const RENEW_BEFORE = 30;

interface Pending {
  state: string;
  nonce: string;
  verifier: string;
  /** Where the user was. */
  hash: string;
}

export class OidcSignIn implements SignIn {
  #session: Session | undefined;
  #state: SignIn['state'] = 'signed-out';
  #listeners = new Set<() => void>();
  #server: Promise<oauth.AuthorizationServer> | undefined;
  readonly #client: oauth.Client;
  readonly #peers: Peers;

  constructor(readonly config: ConsoleConfig & { issuer: string; clientId: string }) {
    this.#client = { client_id: config.clientId };
    this.#peers = new Peers(
      () => this.#session,
      (session) => this.#set(session, session ? 'signed-in' : 'signed-out'),
    );
  }

  get state(): SignIn['state'] {
    return this.#state;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes the issuer's response from the URL, or the session of another tab, or asks the issuer once without a question. */
  async start(): Promise<void> {
    const parameters = new URLSearchParams(location.search);
    if (parameters.has('state') && (parameters.has('code') || parameters.has('error'))) {
      await this.#finish(parameters);
      return;
    }
    const session = await this.#peers.ask();
    if (session) {
      this.#set(session, 'signed-in');
    } else if (!sessionStorage.getItem(ASKED)) {
      sessionStorage.setItem(ASKED, 'yes');
      await this.#authorize({ prompt: 'none' });
    }
  }

  async signIn(): Promise<void> {
    // In another tab, which hands its session over: what was entered here stays.
    if (this.#state === 'expired' && open(location.pathname, 'rally-sign-in')) return;
    // OpenID Connect Core 1.0, 11: offline access is given with the user's consent.
    await this.#authorize(this.#scopes().includes('offline_access') ? { prompt: 'consent' } : {});
  }

  async signOut(): Promise<void> {
    const idToken = this.#session?.idToken;
    this.#set(undefined, 'signed-out');
    this.#peers.tell(undefined);
    const end = (await this.#discover()).end_session_endpoint;
    if (!end) return;
    const url = new URL(end);
    url.searchParams.set('client_id', this.config.clientId);
    if (idToken) url.searchParams.set('id_token_hint', idToken);
    location.assign(url);
  }

  async getToken(): Promise<string> {
    if (this.#session && !isEnding(this.#session)) return this.#session.token;
    const renewed = this.#session && (await this.#renew());
    if (renewed) return renewed.token;
    this.#set(undefined, this.#state === 'signed-out' ? 'signed-out' : 'expired');
    throw new Error('signed out');
  }

  /** One tab renews for all: an issuer may end the whole session where a refresh token is used twice. */
  async #renew(): Promise<Session | undefined> {
    return await navigator.locks.request('rally-console-renewal', async () => {
      const newest = newer(this.#session, await this.#peers.ask());
      if (newest && !isEnding(newest)) {
        this.#set(newest, 'signed-in');
        return newest;
      }
      if (!newest?.refreshToken) return undefined;
      const server = await this.#discover();
      const response = await oauth.refreshTokenGrantRequest(
        server, this.#client, oauth.None(), newest.refreshToken, { ...this.#options(), additionalParameters: this.#resource() },
      );
      const renewed = await oauth.processRefreshTokenResponse(server, this.#client, response).catch(() => undefined);
      if (!renewed) return undefined;
      const session = this.#read(renewed, newest);
      this.#set(session, 'signed-in');
      this.#peers.tell(session);
      return session;
    });
  }

  async #authorize(extra: Record<string, string>): Promise<void> {
    const server = await this.#discover();
    const pending: Pending = {
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      verifier: oauth.generateRandomCodeVerifier(),
      hash: location.hash,
    };
    sessionStorage.setItem(PENDING, JSON.stringify(pending));
    const url = new URL(server.authorization_endpoint!);
    const parameters = {
      client_id: this.config.clientId,
      response_type: 'code',
      redirect_uri: redirectUri(),
      scope: this.#scopes().join(' '),
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier),
      code_challenge_method: 'S256',
      ...this.#resource(),
      ...extra,
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    location.assign(url);
    await new Promise(() => {}); // The page is being left.
  }

  async #finish(parameters: URLSearchParams): Promise<void> {
    const text = sessionStorage.getItem(PENDING);
    sessionStorage.removeItem(PENDING);
    const pending = text ? (JSON.parse(text) as Pending) : undefined;
    history.replaceState(null, '', `${location.pathname}${pending?.hash ?? ''}`);
    if (!pending || parameters.get('state') !== pending.state) return;
    const server = await this.#discover();
    try {
      const valid = oauth.validateAuthResponse(server, this.#client, parameters, pending.state);
      const response = await oauth.authorizationCodeGrantRequest(
        server, this.#client, oauth.None(), valid, redirectUri(), pending.verifier,
        { ...this.#options(), additionalParameters: this.#resource() },
      );
      const tokens = await oauth.processAuthorizationCodeResponse(server, this.#client, response, {
        expectedNonce: pending.nonce,
        requireIdToken: true,
      });
      const session = this.#read(tokens);
      sessionStorage.removeItem(ASKED);
      this.#set(session, 'signed-in');
      this.#peers.tell(session);
    } catch (error) {
      // Asked without a question, an issuer that would have to ask one says so.
      const silent = ['login_required', 'consent_required', 'interaction_required', 'account_selection_required'];
      if (error instanceof oauth.AuthorizationResponseError && silent.includes(error.error)) return;
      throw error;
    }
  }

  /** The token that the service is called with: the access token if it is a JWT, else the ID token. */
  #read(response: oauth.TokenEndpointResponse, before?: Session): Session {
    const idToken = response.id_token ?? before?.idToken;
    const token = expiry(response.access_token) ? response.access_token : idToken;
    if (!token) throw new Error('the issuer returned no JWT');
    const inSeconds = Date.now() / 1000 + (response.expires_in ?? 300);
    return {
      token,
      idToken,
      refreshToken: response.refresh_token ?? before?.refreshToken,
      expiresAt: expiry(token) ?? inSeconds,
    };
  }

  #set(session: Session | undefined, state: SignIn['state']): void {
    this.#session = session;
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }

  #discover(): Promise<oauth.AuthorizationServer> {
    if (this.#server) return this.#server;
    const issuer = new URL(this.config.issuer);
    const server = oauth
      .discoveryRequest(issuer, { algorithm: 'oidc', ...this.#options() })
      .then((response) => oauth.processDiscoveryResponse(issuer, response));
    this.#server = server;
    server.catch(() => (this.#server = undefined));
    return server;
  }

  #scopes(): string[] {
    return this.config.scopes ?? ['openid', 'profile', 'email'];
  }

  #resource(): Record<string, string> {
    return this.config.resource ? { resource: this.config.resource } : {};
  }

  /** Plain HTTP is for an issuer on this machine. */
  #options(): { [oauth.allowInsecureRequests]?: boolean } {
    const { protocol, hostname } = new URL(this.config.issuer);
    const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(hostname) || hostname.endsWith('.localhost');
    return protocol === 'http:' && isLocal ? { [oauth.allowInsecureRequests]: true } : {};
  }
}

function redirectUri(): string {
  return `${location.origin}${location.pathname}`;
}

function newer(one: Session | undefined, other: Session | undefined): Session | undefined {
  return other && (!one || other.expiresAt > one.expiresAt) ? other : one;
}

function isEnding(session: Session): boolean {
  return Date.now() / 1000 > session.expiresAt - RENEW_BEFORE;
}

/** `exp` of a JWT; undefined: it is none, or does not expire. */
function expiry(token: string): number | undefined {
  const payload = token.split('.')[1];
  if (!payload) return undefined;
  try {
    const claims: unknown = JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/')));
    const end = (claims as { exp?: unknown }).exp;
    return typeof end === 'number' ? end : undefined;
  } catch {
    return undefined;
  }
}
