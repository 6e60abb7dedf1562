import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { CreatedKey } from '../api/client.js';
import { texts } from '../texts.js';
import '../ui/copy-button.js';
import { icon } from '../ui/icons.js';
import { Part, define, uniqueId } from '../ui/part.js';

type Language = 'shell' | 'python' | 'node';
const LANGUAGES: Language[] = ['shell', 'python', 'node'];

/** The secret, this once, and how to use it. Nothing here is kept: it goes with the element. */
export class SecretPanel extends Part {
  @property({ attribute: false }) created!: CreatedKey;
  @property() baseUrl = '';
  @property({ type: Boolean }) nudge = false;
  @state() private language: Language = 'shell';
  readonly #id = uniqueId();

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('beforeunload', preventUnload);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('beforeunload', preventUnload);
  }

  protected override render() {
    const t = texts.secret;
    const { created } = this;
    const snippet = snippets(this.baseUrl)[this.language];
    return html`
      <p>${t.lead(created.name)}</p>
      <div class="secret" part="secret">
        <label class="visually-hidden" for="${this.#id}-secret">${t.label}</label>
        <input
          id="${this.#id}-secret"
          class="code"
          type="text"
          readonly
          autocomplete="off"
          spellcheck="false"
          data-secret
          .value=${created.key}
          @focus=${(event: Event) => (event.target as HTMLInputElement).select()}
        />
        <rally-copy-button primary .text=${created.key} label=${t.copy}></rally-copy-button>
      </div>
      <section aria-labelledby="${this.#id}-try">
        <h3 id="${this.#id}-try" class="section-title">${t.snippets}</h3>
        <p class="hint-text">
          ${t.snippetHint}
          ${created.allowedAddresses.length === 0 ? nothing : t.snippetAddresses}
        </p>
        <div class="tabs" role="tablist" aria-labelledby="${this.#id}-try" @keydown=${this.#tabKey}>
          ${LANGUAGES.map(
            (language) => html`<button
              type="button"
              role="tab"
              id="${this.#id}-${language}"
              class="tab"
              aria-selected=${this.language === language ? 'true' : 'false'}
              aria-controls="${this.#id}-snippet"
              tabindex=${this.language === language ? '0' : '-1'}
              @click=${() => (this.language = language)}
            >
              ${t[language]}
            </button>`,
          )}
        </div>
        <div class="snippet" role="tabpanel" id="${this.#id}-snippet" aria-labelledby="${this.#id}-${this.language}">
          <pre tabindex="0"><code>${snippet}</code></pre>
          <rally-copy-button compact .text=${snippet} label="${texts.common.copy}: ${t[this.language]}"></rally-copy-button>
        </div>
      </section>
      ${this.nudge ? html`<p class="note warn" role="alert">${icon('warning')}<span>${t.notStored}</span></p>` : nothing}
    `;
  }

  readonly #tabKey = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    const next = LANGUAGES[(LANGUAGES.indexOf(this.language) + by + LANGUAGES.length) % LANGUAGES.length];
    if (next === undefined) return;
    this.language = next;
    this.find<HTMLElement>(`#${this.#id}-${next}`)?.focus();
  };
}
define('rally-secret-panel', SecretPanel);

const preventUnload = (event: BeforeUnloadEvent): void => event.preventDefault();

/** A call that shows that the key works, and that a key of any scope may make. */
function snippets(baseUrl: string): Record<Language, string> {
  const url = `${baseUrl}/api/v1/api-keys/self`;
  return {
    shell: `curl ${url} \\\n  -H "X-Api-Key: $RALLY_API_KEY"`,
    python: `import os, requests\n\nresponse = requests.get(\n    "${url}",\n    headers={"X-Api-Key": os.environ["RALLY_API_KEY"]},\n    timeout=30,\n)\nresponse.raise_for_status()\nprint(response.json()["name"])`,
    node: `const response = await fetch("${url}", {\n  headers: { "X-Api-Key": process.env.RALLY_API_KEY },\n});\nif (!response.ok) throw new Error(await response.text());\nconsole.log((await response.json()).name);`,
  };
}
