import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Api, Caller, Key, KeyUsage } from '../api/client.js';
import type { ApiError } from '../api/problem.js';
import { formatRelative, moment, time } from '../format.js';
import { texts } from '../texts.js';
import { Dialog } from '../ui/dialog.js';
import { errorBox } from '../ui/error-box.js';
import { icon } from '../ui/icons.js';
import { Part, define } from '../ui/part.js';
import { addressText, programText } from './recent-callers.js';

const t = texts.rotation;

type Progress = 'old' | 'moved' | 'silent';
interface Program {
  caller: Caller;
  progress: Progress;
}

/** A rotation in progress: who still uses the old secret, until when it works, and its end. */
export class RotationPanel extends Part {
  @property({ attribute: false }) api!: Api;
  @property({ attribute: false }) key!: Key;
  @property({ attribute: false }) callers: Caller[] | null = null;
  @property({ attribute: false }) secrets: KeyUsage['secrets'] = [];
  @property({ type: Boolean }) mayEnd = false;
  @state() private ends = false;
  @state() private error: ApiError | null = null;

  protected override render() {
    const { rotation } = this.key;
    if (rotation === null) return nothing;
    const { previousKeyHint, previousExpiresAt, previousLastUsedAt } = rotation;
    const secret = this.secrets.find(({ keyHint, retiredAt }) => keyHint === previousKeyHint && retiredAt !== null);
    const since = secret?.retiredAt ?? null;
    const programs = since === null || this.callers === null ? [] : programsSince(this.callers, since);
    const usedSince = since !== null && previousLastUsedAt !== null && Date.parse(previousLastUsedAt) > Date.parse(since);
    const who = [secret?.lastAddress, secret?.lastUserAgent].filter(Boolean).join(' · ');
    const sentence = !usedSince
      ? t.unused
      : who === ''
        ? t.used(formatRelative(previousLastUsedAt))
        : t.usedBy(formatRelative(previousLastUsedAt), who);
    return html`<section class="card rotation" part="rotation" aria-label=${t.title}>
      <div class="card-head">
        <h2 class="section-title">${icon('rotate')} ${t.title}</h2>
        ${this.mayEnd ? html`<button type="button" class="button" data-action="end-previous" @click=${() => (this.ends = true)}>${t.end}</button>` : nothing}
      </div>
      <p>${t.until(previousKeyHint)} ${moment(previousExpiresAt)} <span class="muted">(${time(previousExpiresAt)})</span>.</p>
      ${this.#elapsed(since, previousExpiresAt)}
      <p class="rotation-state ${usedSince ? 'warn' : 'good'}" aria-live="polite" data-state=${usedSince ? 'used' : 'unused'}>
        ${icon(usedSince ? 'warning' : 'check')}<span>${sentence}</span>
      </p>
      ${programs.length === 0
        ? nothing
        : html`<ul class="programs" aria-label=${t.programs}>
            ${programs.map(({ caller, progress }) => this.#program(caller, progress))}
          </ul>`}
      ${errorBox(this.error)}
      ${this.ends
        ? html`<rally-end-secret-dialog
            .api=${this.api}
            keyId=${this.key.id}
            .usedAt=${usedSince ? previousLastUsedAt : null}
            @closed=${() => (this.ends = false)}
          ></rally-end-secret-dialog>`
        : nothing}
    </section>`;
  }

  #elapsed(since: string | null, until: string) {
    if (since === null) return nothing;
    const start = Date.parse(since);
    const percent = Math.min(100, Math.max(0, Math.round(((Date.now() - start) / (Date.parse(until) - start)) * 100)));
    return html`<progress class="meter" max="100" value=${percent} aria-label=${t.elapsed(percent)}></progress>`;
  }

  #program(caller: Caller, progress: Progress) {
    const label = { old: t.stillOld, moved: t.moved, silent: t.silent }[progress];
    return html`<li>
      <span class="program-state ${progress}">${icon(progress === 'moved' ? 'check' : progress === 'old' ? 'warning' : 'info')} ${label}</span>
      <span>${addressText(caller)} ${programText(caller)}</span>
      <span class="muted">${time(caller.lastSeenAt)}</span>
    </li>`;
  }
}
define('rally-rotation-panel', RotationPanel);

/** Each program once, by address and name, with what it has used since the rotation. */
function programsSince(callers: Caller[], since: string): Program[] {
  const programs = new Map<string, Program>();
  const rotated = Date.parse(since);
  // The latest first.
  for (const caller of callers) {
    const id = `${caller.address}\n${caller.userAgent}`;
    const isSince = Date.parse(caller.lastSeenAt) > rotated;
    const progress: Progress = !isSince ? 'silent' : caller.secret === 'previous' ? 'old' : 'moved';
    if (!programs.has(id)) programs.set(id, { caller, progress });
  }
  const order: Progress[] = ['old', 'silent', 'moved'];
  return [...programs.values()].sort((a, b) => order.indexOf(a.progress) - order.indexOf(b.progress)).slice(0, 10);
}

/** Asks once more before the old secret ends. */
export class EndSecretDialog extends Dialog {
  @property() keyId = '';
  @property({ attribute: false }) usedAt: string | null = null;

  protected override render() {
    return this.frame(
      t.endTitle,
      html`${errorBox(this.error, this.#end, false)}
        <p>${t.endText}</p>
        ${this.usedAt === null ? html`<p class="note good">${t.unused}</p>` : html`<p class="note warn">${icon('warning')}<span>${t.endUsed(formatRelative(this.usedAt))}</span></p>`}`,
      html`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${() => this.close()}>${texts.common.cancel}</button>
        <button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#end}>${t.end}</button>`,
    );
  }

  readonly #end = async (): Promise<void> => {
    await this.attempt(async () => {
      await this.api.endPreviousSecret(this.keyId);
      this.busy = false;
      this.emit('key-changed', this.keyId);
      this.close();
    });
  };
}
define('rally-end-secret-dialog', EndSecretDialog);
