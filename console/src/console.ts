import { LitElement, html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import { Api, type Me } from './api/client.js';
import './rally-api-keys.js';
import type { RallyApiKeys } from './rally-api-keys.js';
import { type ConsoleConfig, type PasteSignIn, type SignIn, acceptsPaste, createSignIn } from './sign-in/index.js';
import './tenant/audit-view.js';
import './tenant/policy-view.js';
import './tenant/usage-view.js';
import { texts } from './texts.js';
import { scopeLevel } from './ui/badges.js';
import { Dialog } from './ui/dialog.js';
import { icon } from './ui/icons.js';
import { Load, Part, define, uniqueId } from './ui/part.js';
import { shellStyles } from './shell-styles.js';
import { styles } from './ui/styles/index.js';

type Section = 'keys' | 'usage' | 'audit' | 'policy';
const SECTIONS: Section[] = ['keys', 'usage', 'audit', 'policy'];
const t = texts.shell;

/** The page: who is signed in, and the sections. The part of the address behind `#` names what is shown. */
export class RallyConsole extends LitElement {
  static override styles = [styles, shellStyles];

  @state() private section: Section = 'keys';
  @state() private keyId = '';
  @state() private signIn: SignIn | null = null;
  @state() private signInError = '';
  private readonly me = new Load<Me>(this);
  readonly #api = new Api(location.origin, () => this.#getToken());
  #signedInOnce = false;
  /** The list stays, with its filters and its page, while another section is shown. */
  #showsKeys = false;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#start();
    addEventListener('hashchange', this.#route);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('hashchange', this.#route);
  }

  async #start(): Promise<void> {
    try {
      this.signIn = await createSignIn(readConfig());
    } catch (error) {
      this.signInError = error instanceof Error ? error.message : String(error);
      return;
    }
    this.signIn.onChange(() => this.#signInChanged());
    this.#route();
    this.#signInChanged();
  }

  #signInChanged(): void {
    this.requestUpdate();
    if (this.signIn?.state === 'signed-out') this.#signedInOnce = false;
    if (this.signIn?.state !== 'signed-in') return;
    const isReturn = this.#signedInOnce;
    this.#signedInOnce = true;
    void this.me.run(() => this.#api.me());
    if (isReturn) void this.#reload();
  }

  async #reload(): Promise<void> {
    await this.renderRoot.querySelector<RallyApiKeys>('rally-api-keys')?.reload();
    const view = this.renderRoot.querySelector<HTMLElement & { reload(): Promise<void> }>('[data-view]');
    await view?.reload();
  }

  readonly #getToken = async (): Promise<string> => {
    if (this.signIn === null) throw new Error(t.signInTitle);
    return this.signIn.getToken();
  };

  readonly #route = (): void => {
    const [, section = '', id = ''] = location.hash.split('/');
    this.section = SECTIONS.find((name) => name === section) ?? 'keys';
    this.keyId = this.section === 'keys' && /^[0-9a-f-]{36}$/i.test(id) ? id : '';
    document.title = `${t[this.section]} · ${t.product}`;
  };

  protected override updated(changed: Map<string, unknown>): void {
    if (changed.has('section') && changed.get('section') !== undefined && this.section !== 'keys') {
      this.renderRoot.querySelector<HTMLElement>('[data-view] .title')?.focus();
    }
  }

  protected override render() {
    const { signIn } = this;
    const isOpen = signIn !== null && this.#signedInOnce && signIn.state !== 'signed-out';
    return html`
      <header class="bar">
        <button type="button" class="skip" @click=${this.#skip}>${t.skip}</button>
        <div class="bar-in">
          <span class="brand">${icon('key')} <span class="brand-tenant">${this.me.value?.tenant.name ?? t.product}</span></span>
          ${isOpen ? this.#nav() : nothing}
          ${isOpen ? this.#account() : nothing}
        </div>
      </header>
      <main id="main" class="page" tabindex="-1" @sign-in-required=${() => this.signIn?.signIn()}>
        ${this.signInError === '' ? nothing : html`<p class="note warn">${icon('warning')}<span>${this.signInError}</span></p>`}
        ${isOpen ? this.#view() : signIn === null ? nothing : this.#entry(signIn)}
      </main>
      ${isOpen && signIn.state === 'expired' ? html`<rally-session-dialog .signIn=${signIn}></rally-session-dialog>` : nothing}
    `;
  }

  #nav() {
    return html`<nav class="nav" aria-label=${t.nav}>
      ${SECTIONS.map((section) => html`<a class="nav-link" href="#/${section}" aria-current=${this.section === section ? 'page' : nothing} @click=${(event: MouseEvent) => this.#navClick(event, section)}>${t[section]}</a>`)}
    </nav>`;
  }

  /** The same section once more: back to its list. */
  #navClick(event: MouseEvent, section: Section): void {
    if (section === 'keys' && this.section === 'keys' && this.keyId === '') event.preventDefault();
  }

  #account() {
    const name = this.me.value?.principal.name;
    return html`<div class="account">
      ${name === undefined ? nothing : html`<span class="who" title=${t.signedInAs(name)}><span class="visually-hidden">${t.signedInAs('')}</span>${name}</span>`}
      <button type="button" class="button" @click=${() => this.signIn?.signOut()}>${t.signOut}</button>
    </div>`;
  }

  #view() {
    const mayChange = scopeLevel(this.me.value?.scopes ?? 'read') === 'admin';
    this.#showsKeys ||= this.section === 'keys';
    const isReader = this.me.value !== undefined && !mayChange;
    return html`
      ${isReader ? html`<p class="note">${icon('info')}<span>${t.reader}</span></p>` : nothing}
      ${this.#showsKeys ? this.#keysSection() : nothing}
      ${this.section === 'usage' ? html`<rally-usage-view data-view .api=${this.#api}></rally-usage-view>` : nothing}
      ${this.section === 'audit' ? html`<rally-audit-view data-view .api=${this.#api}></rally-audit-view>` : nothing}
      ${this.section === 'policy' ? html`<rally-policy-view data-view .api=${this.#api} ?mayChange=${mayChange}></rally-policy-view>` : nothing}
    `;
  }

  #keysSection() {
    return html`<rally-api-keys
    ?hidden=${this.section !== 'keys'}
    .getToken=${this.#getToken}
    key-id=${this.keyId}
    key-url="#/keys/{id}"
    list-url="#/keys"
    @navigated=${(event: CustomEvent<{ id: string | null }>) => this.#navigated(event.detail.id)}
  ></rally-api-keys>`;
  }

  #entry(signIn: SignIn) {
    return acceptsPaste(signIn)
      ? html`<section class="entry card"><h1 class="title">${t.pasteTitle}</h1><rally-paste-token .signIn=${signIn} explain></rally-paste-token></section>`
      : html`<section class="entry card">
          <h1 class="title">${t.signInTitle}</h1>
          <p class="muted">${t.signInText}</p>
          <p class="form-foot"><button type="button" class="button primary" @click=${() => signIn.signIn()}>${t.signIn}</button></p>
        </section>`;
  }

  #navigated(id: string | null): void {
    location.hash = id === null ? '#/keys' : `#/keys/${id}`;
  }

  readonly #skip = (): void => {
    this.renderRoot.querySelector<HTMLElement>('#main')?.focus();
  };
}

/** A field for a token, which stays in memory. */
class PasteToken extends Part {
  @property({ attribute: false }) signIn!: PasteSignIn;
  @property({ type: Boolean }) explain = false;
  @state() private message = '';
  readonly #id = uniqueId();

  override firstUpdated(): void {
    this.find<HTMLElement>('input')?.focus();
  }

  protected override render() {
    return html`<form novalidate @submit=${this.#submit}>
      ${this.explain ? html`<p>${t.pasteText}</p><p class="muted">${t.pasteHow}</p><pre class="note"><code>rally-api-keys token --tenant … --email … --scopes admin</code></pre>` : nothing}
      <div class="field">
        <label for=${this.#id}>${t.pasteLabel}</label>
        <input id=${this.#id} type="password" autocomplete="off" spellcheck="false" aria-describedby="${this.#id}-hint" aria-invalid=${this.message ? 'true' : 'false'} />
        <div id="${this.#id}-hint">
          <p class="hint-text">${t.pasteHint}</p>
          ${this.message ? html`<p class="field-error">${icon('warning')}<span>${this.message}</span></p>` : nothing}
        </div>
      </div>
      <button type="submit" class="button primary">${t.pasteSubmit}</button>
    </form>`;
  }

  readonly #submit = (event: Event): void => {
    event.preventDefault();
    const input = this.find<HTMLInputElement>('input');
    const token = input?.value.trim() ?? '';
    this.message = token === '' ? t.pasteEmpty : /\s/.test(token) ? t.pasteMalformed : '';
    if (this.message !== '') {
      input?.focus();
      return;
    }
    if (input) input.value = '';
    this.signIn.useToken(token);
  };
}
define('rally-paste-token', PasteToken);

/** Over whatever is on the page, so that nothing that was entered is lost. */
class SessionDialog extends Dialog {
  @property({ attribute: false }) signIn!: SignIn;

  protected override mayClose(): boolean {
    return false;
  }

  protected override render() {
    const { signIn } = this;
    return acceptsPaste(signIn)
      ? this.frame(t.expiredTitle, html`<p>${t.expiredPaste}</p><rally-paste-token .signIn=${signIn}></rally-paste-token>`, nothing, { closable: false })
      : this.frame(
          t.expiredTitle,
          html`<p>${t.expiredText}</p>`,
          html`<button type="button" class="button" @click=${() => signIn.signOut()}>${t.signOut}</button>
            <button type="button" class="button primary" data-focus @click=${() => signIn.signIn()}>${t.signIn}</button>`,
          { closable: false },
        );
  }
}
define('rally-session-dialog', SessionDialog);

function readConfig(): ConsoleConfig {
  const content = document.querySelector<HTMLMetaElement>('meta[name="rally-console"]')?.content ?? '';
  try {
    return JSON.parse(content || '{}') as ConsoleConfig;
  } catch {
    return {};
  }
}

define('rally-console', RallyConsole);
