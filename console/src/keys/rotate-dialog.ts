import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Caller, CreatedKey, Key, Versioned } from '../api/client.js';
import { IdempotencyKeys, repeatIfLost } from '../api/repeat.js';
import { formatDateTime } from '../format.js';
import { texts } from '../texts.js';
import { Dialog } from '../ui/dialog.js';
import { errorBox } from '../ui/error-box.js';
import { icon } from '../ui/icons.js';
import { define, uniqueId } from '../ui/part.js';
import { recentCallers } from './recent-callers.js';
import './secret-panel.js';

const t = texts.rotate;
const OVERLAPS: [number, string][] = [
  [3_600, t.hour],
  [86_400, t.day],
  [604_800, t.week],
  [0, t.none],
];

/** Gives a key a new secret and shows it once. */
export class RotateDialog extends Dialog {
  @property({ attribute: false }) opened!: Versioned<Key>;
  @property({ attribute: false }) callers: Caller[] | null = null;
  @state() private overlap = 86_400;
  @state() private created: CreatedKey | null = null;
  @state() private stored = false;
  @state() private nudge = false;
  readonly #idempotencyKeys = new IdempotencyKeys();
  readonly #name = uniqueId();

  protected override mayClose(): boolean {
    if (this.created === null) return super.mayClose();
    if (!this.stored) this.nudge = true;
    return this.stored;
  }

  protected override render() {
    if (this.created !== null) return this.#secret(this.created);
    const key = this.opened.value;
    const end = key.expiresAt !== null && Date.parse(key.expiresAt) < Date.now() + this.overlap * 1000 ? key.expiresAt : null;
    return this.frame(
      t.title(key.name),
      html`
        ${errorBox(this.error, this.#rotate, false)}
        <p>${t.lead}</p>
        <ol class="steps">${t.steps.map((step) => html`<li>${step}</li>`)}</ol>
        <fieldset class="field">
          <legend>${t.overlap}</legend>
          <div class="segments">
            ${OVERLAPS.map(
              ([seconds, label]) => html`<label class="segment">
                <input type="radio" ?data-focus=${this.overlap === seconds} name=${this.#name} .checked=${this.overlap === seconds} @change=${() => (this.overlap = seconds)} />
                <span>${label}</span>
              </label>`,
            )}
          </div>
          <p class=${this.overlap === 0 ? 'note warn' : 'hint-text'} aria-live="polite">
            ${this.overlap === 0 ? html`${icon('warning')}<span>${t.noneHint}</span>` : end === null ? nothing : t.capped(formatDateTime(end))}
          </p>
        </fieldset>
        ${key.rotation === null ? nothing : html`<p class="note warn">${icon('warning')}<span>${t.already(key.rotation.previousKeyHint)}</span></p>`}
        ${this.callers === null ? nothing : recentCallers(this.callers)}
      `,
      html`<button type="button" class="button" ?disabled=${this.busy} @click=${() => this.close()}>${texts.common.cancel}</button>
        <button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#rotate}>${this.busy ? t.busy : t.submit}</button>`,
    );
  }

  #secret(created: CreatedKey) {
    return this.frame(
      texts.secret.rotatedTitle,
      html`<rally-secret-panel .created=${created} baseUrl=${this.api.baseUrl} ?nudge=${this.nudge && !this.stored}></rally-secret-panel>`,
      html`<label class="confirm">
          <input type="checkbox" .checked=${this.stored} @change=${(event: Event) => (this.stored = (event.target as HTMLInputElement).checked)} />
          <span>${texts.secret.stored}</span>
        </label>
        <button type="button" class="button primary" ?disabled=${!this.stored} @click=${() => this.close()}>${texts.secret.done}</button>`,
      { wide: true, closable: false },
    );
  }

  readonly #rotate = async (): Promise<void> => {
    await this.attempt(async () => {
      const { value, etag } = this.opened;
      const idempotencyKey = this.#idempotencyKeys.for(this.overlap);
      this.created = await repeatIfLost(() => this.api.rotate(value.id, this.overlap, etag, idempotencyKey));
      this.emit('key-rotated', value.id);
      await this.updateComplete;
      this.find<HTMLElement>('[data-secret]')?.focus();
    });
  };
}
define('rally-rotate-dialog', RotateDialog);
