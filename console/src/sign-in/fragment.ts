import type { PasteSignIn } from './index.js';

/** A token from the address or from the reader's clipboard, in memory until the page is closed. */
export class FragmentSignIn implements PasteSignIn {
  #token: string | null;
  readonly #listeners = new Set<() => void>();
  state: PasteSignIn['state'];

  constructor(token: string | null) {
    this.#token = token;
    this.state = token === null ? 'signed-out' : 'signed-in';
  }

  async getToken(): Promise<string> {
    if (this.#token !== null && endOf(this.#token) <= Date.now()) this.#become(null, 'expired');
    if (this.#token === null) throw new Error('There is no token.');
    return this.#token;
  }

  useToken(token: string): void {
    this.#become(token.trim(), 'signed-in');
  }

  /** The page asks for a token; nothing can be done here. */
  async signIn(): Promise<void> {
    this.#become(null, 'expired');
  }

  async signOut(): Promise<void> {
    this.#become(null, 'signed-out');
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #become(token: string | null, state: PasteSignIn['state']): void {
    this.#token = token;
    this.state = state;
    for (const listener of this.#listeners) listener();
  }
}

/** `exp` of a JWT in milliseconds; infinity for anything else: the service checks it. */
function endOf(token: string): number {
  try {
    const payload = token.split('.')[1] ?? '';
    const { exp } = JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/'))) as { exp?: unknown };
    return typeof exp === 'number' ? exp * 1000 : Infinity;
  } catch {
    return Infinity;
  }
}
