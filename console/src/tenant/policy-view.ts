import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Api, Policy, PolicyRequest, Violation } from '../api/client.js';
import { formatNumber, time } from '../format.js';
import { texts } from '../texts.js';
import { LEVELS, RATE_WINDOWS, scopeLevel, scopesOf, type ScopeLevel, windowText } from '../ui/badges.js';
import { Dialog } from '../ui/dialog.js';
import { errorBox } from '../ui/error-box.js';
import { icon } from '../ui/icons.js';
import { Load, Part, asApiError, define, uniqueId } from '../ui/part.js';
import type { ApiError } from '../api/problem.js';

interface Draft {
  lifetime: string;
  keys: string;
  idle: string;
  scopes: ScopeLevel | '';
  addresses: boolean;
  leak: 'revoke' | 'suspend' | 'notify';
  rateRequests: string;
  rateWindow: number;
}

type Field = 'lifetime' | 'keys' | 'idle' | 'rateRequests';

const t = texts.policy;
const CHECK_DELAY_MS = 500;
const LIMITS: Record<Field, number> = { lifetime: 3_650, keys: 1_000_000, idle: 3_650, rateRequests: 1_000_000 };
const FIELDS: Record<string, Field> = { maxLifetimeDays: 'lifetime', maxActiveKeys: 'keys', idleSuspendDays: 'idle', defaultRateLimit: 'rateRequests' };

