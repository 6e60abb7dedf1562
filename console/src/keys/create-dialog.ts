import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { CreatedKey, Policy } from '../api/client.js';
import { IdempotencyKeys, repeatIfLost } from '../api/repeat.js';
import { texts } from '../texts.js';
import { Dialog } from '../ui/dialog.js';
import { errorBox } from '../ui/error-box.js';
import { asApiError, define } from '../ui/part.js';
import { type Draft, type FieldErrors, checkDraft, createRequest, emptyDraft, fieldErrors } from './draft.js';
import './key-form.js';
import './secret-panel.js';
import type { KeyForm } from './key-form.js';

/** Creates a key and shows its secret once. */
export class CreateDialog extends Dialog {
  @property() granted = 'admin';
  @state() private policy: Policy | null = null;
  @state() private errors: FieldErrors = {};
  @state() private created: CreatedKey | null = null;
  @state() private stored = false;
  @state() private nudge = false;
  #initial: Draft = emptyDraft(null);
  readonly #now = Date.now();
  readonly #idempotencyKeys = new IdempotencyKeys();

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
        ${this.error === null || Object.keys(this.errors).length > 0 ? nothing : errorBox(this.error, this.#submit, false)}
        <rally-key-form isNew .initial=${this.#initial} .errors=${this.errors} .policy=${this.policy} granted=${this.granted} .now=${this.#now}></rally-key-form>
      </form>`,
      html`<button type="button" class="button" ?disabled=${this.busy} @click=${() => this.close()}>${texts.common.cancel}</button>
        <button type="submit" form="create-form" class="button primary" ?disabled=${this.busy}>
          ${this.busy ? t.creating : t.create}
        </button>`,
      { wide: true },
    );
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
    this.errors = checkDraft(draft, this.#now);
    if (Object.keys(this.errors).length > 0) {
      await this.#focusFirstError();
      return;
    }
    await this.attempt(() => this.#create(draft));
    await this.#focusFirstError();
  };

  async #create(draft: Draft): Promise<void> {
    const request = createRequest(draft, this.#now);
    try {
      this.created = await repeatIfLost(() => this.api.create(request, this.#idempotencyKeys.for(request)));
    } catch (error) {
      const failure = asApiError(error);
      this.errors = fieldErrors(failure, draft) ?? {};
      throw failure;
    }
    this.emit('key-created', this.created.id);
    await this.updateComplete;
    this.find<HTMLElement>('[data-secret]')?.focus();
  }

  async #focusFirstError(): Promise<void> {
    await this.updateComplete;
    await this.form?.updateComplete;
    this.find<HTMLElement>('[aria-invalid="true"]')?.focus();
  }
}
define('rally-create-dialog', CreateDialog);
