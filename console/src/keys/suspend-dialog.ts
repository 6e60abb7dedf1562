import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Caller, Key } from '../api/client.js';
import { toLocalInput } from '../format.js';
import { texts } from '../texts.js';
import { Dialog } from '../ui/dialog.js';
import { errorBox } from '../ui/error-box.js';
import { icon } from '../ui/icons.js';
import { define, uniqueId } from '../ui/part.js';
import { reasonErrors, reasonField } from './reason-field.js';
import { recentCallers } from './recent-callers.js';

const t = texts.suspend;
type Until = 'resumed' | 'hour' | 'day' | 'week' | 'custom';
const SECONDS = { hour: 3_600, day: 86_400, week: 604_800 };
const CHOICES: [Until, string][] = [
  ['resumed', t.untilResumed],
  ['hour', t.hour],
  ['day', t.day],
  ['week', t.week],
  ['custom', t.custom],
];

/** Suspends a key, or resumes it. */
export class SuspendDialog extends Dialog {
  @property({ attribute: false }) key!: Key;
  @property({ attribute: false }) callers: Caller[] | null = null;
  @property({ type: Boolean }) resume = false;
  @state() private until: Until = 'resumed';
  @state() private customAt = toLocalInput(new Date(Date.now() + 2 * 86_400_000));
  @state() private reason = '';
  @state() private customError = false;
  readonly #id = uniqueId();

  protected override render() {
    const { key, resume } = this;
    const showsError = reasonErrors(this.error).length === 0;
    return this.frame(
      resume ? t.resumeTitle(key.name) : t.title(key.name),
      html`<form id="suspend-form" novalidate @submit=${this.#submit}>
        ${showsError ? errorBox(this.error, this.#submit, false) : nothing}
        <p>${resume ? t.resumeLead : t.lead}</p>
        ${resume ? nothing : this.#untilField()}
        ${reasonField(this.#id, this.reason, this.error, (reason) => (this.reason = reason), resume)}
        ${resume || this.callers === null ? nothing : recentCallers(this.callers)}
      </form>`,
      html`<button type="button" class="button" ?disabled=${this.busy} @click=${() => this.close()}>${texts.common.cancel}</button>
        <button type="submit" form="suspend-form" class="button primary" ?disabled=${this.busy}>
          ${resume ? (this.busy ? t.resumeBusy : t.resumeSubmit) : this.busy ? t.busy : t.submit}
        </button>`,
    );
  }

  #untilField() {
    return html`<fieldset class="field">
      <legend>${t.until}</legend>
      <div class="segments">
        ${CHOICES.map(
          ([choice, label], index) => html`<label class="segment">
            <input type="radio" ?data-focus=${index === 0} name="${this.#id}-until" .checked=${this.until === choice} @change=${() => (this.until = choice)} />
            <span>${label}</span>
          </label>`,
        )}
      </div>
      ${this.until === 'custom'
        ? html`<div class="inline-field">
            <label for="${this.#id}-custom">${t.customAt}</label>
            <input
              id="${this.#id}-custom"
              type="datetime-local"
              min=${toLocalInput(new Date())}
              aria-invalid=${this.customError ? 'true' : 'false'}
              aria-describedby="${this.#id}-custom-error"
              .value=${this.customAt}
              @input=${(event: Event) => (this.customAt = (event.target as HTMLInputElement).value)}
            />
          </div>`
        : nothing}
      <div id="${this.#id}-custom-error">
        ${this.customError ? html`<p class="field-error">${icon('warning')}<span>${texts.form.customRequired}</span></p>` : nothing}
      </div>
    </fieldset>`;
  }

  readonly #submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const at = this.#end();
    this.customError = at !== null && !(at.getTime() > Date.now());
    if (this.customError) {
      await this.updateComplete;
      this.find<HTMLElement>('[aria-invalid="true"]')?.focus();
      return;
    }
    await this.attempt(async () => {
      const { id } = this.key;
      const reason = this.reason.trim() || null;
      await (this.resume ? this.api.resume(id, reason) : this.api.suspend(id, at?.toISOString() ?? null, reason));
      this.emit('key-changed', id);
      this.busy = false;
      this.close();
    });
  };

  #end(): Date | null {
    if (this.until === 'resumed' || this.resume) return null;
    return this.until === 'custom' ? new Date(this.customAt) : new Date(Date.now() + SECONDS[this.until] * 1000);
  }
}
define('rally-suspend-dialog', SuspendDialog);
