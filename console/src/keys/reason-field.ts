import { html } from 'lit';
import type { ApiError } from '../api/problem.js';
import { texts } from '../texts.js';
import { icon } from '../ui/icons.js';

/** The reason for a change, with the service's errors about it. */
export function reasonField(id: string, reason: string, error: ApiError | null, onInput: (reason: string) => void, focus = false) {
  const errors = reasonErrors(error);
  return html`<div class="field">
    <label for="${id}-reason">${texts.reason.label} <span class="optional">${texts.common.optional}</span></label>
    <input
      id="${id}-reason"
      ?data-focus=${focus}
      type="text"
      maxlength="200"
      autocomplete="off"
      aria-describedby="${id}-reason-hint ${id}-reason-error"
      aria-invalid=${errors.length > 0 ? 'true' : 'false'}
      .value=${reason}
      @input=${(event: Event) => onInput((event.target as HTMLInputElement).value)}
    />
    <p class="hint-text" id="${id}-reason-hint">${texts.reason.hint}</p>
    <div id="${id}-reason-error">
      ${errors.map(({ message }) => html`<p class="field-error">${icon('warning')}<span>${message}</span></p>`)}
    </div>
  </div>`;
}

export const reasonErrors = (error: ApiError | null) => error?.errors.filter(({ field }) => field === 'reason') ?? [];