/** The rules for all keys. Each change is tried at once: which keys would break it, before it is saved. */
export class PolicyView extends Part {
  @property({ attribute: false }) api!: Api;
  @property({ type: Boolean }) mayChange = false;
  @state() private draft: Draft | null = null;
  @state() private errors: Partial<Record<Field, string>> = {};
  @state() private error: ApiError | null = null;
  @state() private saving = false;
  @state() private saved = false;
  @state() private confirms: Policy | null = null;
  private readonly policy = new Load<Policy>(this);
  private readonly trial = new Load<Policy>(this);
  readonly #id = uniqueId();
  #timer: ReturnType<typeof setTimeout> | undefined;

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('api')) void this.reload();
  }

  async reload(): Promise<void> {
    if (await this.policy.run(() => this.api.policy())) {
      this.trial.reset();
      this.draft ??= draftOf(this.policy.value as Policy);
    }
  }

  get #isChanged(): boolean {
    const { value } = this.policy;
    return value !== undefined && this.draft !== null && JSON.stringify(requestOf(this.draft)) !== JSON.stringify(requestOf(draftOf(value)));
  }

  #set(change: Partial<Draft>): void {
    if (this.draft === null) return;
    this.draft = { ...this.draft, ...change };
    this.saved = false;
    this.error = null;
    this.errors = check(this.draft);
    clearTimeout(this.#timer);
    this.trial.reset();
    if (this.#isChanged && Object.keys(this.errors).length === 0) {
      this.#timer = setTimeout(() => void this.#try(), CHECK_DELAY_MS);
    }
  }

  async #try(): Promise<void> {
    const { draft } = this;
    if (draft !== null) await this.trial.run(() => this.api.setPolicy(requestOf(draft), true));
  }

  protected override render() {
    const { value, error, slow } = this.policy;
    return html`
      <div class="view-head">
        <div>
          <h1 class="title" tabindex="-1">${t.title}</h1>
          <p class="muted">${t.intro}</p>
        </div>
      </div>
      ${errorBox(error, () => this.reload())}
      ${value === undefined || this.draft === null ? nothing : html`${this.#form(this.draft)} ${this.#violations(value)}`}
      ${slow ? html`<p class="slow" role="status">${texts.common.slow}</p>` : nothing}
      ${this.confirms === null
        ? nothing
        : html`<rally-policy-dialog .trial=${this.confirms} @closed=${() => (this.confirms = null)} @confirmed=${() => this.#save()}></rally-policy-dialog>`}
    `;
  }

  #form(draft: Draft) {
    const off = !this.mayChange || this.saving;
    return html`<form class="card" novalidate aria-label=${t.title} @submit=${this.#submit}>
      ${this.mayChange ? nothing : html`<p class="note">${icon('info')}<span>${t.readOnly}</span></p>`}
      <div class="rules">
        ${this.#number('lifetime', t.lifetime, t.lifetimeHint, t.days, draft, off)}
        ${this.#number('keys', t.keys, t.keysHint, t.unitKeys, draft, off)}
        ${this.#number('idle', t.idle, t.idleHint, t.days, draft, off)}
        <div class="field">
          <label for="${this.#id}-scopes">${t.scopes}</label>
          <select id="${this.#id}-scopes" ?disabled=${off} @change=${(event: Event) => this.#set({ scopes: valueOf(event) as ScopeLevel | '' })}>
            <option value="">${t.scopesAny}</option>
            ${LEVELS.map((level) => html`<option value=${level} ?selected=${draft.scopes === level}>${texts.scopes[level]}</option>`)}
          </select>
        </div>
        <div class="field">
          <label for="${this.#id}-rateRequests">${t.rate}</label>
          <div class="pair">
            ${this.#input('rateRequests', draft, off)}
            <label for="${this.#id}-window">${t.requests} ${texts.form.rateWindow}</label>
            <select id="${this.#id}-window" ?disabled=${off} @change=${(event: Event) => this.#set({ rateWindow: Number(valueOf(event)) })}>
              ${[...new Set([...RATE_WINDOWS, draft.rateWindow])].map((seconds) => html`<option value=${seconds} ?selected=${draft.rateWindow === seconds}>${windowText(seconds)}</option>`)}
            </select>
          </div>
          ${this.#under('rateRequests', t.rateHint)}
        </div>
        <div class="field">
          <label for="${this.#id}-leak">${t.leak}</label>
          <select id="${this.#id}-leak" ?disabled=${off} @change=${(event: Event) => this.#set({ leak: valueOf(event) as Draft['leak'] })}>
            ${([['revoke', t.leakRevoke], ['suspend', t.leakSuspend], ['notify', t.leakNotify]] as const).map(([leak, label]) => html`<option value=${leak} ?selected=${draft.leak === leak}>${label}</option>`)}
          </select>
        </div>
        <div class="field">
          <label class="check">
            <input type="checkbox" .checked=${draft.addresses} ?disabled=${off} @change=${(event: Event) => this.#set({ addresses: (event.target as HTMLInputElement).checked })} />
            <span>${t.addresses}</span>
          </label>
        </div>
      </div>
      ${errorBox(this.error, () => this.#save(), false)}
      ${this.mayChange ? this.#foot() : nothing}
    </form>`;
  }

  #number(field: Field, label: string, hint: string, unit: string, draft: Draft, off: boolean) {
    return html`<div class="field">
      <label for="${this.#id}-${field}">${label}</label>
      <div class="pair">${this.#input(field, draft, off)} <span class="muted">${unit}</span></div>
      ${this.#under(field, hint)}
    </div>`;
  }

  #input(field: Field, draft: Draft, off: boolean) {
    return html`<input
      id="${this.#id}-${field}"
      class="number"
      type="text"
      inputmode="numeric"
      autocomplete="off"
      ?disabled=${off}
      aria-describedby="${this.#id}-${field}-hint"
      aria-invalid=${this.errors[field] === undefined ? 'false' : 'true'}
      .value=${draft[field]}
      @input=${(event: Event) => this.#set({ [field]: valueOf(event).trim() })}
    />`;
  }

  #under(field: Field, hint: string) {
    const message = this.errors[field];
    return html`<div id="${this.#id}-${field}-hint">
      <p class="hint-text">${hint}</p>
      ${message === undefined ? nothing : html`<p class="field-error">${icon('warning')}<span>${message}</span></p>`}
    </div>`;
  }

  #foot() {
    const { value, busy, error } = this.trial;
    const isInvalid = Object.keys(this.errors).length > 0;
    const verdict = this.saved
      ? html`<span class="verdict good">${icon('check')} ${t.saved}</span>`
      : error !== null
        ? errorBox(error, () => this.#try())
        : busy
          ? html`<span class="muted">${t.checking}</span>`
          : value === undefined
            ? nothing
            : value.violationCount > 0
              ? html`<span class="verdict warn" data-breaks=${value.violationCount}>${icon('warning')} ${t.wouldBreak(value.violationCount)}</span>`
              : html`<span class="verdict good" data-breaks="0">${icon('check')} ${t.wouldBreakNone}</span>`;
    return html`<div class="form-foot">
        <button type="submit" class="button primary" ?disabled=${!this.#isChanged || this.saving || isInvalid}>
          ${this.saving ? t.saving : this.#isChanged ? t.save : this.saved ? t.save : t.unchanged}
        </button>
        <div role="status">${verdict}</div>
      </div>
      ${value === undefined || value.violations.length === 0 ? nothing : violationTable(value)}`;
  }

  #violations(policy: Policy) {
    return html`<section class="card" aria-labelledby="${this.#id}-violations">
      <h2 class="section-title" id="${this.#id}-violations">
        ${policy.violationCount === 0 ? t.breaksNone : t.breaks(policy.violationCount)}
      </h2>
      ${policy.violationCount === 0 ? nothing : html`<p class="muted">${t.breaksHint}</p>${violationTable(policy)}`}
    </section>`;
  }

  readonly #submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (this.draft === null || this.saving) return;
    clearTimeout(this.#timer);
    if (this.trial.value === undefined) await this.#try();
    const { value } = this.trial;
    if (value !== undefined && value.violationCount > 0) this.confirms = value;
    else await this.#save();
  };

  async #save(): Promise<void> {
    if (this.draft === null) return;
    this.saving = true;
    this.error = null;
    try {
      const saved = await this.api.setPolicy(requestOf(this.draft), false);
      this.policy.value = saved;
      this.draft = draftOf(saved);
      this.trial.reset();
      this.saved = true;
    } catch (error) {
      const failure = asApiError(error);
      const known = failure.errors.flatMap(({ field, message }) => {
        const own = FIELDS[field.split('.')[0] ?? ''];
        return own === undefined ? [] : [[own, message] as const];
      });
      if (known.length > 0 && known.length === failure.errors.length) this.errors = Object.fromEntries(known);
      else this.error = failure;
    } finally {
      this.saving = false;
    }
  }
}
define('rally-policy-view', PolicyView);

/** Asks once more before a policy that keys would break is saved. */
export class PolicyDialog extends Dialog {
  @property({ attribute: false }) trial!: Policy;

  protected override render() {
    return this.frame(
      t.confirmTitle,
      html`<p class="verdict warn">${icon('warning')} ${t.wouldBreak(this.trial.violationCount)}</p>
        <p>${t.confirmText}</p>
        ${violationTable(this.trial)}`,
      html`<button type="button" class="button" data-focus @click=${() => this.close()}>${texts.common.cancel}</button>
        <button
          type="button"
          class="button primary"
          @click=${() => {
            this.close();
            this.emit('confirmed');
          }}
        >
          ${t.confirm}
        </button>`,
      { wide: true },
    );
  }
}
define('rally-policy-dialog', PolicyDialog);

function violationTable(policy: Policy) {
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${t.wouldBreak(policy.violationCount)}>
      <table class="plain">
        <thead>
          <tr><th scope="col">${texts.list.columnName}</th><th scope="col">${t.columnRules}</th><th scope="col">${texts.list.columnLastUsed}</th></tr>
        </thead>
        <tbody>
          ${policy.violations.map((violation) => violationRow(violation))}
        </tbody>
      </table>
    </div>
    ${policy.violationCount > policy.violations.length ? html`<p class="hint-text">${t.first(policy.violations.length)}</p>` : nothing}`;
}

function violationRow(violation: Violation) {
  const who = [violation.lastAddress, violation.lastUserAgent].filter(Boolean).join(' · ');
  return html`<tr>
    <td><a class="key-name link" href="#/keys/${violation.keyId}">${violation.name}</a> <code class="hint">${violation.keyHint}</code></td>
    <td>${violation.rules.map(({ rule }) => html`<span class="mark">${t.rules[rule] ?? rule}</span> `)}</td>
    <td>${time(violation.lastUsedAt, html`<span class="muted">${texts.time.never}</span>`)}${who === '' ? nothing : html`<span class="fact-hint long">${who}</span>`}</td>
  </tr>`;
}

const valueOf = (event: Event): string => (event.target as HTMLInputElement).value;

const draftOf = (policy: Policy): Draft => ({
  lifetime: text(policy.maxLifetimeDays),
  keys: text(policy.maxActiveKeys),
  idle: text(policy.idleSuspendDays),
  scopes: policy.allowedScopes == null ? '' : scopeLevel(policy.allowedScopes),
  addresses: policy.requireAllowedAddresses === true,
  leak: policy.onLeak,
  rateRequests: text(policy.defaultRateLimit?.requests),
  rateWindow: policy.defaultRateLimit?.windowSeconds ?? 60,
});

const text = (value: number | null | undefined): string => (value == null ? '' : String(value));

const count = (value: string): number | null => (value === '' ? null : Number(value));

const requestOf = (draft: Draft): PolicyRequest => ({
  maxLifetimeDays: count(draft.lifetime),
  maxActiveKeys: count(draft.keys),
  idleSuspendDays: count(draft.idle),
  allowedScopes: draft.scopes === '' ? null : scopesOf[draft.scopes],
  requireAllowedAddresses: draft.addresses ? true : null,
  onLeak: draft.leak,
  defaultRateLimit: draft.rateRequests === '' ? null : { requests: Number(draft.rateRequests), windowSeconds: draft.rateWindow },
});

function check(draft: Draft): Partial<Record<Field, string>> {
  const fields = Object.entries(LIMITS) as [Field, number][];
  const wrong = fields.filter(([field, most]) => draft[field] !== '' && !(/^[1-9]\d*$/.test(draft[field]) && Number(draft[field]) <= most));
  return Object.fromEntries(wrong.map(([field, most]) => [field, t.range(formatNumber(most))]));
}
