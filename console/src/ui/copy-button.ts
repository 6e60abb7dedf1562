import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import { texts } from '../texts.js';
import { icon } from './icons.js';
import { define, Part } from './part.js';

/** Copies `text`. Where the browser refuses, it says so, and asks to copy by hand. */
export class CopyButton extends Part {
  @property({ attribute: false }) text = '';
  @property() label: string = texts.common.copy;
  @property({ type: Boolean }) primary = false;
  @property({ type: Boolean }) compact = false;
  @state() private outcome: 'none' | 'copied' | 'failed' = 'none';

  protected override render() {
    const said = { none: '', copied: texts.common.copied, failed: texts.common.copyFailed }[this.outcome];
    const kind = this.compact ? 'icon-button' : this.primary ? 'button primary' : 'button';
    return html`<button type="button" class=${kind} aria-label=${this.compact ? this.label : nothing} @click=${this.#copy}>
        ${icon(this.outcome === 'copied' ? 'check' : 'copy')} ${this.compact ? '' : said || this.label}
      </button>
      <span class="visually-hidden" role="status">${said}</span>`;
  }

  readonly #copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(this.text);
      this.outcome = 'copied';
      this.dispatchEvent(new CustomEvent('copied', { bubbles: true }));
    } catch {
      this.outcome = 'failed';
    }
    setTimeout(() => (this.outcome = 'none'), 3_000);
  };
}
define('rally-copy-button', CopyButton);
