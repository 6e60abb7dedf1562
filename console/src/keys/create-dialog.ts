import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { CreatedKey, Key, Policy } from '../api/client.js';
import { ApiError } from '../api/problem.js';
import { texts } from '../texts.js';
import { Dialog } from '../ui/dialog.js';
import { errorBox } from '../ui/error-box.js';
import { icon } from '../ui/icons.js';
import { asApiError, define } from '../ui/part.js';
import { type Draft, type FieldErrors, checkDraft, createRequest, emptyDraft, fieldErrors } from './draft.js';
import './key-form.js';
import './secret-panel.js';
import type { KeyForm } from './key-form.js';

/** What is known after a response that did not arrive. */
type Lost = { state: 'checking' } | { state: 'created'; keys: Key[] } | { state: 'not-created' };

/** The keys whose secret this page has shown. */
const received = new Set<string>();

/** Creates a key and shows its secret once. */
export class CreateDialog extends Dialog {
  @property() granted = 'admin';
  /** `createdBy` of keys that the reader creates. */
  @property() creator = '';
  @state() private policy: Policy | null = null;
  @state() private errors: FieldErrors = {};
  @state() private created: CreatedKey | null = null;
  @state() private stored = false;
  @state() private nudge = false;
  @state() private lost: Lost | null = null;
  #initial: Draft = emptyDraft(null);
  readonly #now = Date.now();

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#loadPolicy();
  }

  /** The form is there at once; the policy narrows it when it arrives, unless something was chosen already. */
  async #loadPolicy(): Promise<void> {
    try {
      this.policy = await this.api.policy();
    } catch {
      // The service checks the policy itself.
      return;
    }
    if (JSON.stringify(this.form?.draft) === JSON.stringify(this.#initial)) this.#initial = emptyDraft(this.policy);
  }

  get form(): KeyForm | null {
    return this.find<KeyForm>('rally-key-form');
  }

  protected override mayClose(): boolean {
    if (this.created === null) return super.mayClose();
    if (!this.stored) this.nudge = true;
    return this.stored;
  }

  protected override render() {
    if (this.created !== null) return this.#secret(this.created);
    const t = texts.form;
    return this.frame(
      t.createTitle,
      html`<form id="create-form" novalidate @submit=${this.#submit}>
        ${this.#problem()}
        <rally-key-form isNew .initial=${this.#initial} .errors=${this.errors} .policy=${this.policy} granted=${this.granted} .now=${this.#now}></rally-key-form>
      </form>`,
      html`<button type="button" class="button" ?disabled=${this.busy} @click=${() => this.close()}>${texts.common.cancel}</button>
        <button type="submit" form="create-form" class="button primary" ?disabled=${this.busy || this.lost?.state === 'checking'}>
          ${this.busy ? t.creating : t.create}
        </button>`,
      { wide: true },
    );
  }

  #problem() {
    const { lost } = this;
    const t = texts.form;
    if (lost !== null) {
      const text = { checking: t.unknownChecking, 'not-created': t.unknownNotFound, created: t.unknownFound(this.form?.draft.name.trim() ?? '', lost.state === 'created' ? lost.keys.length : 0) }[lost.state];
      return html`<div class="problem warn" role="alert" tabindex="-1" data-lost=${lost.state}>
        ${icon('warning')}
        <div class="problem-text">
          <p class="problem-title">${t.unknownTitle}</p>
          <p>${text}</p>
          ${lost.state === 'created'
            ? html`<button type="button" class="button" ?disabled=${this.busy} @click=${() => this.#replace(lost.keys)}>${t.unknownRetry}</button>`
            : nothing}
        </div>
      </div>`;
    }
    return this.error === null || Object.keys(this.errors).length > 0
      ? nothing
      : errorBox(this.error, this.#submit, false);
  }

  #secret(created: CreatedKey) {
    const t = texts.secret;
    return this.frame(
      t.createdTitle,
      html`<rally-secret-panel .created=${created} baseUrl=${this.api.baseUrl} ?nudge=${this.nudge && !this.stored}></rally-secret-panel>`,
      html`<label class="confirm">
          <input type="checkbox" .checked=${this.stored} @change=${(event: Event) => (this.stored = (event.target as HTMLInputElement).checked)} />
          <span>${t.stored}</span>
        </label>
        <button type="button" class="button primary" ?disabled=${!this.stored} @click=${() => this.close()}>${t.done}</button>`,
      { wide: true, closable: false },
    );
  }

  readonly #submit = async (event?: Event): Promise<void> => {
    event?.preventDefault();
    const draft = this.form?.draft;
    if (draft === undefined) return;
    this.lost = null;
    this.errors = checkDraft(draft, this.#now);
    if (Object.keys(this.errors).length > 0) {
      await this.#focusFirstError();
      return;
    }
    await this.attempt(() => this.#create(draft));
    await this.#focusFirstError();
  };

  async #create(draft: Draft): Promise<void> {
    const before = Date.now();
    try {
      this.created = await this.api.create(createRequest(draft, this.#now), crypto.randomUUID());
    } catch (error) {
      const failure = asApiError(error);
      if (failure.outcomeUnknown) {
        await this.#lookForLost(draft, before);
        return;
      }
      this.errors = fieldErrors(failure, draft) ?? {};
      throw failure;
    }
    received.add(this.created.id);
    this.emit('key-created', this.created.id);
    await this.updateComplete;
    this.find<HTMLElement>('[data-secret]')?.focus();
  }

  /** Finds out whether a creation whose response did not arrive was carried out. */
  async #lookForLost(draft: Draft, since: number): Promise<void> {
    this.lost = { state: 'checking' };
    const name = draft.name.trim();
    try {
      const { items } = await this.api.list({ search: name, sort: '-createdAt', limit: 50, status: 'active' });
      // A minute, for clocks that differ.
      const keys = items.filter(
        (key) =>
          key.name === name &&
          key.createdBy === this.creator &&
          key.lastUsedAt === null &&
          Date.parse(key.createdAt) > since - 60_000 &&
          !received.has(key.id),
      );
      this.lost = keys.length > 0 ? { state: 'created', keys } : { state: 'not-created' };
    } catch (error) {
      this.lost = null;
      throw error instanceof ApiError ? error : asApiError(error);
    }
  }

  async #replace(keys: Key[]): Promise<void> {
    await this.attempt(async () => {
      // More than one where the browser itself sent the request again: Chromium does on a connection that broke.
      for (const { id } of keys) {
        await this.api.revoke(id);
        this.emit('key-revoked', id);
      }
      this.lost = null;
    });
    if (this.error === null) await this.#submit();
  }

  async #focusFirstError(): Promise<void> {
    await this.updateComplete;
    await this.form?.updateComplete;
    this.find<HTMLElement>('[aria-invalid="true"]')?.focus();
  }
}
define('rally-create-dialog', CreateDialog);
