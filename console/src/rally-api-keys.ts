import { LitElement, html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import { Api, type Me, type TokenSource } from './api/client.js';
import './keys/create-dialog.js';
import './keys/key-list.js';
import './keys/key-view.js';
import type { KeyList } from './keys/key-list.js';
import type { KeyView } from './keys/key-view.js';
import { texts } from './texts.js';
import { scopeLevel } from './ui/badges.js';
import { errorBox } from './ui/error-box.js';
import { Load, define } from './ui/part.js';
import { styles } from './ui/styles/index.js';

const TOKEN_SOURCE_WAIT_MS = 5_000;

/** The detail of `token-request`: for pages whose framework sets no property, since the script loads later. */
export interface TokenRequest {
  respondWith(token: string | Promise<string>): void;
}

/** The detail of `created`, `rotated` and `revoked`; never a secret. */
export interface KeyChange {
  id: string;
}

/**
 * The API keys of a tenant: list, creation, one key with all that can be done with it.
 *
 * @fires created - A key was created.
 * @fires rotated - A key got a new secret.
 * @fires revoked - A key was revoked.
 * @fires navigated - Another key is shown (`id`), or the list (`id` null).
 * @fires sign-in-required - The reader asked to sign in again.
 * @fires token-request - A token is needed, and `getToken` is not set.
 */
export class RallyApiKeys extends LitElement {
  static override styles = styles;

  /** The origin of the tenant; that of the page where it is not set. */
  @property({ attribute: 'base-url' }) baseUrl = '';
  /** The key that is shown; empty: the list. */
  @property({ attribute: 'key-id' }) keyId = '';
  /** The link of a key, with `{id}`, for pages with addresses of their own. */
  @property({ attribute: 'key-url' }) keyUrl = '';
  @property({ attribute: 'list-url' }) listUrl = '';
  /** Keys a page, 1 to 100. */
  @property({ attribute: 'page-size', type: Number }) pageSize = 50;
  /** `light` or `dark`; else as the reader's system. */
  @property({ reflect: true }) theme = '';
  /** Offers no change, whatever the reader may do. */
  @property({ attribute: 'read-only', type: Boolean }) readOnly = false;
  /** Called before each request; it may return the same token until that ends. */
  @property({ attribute: false }) getToken: TokenSource | undefined;

  @state() private creating = false;
  private readonly me = new Load<Me>(this);
  #api: Api | undefined;

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (!this.hasUpdated || changed.has('baseUrl') || (changed.has('getToken') && this.me.error !== null)) {
      this.#api = new Api(this.#origin(), () => this.#token());
      void this.me.run(() => this.api.me());
    }
  }

  #origin(): string {
    return this.baseUrl === '' ? location.origin : new URL(this.baseUrl, location.href).origin;
  }

  private get api(): Api {
    this.#api ??= new Api(this.#origin(), () => this.#token());
    return this.#api;
  }

  get #list(): KeyList | null {
    return this.renderRoot.querySelector<KeyList>('rally-key-list');
  }

  get #view(): KeyView | null {
    return this.renderRoot.querySelector<KeyView>('rally-key-view');
  }

  /** A page may set `getToken`, or listen, a moment after the element is in it. */
  async #token(): Promise<string> {
    const limit = Date.now() + TOKEN_SOURCE_WAIT_MS;
    do {
      if (this.getToken !== undefined) return this.getToken();
      let response: string | Promise<string> | undefined;
      const detail: TokenRequest = { respondWith: (token) => (response = token) };
      this.dispatchEvent(new CustomEvent('token-request', { detail, bubbles: true, composed: true }));
      if (response !== undefined) return response;
      await new Promise((resolve) => setTimeout(resolve, 100));
    } while (Date.now() < limit);
    console.warn(`<rally-api-keys>: ${texts.shell.noToken}`);
    throw new Error(texts.shell.noToken);
  }

  /** Reads all that is shown once more, for example after the reader has signed in again. */
  async reload(): Promise<void> {
    await this.me.run(() => this.api.me());
    await Promise.all([this.#list?.reload(), this.#view?.reload()]);
  }

  protected override render() {
    const { value: me, error } = this.me;
    const mayChange = !this.readOnly && me !== undefined && scopeLevel(me.scopes) === 'admin';
    const granted = me?.scopes ?? 'read';
    const { api } = this;
    // `me` is loaded beside the list; until it is there, nothing is offered.
    return html`<div
      class="root"
      part="root"
      @create=${() => (this.creating = true)}
      @open-key=${(event: CustomEvent<string>) => this.#show(event.detail)}
      @open-list=${() => this.#show('')}
      @key-created=${(event: CustomEvent<string>) => this.#announce('created', event)}
      @key-rotated=${(event: CustomEvent<string>) => this.#announce('rotated', event)}
      @key-revoked=${(event: CustomEvent<string>) => this.#announce('revoked', event)}
      @key-changed=${() => (this.#stale = true)}
    >
      ${error === null || error.isSignInNeeded
        ? nothing
        : errorBox(error, () => this.reload())}
      <rally-key-list
        ?hidden=${this.keyId !== ''}
        .api=${api}
        .me=${me ?? null}
        .pageSize=${Math.min(100, Math.max(1, this.pageSize || 50))}
        keyUrl=${this.keyUrl}
        ?mayCreate=${!this.readOnly && me?.canCreate === true}
      ></rally-key-list>
      ${this.keyId === ''
        ? nothing
        : html`<rally-key-view .api=${api} keyId=${this.keyId} granted=${granted} listUrl=${this.listUrl} ?mayChange=${mayChange}></rally-key-view>`}
      ${this.creating
        ? html`<rally-create-dialog .api=${api} granted=${granted} @closed=${() => (this.creating = false)}></rally-create-dialog>`
        : nothing}
    </div>`;
  }

  /** True if the list shows an older state than the key's view. */
  #stale = false;

  #show(id: string): void {
    const before = this.keyId;
    if (id === before) return;
    this.keyId = id;
    this.dispatchEvent(new CustomEvent('navigated', { detail: { id: id === '' ? null : id }, bubbles: true, composed: true }));
  }

  protected override updated(changed: Map<string, unknown>): void {
    const before = changed.get('keyId');
    if (this.keyId !== '' || typeof before !== 'string' || before === '') return;
    const list = this.#list;
    if (this.#stale) void list?.reload();
    this.#stale = false;
    list?.focusKey(before);
  }

  #announce(name: 'created' | 'rotated' | 'revoked', event: CustomEvent<string>): void {
    event.stopPropagation();
    this.#stale = true;
    if (this.keyId === '') void this.#list?.reload();
    const detail: KeyChange = { id: event.detail };
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

define('rally-api-keys', RallyApiKeys);

declare global {
  interface HTMLElementTagNameMap {
    'rally-api-keys': RallyApiKeys;
  }
}
