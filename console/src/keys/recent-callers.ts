import { html, nothing } from 'lit';
import type { Caller } from '../api/client.js';
import { DAY_MS, formatNumber, time } from '../format.js';
import { texts } from '../texts.js';

export const recent = (callers: Caller[], now = Date.now()): Caller[] =>
  callers.filter((caller) => now - Date.parse(caller.lastSeenAt) < DAY_MS);

export const addressText = (caller: Caller) =>
  caller.address === null
    ? html`<span title=${texts.key.callerManyHint}>${texts.key.callerMany}</span>`
    : html`<code>${caller.address}</code>`;

export const programText = (caller: Caller) =>
  caller.userAgent === null
    ? caller.address === null
      ? nothing
      : html`<span class="muted">${texts.key.callerNoProgram}</span>`
    : html`<span class="program" title=${caller.userAgent}>${caller.userAgent}</span>`;

/** Who would notice: the callers of the last 24 hours, the 5 latest. */
export function recentCallers(callers: Caller[]) {
  const t = texts.revoke;
  const latest = recent(callers);
  if (latest.length === 0) return html`<p class="note good">${t.recentNone}</p>`;
  return html`<div class="note warn block">
    <p><b>${t.recent}</b></p>
    <ul class="caller-list">
      ${latest.slice(0, 5).map(
        (caller) => html`<li>${addressText(caller)} ${programText(caller)} <span class="muted">${time(caller.lastSeenAt)}</span></li>`,
      )}
      ${latest.length > 5 ? html`<li class="muted">+ ${formatNumber(latest.length - 5)}</li>` : nothing}
    </ul>
  </div>`;
}
