import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Policy } from '../api/client.js';
import { DAY_MS, formatDateTime, formatExact, formatNumber, toLocalInput } from '../format.js';
import { texts } from '../texts.js';
import { LEVELS, RATE_WINDOWS, type ScopeLevel, windowText } from '../ui/badges.js';
import { icon } from '../ui/icons.js';
import { Part, define, uniqueId } from '../ui/part.js';
import { type Draft, type FieldErrors, type Preset, emptyDraft, expiryOf, presetPermitted, scopeRefusal } from './draft.js';


/** The fields of a key. The dialog around it reads `draft`. */
export class KeyForm extends Part {
  /** What the fields start with; another object starts them anew. */
  @property({ attribute: false }) initial: Draft = emptyDraft(null);
  /** What is entered. */
  @state() draft: Draft = this.initial;
  @property({ attribute: false }) errors: FieldErrors = {};
  @property({ attribute: false }) policy: Policy | null = null;
  /** The scopes of the reader: none above them can be granted. */
  @property() granted = 'admin';
  /** The present end of an edited key; null: a new key, or one without an end. */
  @property({ attribute: false }) currentEnd: string | null = null;
  @property({ type: Boolean }) isNew = false;
  /** From when the presets count. */
  @property({ type: Number }) now = Date.now();
  @state() private limitsOpen = false;
  readonly #id = uniqueId();

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('initial')) this.draft = this.initial;
    const { draft, errors, policy } = this;
    const hasLimits = draft.addresses !== '' || draft.rateRequests !== '' || draft.quotaRequests !== '';
    const hasErrors = errors.allowedAddresses !== undefined || errors.rateLimit !== undefined || errors.quota !== undefined;
    if ((changed.has('initial') && hasLimits) || (changed.has('errors') && hasErrors)) this.limitsOpen = true;
    if (changed.has('policy') && policy?.requireAllowedAddresses === true) this.limitsOpen = true;
  }

  #set(change: Partial<Draft>): void {
    this.draft = { ...this.draft, ...change };
  }

  protected override render() {
    const t = texts.form;
    const { draft } = this;
    return html`
      ${this.#policyNote()}
      ${this.#field(
        'name',
        t.name,
        t.nameHint,
        (id, described, invalid) => html`<input
          id=${id}
          data-focus
          type="text"
          required
          maxlength="100"
          autocomplete="off"
          aria-describedby=${described}
          aria-invalid=${invalid}
          .value=${draft.name}
          @input=${(event: Event) => this.#set({ name: valueOf(event) })}
        />`,
      )}
      ${this.#field(
        'description',
        t.description,
        t.descriptionHint,
        (id, described, invalid) => html`<textarea
          id=${id}
          rows="2"
          maxlength="500"
          aria-describedby=${described}
          aria-invalid=${invalid}
          .value=${draft.description}
          @input=${(event: Event) => this.#set({ description: valueOf(event) })}
        ></textarea>`,
        true,
      )}
      ${this.#scopes()} ${this.#expiry()} ${this.#limits()}
    `;
  }

  #policyNote() {
    const t = texts.form;
    const { policy } = this;
    if (policy === null) return nothing;
    const notes = [
      policy.maxLifetimeDays == null ? '' : t.policyLifetime(policy.maxLifetimeDays),
      policy.requireAllowedAddresses === true ? t.policyAddresses : '',
      policy.maxActiveKeys == null || !this.isNew ? '' : t.policyKeys(policy.activeKeys, policy.maxActiveKeys),
      policy.defaultRateLimit == null || !this.isNew
        ? ''
        : t.policyRate(formatNumber(policy.defaultRateLimit.requests), windowText(policy.defaultRateLimit.windowSeconds)),
    ].filter((note) => note !== '');
    if (notes.length === 0) return nothing;
    return html`<p class="note">${icon('info')}<span><b>${t.policy}:</b> ${notes.join('; ')}.</span></p>`;
  }

  #field(
    name: keyof FieldErrors,
    label: string,
    hint: string,
    control: (id: string, described: string, invalid: 'true' | 'false') => unknown,
    optional = false,
  ) {
    const id = `${this.#id}-${name}`;
    const invalid = this.errors[name] === undefined ? 'false' : 'true';
    return html`<div class="field">
      <label for=${id}>${label} ${optional ? html`<span class="optional">${texts.common.optional}</span>` : nothing}</label>
      ${control(id, `${id}-hint ${id}-error`, invalid)}
      <p class="hint-text" id="${id}-hint">${hint}</p>
      ${this.#errorsOf(name)}
    </div>`;
  }

  #errorsOf(name: keyof FieldErrors) {
    const messages = this.errors[name] ?? [];
    return html`<div id="${this.#id}-${name}-error">
      ${messages.map((message) => html`<p class="field-error">${icon('warning')}<span>${message}</span></p>`)}
    </div>`;
  }

  #scopes() {
    const t = texts.scopes;
    const hints: Record<ScopeLevel, string> = { read: t.readHint, write: t.writeHint, admin: t.adminHint };
    return html`<fieldset class="field" aria-describedby="${this.#id}-scopes-error">
      <legend>${t.legend}</legend>
      <div class="choices">
        ${LEVELS.map((level) => {
          const refusal = scopeRefusal(level, this.policy, this.granted);
          const isOn = this.draft.level === level;
          return html`<label class=${refusal !== null && !isOn ? 'choice off' : 'choice'}>
            <input
              type="radio"
              name="${this.#id}-scope"
              value=${level}
              .checked=${isOn}
              ?disabled=${refusal !== null && !isOn}
              aria-invalid=${this.errors.scopes !== undefined && isOn ? 'true' : 'false'}
              @change=${() => this.#set({ level })}
            />
            <span><b>${t[level]}</b><span class="choice-hint">${refusal !== null && !isOn ? refusal : hints[level]}</span></span>
          </label>`;
        })}
      </div>
      ${this.#errorsOf('scopes')}
    </fieldset>`;
  }

  #expiry() {
    const t = texts.form;
    const { draft } = this;
    const labels: [Preset, string][] = [
      ...(this.isNew || this.currentEnd === null ? [] : [['keep', t.keep] as [Preset, string]]),
      ['30', t.days30],
      ['90', t.days90],
      ['365', t.days365],
      ['custom', t.custom],
      ['never', t.never],
    ];
    return html`<fieldset class="field" aria-describedby="${this.#id}-expiry-note ${this.#id}-expiresAt-error">
      <legend>${t.expiry}</legend>
      <div class="segments">
        ${labels.map(([preset, label]) => {
          const isOn = draft.preset === preset;
          const permitted = presetPermitted(preset, this.policy) || isOn;
          return html`<label class=${permitted ? 'segment' : 'segment off'} title=${permitted ? '' : t.policyLonger}>
            <input
              type="radio"
              name="${this.#id}-expiry"
              value=${preset}
              .checked=${isOn}
              ?disabled=${!permitted}
              @change=${() => this.#set({ preset, customAt: draft.customAt || toLocalInput(new Date(this.now + 90 * DAY_MS)) })}
            />
            <span>${label}</span>
          </label>`;
        })}
      </div>
      ${draft.preset === 'custom' ? this.#customEnd() : nothing}
      <p id="${this.#id}-expiry-note" class=${draft.preset === 'never' ? 'note warn' : 'hint-text'} aria-live="polite">${this.#expiryNote()}</p>
      ${this.#errorsOf('expiresAt')}
    </fieldset>`;
  }

  #customEnd() {
    const max = this.policy?.maxLifetimeDays ?? null;
    const id = `${this.#id}-custom`;
    return html`<div class="inline-field">
      <label for=${id}>${texts.form.customAt}</label>
      <input
        id=${id}
        type="datetime-local"
        required
        min=${toLocalInput(new Date())}
        max=${max === null ? nothing : toLocalInput(new Date(this.now + max * DAY_MS))}
        aria-describedby="${this.#id}-expiresAt-error"
        aria-invalid=${this.errors.expiresAt === undefined ? 'false' : 'true'}
        .value=${this.draft.customAt}
        @input=${(event: Event) => this.#set({ customAt: valueOf(event) })}
      />
    </div>`;
  }

  #expiryNote() {
    const { draft } = this;
    if (draft.preset === 'never') return html`${icon('warning')}<span>${texts.form.neverWarning}</span>`;
    const at = draft.preset === 'keep' && this.currentEnd !== null ? new Date(this.currentEnd) : expiryOf(draft, this.now);
    if (at === null || at === 'never') return nothing;
    return html`<span title=${formatExact(at)}>${texts.form.endsAt(formatDateTime(at))}</span>`;
  }

  #limits() {
    const t = texts.form;
    const { draft } = this;
    return html`<details class="more" .open=${this.limitsOpen} @toggle=${(event: Event) => (this.limitsOpen = (event.target as HTMLDetailsElement).open)}>
      <summary><b>${t.limits}</b> <span class="muted">${t.limitsHint}</span></summary>
      ${this.#field(
        'allowedAddresses',
        t.addresses,
        t.addressesHint,
        (id, described, invalid) => html`<textarea
          id=${id}
          rows="3"
          class="code"
          spellcheck="false"
          autocomplete="off"
          aria-describedby=${described}
          aria-invalid=${invalid}
          .value=${draft.addresses}
          @input=${(event: Event) => this.#set({ addresses: valueOf(event) })}
        ></textarea>`,
        this.policy?.requireAllowedAddresses !== true,
      )}
      ${this.#field(
        'rateLimit',
        t.rate,
        t.rateHint,
        (id, described, invalid) => html`<div class="pair">
          <input id=${id} type="text" inputmode="numeric" class="number" autocomplete="off" placeholder=${t.rateRequests} aria-describedby=${described} aria-invalid=${invalid} .value=${draft.rateRequests} @input=${(event: Event) => this.#set({ rateRequests: valueOf(event) })} />
          <label for="${id}-window">${t.rateWindow}</label>
          <select id="${id}-window" @change=${(event: Event) => this.#set({ rateWindow: Number(valueOf(event)) })}>
            ${[...new Set([...RATE_WINDOWS, draft.rateWindow])].map((seconds) => html`<option value=${seconds} ?selected=${seconds === draft.rateWindow}>${windowText(seconds)}</option>`)}
          </select>
        </div>`,
        true,
      )}
      ${this.#field(
        'quota',
        t.quota,
        t.quotaHint,
        (id, described, invalid) => html`<div class="pair">
          <input id=${id} type="text" inputmode="numeric" class="number" autocomplete="off" placeholder=${t.rateRequests} aria-describedby=${described} aria-invalid=${invalid} .value=${draft.quotaRequests} @input=${(event: Event) => this.#set({ quotaRequests: valueOf(event) })} />
          <label for="${id}-per">${t.quotaPer}</label>
          <select id="${id}-per" @change=${(event: Event) => this.#set({ quotaPer: valueOf(event) as Draft['quotaPer'] })}>
            ${(['day', 'month'] as const).map((per) => html`<option value=${per} ?selected=${per === draft.quotaPer}>${t[per]}</option>`)}
          </select>
        </div>`,
        true,
      )}
    </details>`;
  }
}
define('rally-key-form', KeyForm);

const valueOf = (event: Event): string => (event.target as HTMLInputElement).value;
