import { FragmentSignIn } from './fragment.js';

/** How the console gets tokens. Tokens are in memory only. */
export interface SignIn {
  /** A token that is valid now; rejects where the reader has to sign in. */
  getToken(): Promise<string>;
  signIn(): Promise<void>;
  signOut(): Promise<void>;
  readonly state: 'signed-out' | 'signed-in' | 'expired';
  /** Calls `listener` after each change of `state`; the returned function ends that. */
  onChange(listener: () => void): () => void;
}

/** A sign-in that the reader pastes a token for. */
export interface PasteSignIn extends SignIn {
  useToken(token: string): void;
}

/** What the page is served with, in `<meta name="rally-console">`. */
export interface ConsoleConfig {
  issuer?: string;
  clientId?: string;
  resource?: string;
  scopes?: string[];
}

export const acceptsPaste = (signIn: SignIn): signIn is PasteSignIn => 'useToken' in signIn;

/** A token in the address wins; else the issuer's login, where one is configured; else a pasted token. */
export async function createSignIn(config: ConsoleConfig): Promise<SignIn> {
  const token = takeTokenFromAddress();
  if (token !== null || !config.issuer || !config.clientId) return new FragmentSignIn(token);
  const { OidcSignIn } = await import('./oidc.js');
  const signIn = new OidcSignIn({ ...config, issuer: config.issuer, clientId: config.clientId });
  await signIn.start();
  return signIn;
}

/** Removes `#token=…` from the address and from the history before anything else can read it. */
function takeTokenFromAddress(): string | null {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get('token');
  if (token === null) return null;
  fragment.delete('token');
  const rest = fragment.toString();
  history.replaceState(history.state, '', `${location.pathname}${location.search}${rest === '' ? '' : `#${rest}`}`);
  return token.trim() === '' ? null : token.trim();
}
