import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Caller, Key, Receipt } from '../api/client.js';
import { formatNumber } from '../format.js';
import { texts } from '../texts.js';
import { Dialog } from '../ui/dialog.js';
import { errorBox } from '../ui/error-box.js';
import { icon } from '../ui/icons.js';
import { Load, define, uniqueId } from '../ui/part.js';
import { reasonErrors, reasonField } from './reason-field.js';
import { recent, recentCallers } from './recent-callers.js';

const t = texts.revoke;

/** Revokes a key, after a look at who uses it. The name of a key in use is to be typed. */
export class RevokeDialog extends Dialog {
  @property({ attribute: false }) key!: Key;
  @state() private reason = '';
  @state() private typed = '';
  @state() private mismatch = false;
  @state() private receipt: Receipt | null | undefined;
  private readonly callers = new Load<Caller[]>(this);
  readonly #id = uniqueId();

  override connectedCallback(): void {
    super.connectedCallback();
    void this.callers.run(() => this.api.callers(this.key.id));
  }

  /** Also where it is not known: a key that cannot be used any more needs no care. */
  get #isInUse(): boolean {
    const { value } = this.callers;
    if (this.key.status === 'expired') return false;
    return value === undefined ? this.callers.error !== null : recent(value).length > 0;
  }

  protected override render() {
    const { key, receipt } = this;
    if (receipt !== undefined) {
      return this.frame(
        texts.key.revokedBanner,
        html`<p class="note" role="status">
          ${icon('info')}<span>${receipt === null ? t.unproven : t.proven(formatNumber(receipt.instances), formatNumber(receipt.slowest))}</span>
        </p>`,
        html`<button type="button" class="button primary" data-focus @click=${() => this.close()}>${texts.common.close}</button>`,
      );
    }
    const maySuspend = key.status === 'active';
    return this.frame(
      t.title(key.name),
      html`<form id="revoke-form" novalidate @submit=${this.#submit}>
        ${reasonErrors(this.error).length === 0 ? errorBox(this.error, this.#submit, false) : nothing}
        <p>${t.lead}</p>
        ${this.#usage()}
        ${maySuspend
          ? html`<p class="suggestion">
              <span>${t.suspendFirst}</span>
              <button type="button" class="button" @click=${this.#suspendInstead}>${icon('pause')} ${t.suspendInstead}</button>
            </p>`
          : nothing}
        ${reasonField(this.#id, this.reason, this.error, (reason) => (this.reason = reason))}
        ${this.#isInUse ? this.#nameField() : nothing}
      </form>`,
      html`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${() => this.close()}>${texts.common.cancel}</button>
        <button type="submit" form="revoke-form" class="button danger" ?disabled=${this.busy || (this.callers.value === undefined && this.callers.error === null)}>
          ${this.busy ? t.busy : t.submit}
        </button>`,
    );
  }

  #usage() {
    const { value, error } = this.callers;
    if (value !== undefined) return recentCallers(value);
    return error === null
      ? html`<p class="muted" role="status">${texts.common.loading}</p>`
      : html`<p class="note warn">${icon('warning')}<span>${t.recentUnknown}</span></p>`;
  }

  #nameField() {
    return html`<div class="field">
      <label for="${this.#id}-name">${t.typeName(this.key.name)}</label>
      <input
        id="${this.#id}-name"
        type="text"
        autocomplete="off"
        spellcheck="false"
        aria-describedby="${this.#id}-mismatch"
        aria-invalid=${this.mismatch ? 'true' : 'false'}
        .value=${this.typed}
        @input=${(event: Event) => {
          this.typed = (event.target as HTMLInputElement).value;
          this.mismatch = false;
        }}
      />
      <div id="${this.#id}-mismatch">
        ${this.mismatch ? html`<p class="field-error">${icon('warning')}<span>${t.typeMismatch}</span></p>` : nothing}
      </div>
    </div>`;
  }

  readonly #suspendInstead = (): void => {
    this.emit('suspend-instead');
    this.close();
  };

  readonly #submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    this.mismatch = this.#isInUse && this.typed.trim() !== this.key.name;
    if (this.mismatch) {
      await this.updateComplete;
      this.find<HTMLElement>('[aria-invalid="true"]')?.focus();
      return;
    }
    await this.attempt(async () => {
      this.receipt = await this.api.revoke(this.key.id, this.reason.trim());
      this.emit('key-revoked', this.key.id);
    });
    if (this.receipt !== undefined) this.find<HTMLElement>('[data-focus]')?.focus();
  };
}
define('rally-revoke-dialog', RevokeDialog);
