import { html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Api } from '../api/client.js';
import type { ApiError } from '../api/problem.js';
import { texts } from '../texts.js';
import { icon } from './icons.js';
import { asApiError, Part, uniqueId } from './part.js';

/** A modal dialog. It leaves the tree when it closes, and the browser returns the focus to where it was. */
export abstract class Dialog extends Part {
  @property({ attribute: false }) api!: Api;
  @state() protected busy = false;
  @state() protected error: ApiError | null = null;
  readonly #titleId = uniqueId();

  protected get dialog(): HTMLDialogElement | null {
    return this.find('dialog');
  }

  override firstUpdated(): void {
    this.dialog?.showModal();
    // The parts inside render after this one.
    setTimeout(() => this.find<HTMLElement>('[data-focus]')?.focus());
  }

  close(): void {
    this.dialog?.close();
  }

  /** False keeps the dialog open on Escape and on the close button. */
  protected mayClose(): boolean {
    return !this.busy;
  }

  protected frame(title: string, body: unknown, footer: unknown, options: { wide?: boolean; closable?: boolean } = {}): TemplateResult {
    const { wide = false, closable = true } = options;
    return html`<dialog
      class=${wide ? 'dialog wide' : 'dialog'}
      part="dialog"
      aria-labelledby=${this.#titleId}
      @cancel=${(event: Event) => {
        if (!this.mayClose()) event.preventDefault();
      }}
      @close=${this.#closed}
    >
      <div class="dialog-head">
        <h2 id=${this.#titleId} tabindex="-1" class="dialog-title">${title}</h2>
        ${closable
          ? html`<button type="button" class="icon-button" aria-label=${texts.common.close} @click=${() => this.mayClose() && this.close()}>
              ${icon('close')}
            </button>`
          : nothing}
      </div>
      <div class="dialog-body">${body}</div>
      ${footer === nothing ? nothing : html`<div class="dialog-foot">${footer}</div>`}
    </dialog>`;
  }

  /** Runs the change that the dialog is for; shows what it was refused with. */
  protected async attempt(change: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.error = null;
    try {
      await change();
    } catch (error) {
      this.error = asApiError(error);
    } finally {
      this.busy = false;
    }
    await this.updateComplete;
    if (this.error !== null) {
      (this.find<HTMLElement>('[aria-invalid="true"]') ?? this.find<HTMLElement>('.problem'))?.focus();
    }
  }

  readonly #closed = async (event: Event): Promise<void> => {
    if (event.target !== this.dialog) return;
    // Chromium closes on a second Escape without asking.
    if (!this.mayClose()) {
      this.dialog?.showModal();
      return;
    }
    this.dispatchEvent(new CustomEvent('closed'));
  };
}
