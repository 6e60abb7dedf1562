import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Api, Caller, Interval, Key, KeyEvent, KeyUsage, Page, Versioned } from '../api/client.js';
import { DAY_MS, formatDateTime, formatNumber, formatRelative, moment, time } from '../format.js';
import { texts } from '../texts.js';
import { actorText, quotaText, rateText, scopeLevel, statusBadge } from '../ui/badges.js';
import '../ui/charts.js';
import '../ui/copy-button.js';
import { errorBox } from '../ui/error-box.js';
import { eventDot, eventLines, eventSentence } from '../ui/event-words.js';
import { icon } from '../ui/icons.js';
import { Clock, Load, Part, define, uniqueId } from '../ui/part.js';
import './edit-dialog.js';
import { addressText, programText } from './recent-callers.js';
import './revoke-dialog.js';
import './rotate-dialog.js';
import './rotation-panel.js';
import './suspend-dialog.js';

type DialogName = 'edit' | 'rotate' | 'suspend' | 'resume' | 'revoke';

/** How often a key is read again while it is looked at; the figures are at most 5 s behind. */
const REFRESH_MS = 10_000;
const REFRESH_IN_ROTATION_MS = 5_000;
const EVENTS = 20;

export const RANGES: Record<string, { ms: number; interval: Interval; label: string }> = {
  day: { ms: DAY_MS, interval: 'hour', label: texts.usage.day },
  week: { ms: 7 * DAY_MS, interval: 'hour', label: texts.usage.week },
  month: { ms: 30 * DAY_MS, interval: 'day', label: texts.usage.month },
  quarter: { ms: 90 * DAY_MS, interval: 'day', label: texts.usage.quarter },
};

/** From then on, so that the last bucket is the present one and all together are the range. */
export const rangeStart = ({ ms, interval }: { ms: number; interval: Interval }): Date =>
  new Date(Date.now() - ms + (interval === 'hour' ? 3_600_000 : DAY_MS));

/** One key: what it is, who uses it, what happened to it, and all that can be done with it. */
export class KeyView extends Part {
  @property({ attribute: false }) api!: Api;
  @property() keyId = '';
  @property({ type: Boolean }) mayChange = false;
  @property() granted = 'read';
  @property() listUrl = '';
  @state() private range = 'month';
  @state() private dialog: DialogName | null = null;
  @state() private notice = '';
  private readonly key = new Load<Versioned<Key>>(this);
  private readonly usage = new Load<KeyUsage>(this);
  private readonly quotaUsed = new Load<number>(this);
  private readonly callers = new Load<Caller[]>(this);
  private readonly events = new Load<Page<KeyEvent>>(this);
  readonly #id = uniqueId();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What opens once the dialog that is open has closed. */
  #next: DialogName | null = null;

  constructor() {
    super();
    new Clock(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('visibilitychange', this.#schedule);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('visibilitychange', this.#schedule);
    clearTimeout(this.#timer);
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('keyId') || changed.has('api')) {
      for (const load of [this.key, this.usage, this.quotaUsed, this.callers, this.events]) load.reset();
      this.dialog = null;
      void this.#open();
    }
  }

  async #open(): Promise<void> {
    await this.reload();
    await this.updateComplete;
    if (this.dialog === null) this.find<HTMLElement>('.title')?.focus({ preventScroll: true });
  }

  async reload(): Promise<void> {
    await Promise.all([this.#loadKey(), this.#loadUsage(), this.#loadCallers(), this.#loadEvents()]);
    this.#schedule();
  }

  async #loadKey(): Promise<void> {
    if (!(await this.key.run(() => this.api.key(this.keyId)))) return;
    const quota = this.key.value?.value.quota ?? null;
    if (quota === null) return;
    const now = new Date();
    const start = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), quota.per === 'day' ? now.getUTCDate() : 1));
    await this.quotaUsed.run(async () => {
      const { requests, denied } = await this.api.usage(this.keyId, start, 'day');
      return requests - denied;
    });
  }

  async #loadUsage(): Promise<void> {
    const range = RANGES[this.range];
    if (range !== undefined) await this.usage.run(() => this.api.usage(this.keyId, rangeStart(range), range.interval));
  }

  async #loadCallers(): Promise<void> {
    await this.callers.run(() => this.api.callers(this.keyId));
  }

  async #loadEvents(): Promise<void> {
    await this.events.run(() => this.api.keyEvents(this.keyId, { limit: EVENTS }));
  }

  async #olderEvents(): Promise<void> {
    const shown = this.events.value;
    if (shown?.next == null) return;
    const cursor = shown.next;
    await this.events.run(async () => {
      const older = await this.api.keyEvents(this.keyId, { limit: EVENTS, cursor });
      return { ...older, items: [...shown.items, ...older.items] };
    });
  }

  readonly #schedule = (): void => {
    clearTimeout(this.#timer);
    const key = this.key.value?.value;
    if (document.hidden || !this.isConnected || key === undefined || key.status === 'revoked') return;
    this.#timer = setTimeout(() => void this.#refresh(), key.rotation === null ? REFRESH_MS : REFRESH_IN_ROTATION_MS);
  };

  /** Quiet: a failure leaves what is shown; the next attempt is at the next turn. */
  async #refresh(): Promise<void> {
    const before = this.key.value?.etag;
    try {
      const now = await this.api.key(this.keyId);
      if (now.etag !== before && this.dialog === null) {
        this.key.value = now;
        this.requestUpdate();
        await Promise.all([this.#loadUsage(), this.#loadCallers(), this.#loadEvents()]);
      }
    } catch {
      // The next turn tries again.
    }
    this.#schedule();
  }

  protected override render() {
    const { value, error, slow } = this.key;
    return html`
      <p class="crumb">${this.#back()}</p>
      ${value === undefined && error !== null ? html`<h1 class="title" tabindex="-1">${texts.key.unknown}</h1>` : nothing}
      ${errorBox(error, () => this.reload())}
      ${value === undefined ? (error === null ? this.#skeleton() : nothing) : this.#content(value.value)}
      ${slow ? html`<p class="slow" role="status">${texts.common.slow}</p>` : nothing}
      <p class="visually-hidden" role="status">${this.notice}</p>
    `;
  }

  #back() {
    const back = (event: MouseEvent): void => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.emit('open-list');
    };
    const label = html`${icon('back')} ${texts.key.back}`;
    return this.listUrl === ''
      ? html`<button type="button" class="link" @click=${back}>${label}</button>`
      : html`<a class="link" href=${this.listUrl} @click=${back}>${label}</a>`;
  }

  #skeleton() {
    return html`<div class="skeleton" role="status" aria-label=${texts.common.loading}>
      ${[0, 1, 2].map(() => html`<div class="skeleton-row"><span></span><span></span></div>`)}
    </div>`;
  }

  #content(key: Key) {
    return html`
      <header class="view-head">
        <div>
          <h1 class="title" tabindex="-1">${key.name} ${statusBadge(key)}</h1>
          ${key.description === null ? nothing : html`<p class="muted long">${key.description}</p>`}
        </div>
        ${this.#actions(key)}
      </header>
      ${this.#banner(key)}
      ${key.rotation === null
        ? nothing
        : html`<rally-rotation-panel
            .api=${this.api}
            .key=${key}
            .callers=${this.callers.value ?? null}
            .secrets=${this.usage.value?.secrets ?? []}
            ?mayEnd=${this.mayChange}
            @key-changed=${() => this.reload()}
          ></rally-rotation-panel>`}
      <div class="columns">
        <div class="column">${this.#usageSection()} ${this.#callersSection()} ${this.#eventsSection()}</div>
        <div class="column side">${this.#facts(key)}</div>
      </div>
      ${this.#openDialog(key)}
    `;
  }

  #actions(key: Key) {
    if (!this.mayChange || key.status === 'revoked') return nothing;
    const t = texts.key;
    return html`<div class="actions" role="group" aria-label=${t.actions} part="actions">
      <button type="button" class="button" data-action="edit" @click=${() => (this.dialog = 'edit')}>${icon('edit')} ${t.edit}</button>
      ${key.status === 'expired'
        ? nothing
        : html`<button type="button" class="button" data-action="rotate" @click=${() => (this.dialog = 'rotate')}>${icon('rotate')} ${t.rotate}</button>
            ${key.status === 'suspended'
              ? html`<button type="button" class="button" data-action="resume" @click=${() => (this.dialog = 'resume')}>${icon('play')} ${t.resume}</button>`
              : html`<button type="button" class="button" data-action="suspend" @click=${() => (this.dialog = 'suspend')}>${icon('pause')} ${t.suspend}</button>`}`}
      <button type="button" class="button danger-quiet" data-action="revoke" @click=${() => (this.dialog = 'revoke')}>${icon('trash')} ${t.revoke}</button>
    </div>`;
  }

  #banner(key: Key) {
    const t = texts.key;
    const text = {
      active: null,
      suspended: key.suspendedUntil === null ? t.suspendedBanner : t.suspendedBannerUntil(formatDateTime(key.suspendedUntil)),
      expired: t.expiredBanner,
      revoked: t.revokedBanner,
    }[key.status];
    return text === null ? nothing : html`<p class="note ${key.status === 'suspended' ? 'warn' : ''}">${icon('info')}<span>${text}</span></p>`;
  }

  #usageSection() {
    const { value, error } = this.usage;
    return html`<section class="card" aria-labelledby="${this.#id}-usage">
      <div class="card-head">
        <h2 id="${this.#id}-usage" class="section-title">${texts.usage.chart}</h2>
        ${rangeButtons(this.range, (range) => {
          this.range = range;
          void this.#loadUsage();
        })}
      </div>
      ${errorBox(error, () => this.#loadUsage())}
      ${value === undefined ? nothing : html`<rally-usage-chart .buckets=${value.buckets} interval=${value.interval}></rally-usage-chart>`}
    </section>`;
  }

  #callersSection() {
    const t = texts.key;
    const { value, error } = this.callers;
    return html`<section class="card" aria-labelledby="${this.#id}-callers">
      <h2 id="${this.#id}-callers" class="section-title">${t.callers}</h2>
      ${errorBox(error, () => this.#loadCallers())}
      ${value === undefined
        ? nothing
        : value.length === 0
          ? html`<p class="muted">${t.callersNone}</p>`
          : html`<div class="scroll" tabindex="0" role="group" aria-label=${t.callers}>
              <table class="plain">
                <thead>
                  <tr>
                    <th scope="col">${t.callerAddress}</th>
                    <th scope="col">${t.callerProgram}</th>
                    <th scope="col">${t.callerLast}</th>
                    <th scope="col" class="number">${t.callerRequests}</th>
                    <th scope="col">${t.callerSecret}</th>
                  </tr>
                </thead>
                <tbody>
                  ${value.map(
                    (caller) => html`<tr>
                      <td>${addressText(caller)}</td>
                      <td>${programText(caller)}</td>
                      <td>${time(caller.lastSeenAt)}</td>
                      <td class="number">${formatNumber(caller.requests)}</td>
                      <td>${caller.secret === 'current' ? t.callerSecretCurrent : html`<span class="mark">${t.callerSecretPrevious}</span>`}</td>
                    </tr>`,
                  )}
                </tbody>
              </table>
            </div>
            <p class="hint-text">${t.callersHint}</p>`}
    </section>`;
  }

  #eventsSection() {
    const { value, error, busy } = this.events;
    return html`<section class="card" aria-labelledby="${this.#id}-events">
      <h2 id="${this.#id}-events" class="section-title">${texts.key.events}</h2>
      ${errorBox(error, () => this.#loadEvents())}
      ${value === undefined
        ? nothing
        : html`<ol class="timeline">
            ${value.items.map(
              (event) => html`<li>
                ${eventDot(event)}
                <div>
                  <p>${eventSentence(event, null, () => undefined)}</p>
                  <p class="muted small long">${eventLines(event).join(' · ')}</p>
                  <p class="muted small">${time(event.occurredAt)}${event.address === null ? nothing : ` ${texts.events.from(event.address)}`}</p>
                </div>
              </li>`,
            )}
          </ol>
          ${value.next === null ? nothing : html`<button type="button" class="button" ?disabled=${busy} @click=${() => this.#olderEvents()}>${texts.events.older}</button>`}`}
    </section>`;
  }

  #facts(key: Key) {
    const t = texts.key;
    const level = scopeLevel(key.scopes);
    const fact = (label: string, value: unknown) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`;
    return html`<section class="card" aria-labelledby="${this.#id}-about">
      <h2 id="${this.#id}-about" class="section-title">${t.about}</h2>
      <dl class="facts">
        ${fact(t.scopes, html`${texts.scopes[level]}<span class="fact-hint">${texts.scopes[`${level}Hint`]}</span>`)}
        ${fact(t.expires, key.expiresAt === null ? texts.time.never : html`${moment(key.expiresAt)}<span class="fact-hint">${formatRelative(key.expiresAt)}</span>`)}
        ${fact(t.lastUsed, time(key.lastUsedAt, texts.time.never))}
        ${fact(t.addresses, key.allowedAddresses.length === 0 ? t.addressesAny : html`<ul class="address-list">${key.allowedAddresses.map((address) => html`<li><code>${address}</code></li>`)}</ul>`)}
        ${fact(t.rateLimit, rateText(key.rateLimit))}
        ${fact(t.quota, this.#quota(key))}
        ${fact(t.created, html`${moment(key.createdAt)}${key.createdBy === null ? nothing : html`<span class="fact-hint long">${texts.list.by(actorText(key.createdBy))}</span>`}`)}
        ${key.revokedAt === null ? nothing : fact(t.revoked, moment(key.revokedAt))}
        ${fact(t.hint, html`<code>${key.keyHint}</code>`)}
        ${fact(t.id, html`<span class="id-line"><code class="id">${key.id}</code><rally-copy-button compact .text=${key.id} label="${texts.common.copy}: ${t.id}"></rally-copy-button></span>`)}
      </dl>
    </section>`;
  }

  #quota(key: Key) {
    const { quota } = key;
    const used = this.quotaUsed.value;
    if (quota === null || used === undefined) return quotaText(quota);
    const label = texts.key.quotaUsed(formatNumber(used), formatNumber(quota.requests));
    return html`${quotaText(quota)}<progress class="meter" max=${quota.requests} value=${Math.min(used, quota.requests)} aria-label=${label}></progress><span class="fact-hint">${label}</span>`;
  }

  #openDialog(key: Key) {
    const opened = this.key.value;
    const callers = this.callers.value ?? null;
    if (this.dialog === null || opened === undefined) return nothing;
    switch (this.dialog) {
      case 'edit':
        return html`<rally-edit-dialog .api=${this.api} .opened=${opened} granted=${this.granted} @closed=${this.#closed} @key-changed=${this.#changed}></rally-edit-dialog>`;
      case 'rotate':
        return html`<rally-rotate-dialog .api=${this.api} .opened=${opened} .callers=${callers} @closed=${this.#closed} @key-rotated=${this.#changed} @key-changed=${this.#changed}></rally-rotate-dialog>`;
      case 'suspend':
      case 'resume':
        return html`<rally-suspend-dialog .api=${this.api} .key=${key} .callers=${callers} ?resume=${this.dialog === 'resume'} @closed=${this.#closed} @key-changed=${this.#changed}></rally-suspend-dialog>`;
      case 'revoke':
        return html`<rally-revoke-dialog
          .api=${this.api}
          .key=${key}
          @closed=${this.#closed}
          @key-revoked=${this.#changed}
          @suspend-instead=${() => (this.#next = 'suspend')}
        ></rally-revoke-dialog>`;
    }
  }

  readonly #closed = async (): Promise<void> => {
    this.dialog = this.#next;
    this.#next = null;
    await this.#keepFocus();
  };

  readonly #changed = async (): Promise<void> => {
    await this.reload();
    this.notice = texts.key.changedMeanwhile;
    await this.#keepFocus();
  };

  /** The button that opened a dialog may be gone: a revoked key has none. */
  async #keepFocus(): Promise<void> {
    await this.updateComplete;
    const root = this.getRootNode() as Document | ShadowRoot;
    if (this.dialog === null && (root.activeElement === null || root.activeElement === document.body)) this.find<HTMLElement>('.title')?.focus();
  }
}
define('rally-key-view', KeyView);

export function rangeButtons(current: string, choose: (range: string) => void) {
  return html`<div class="segments small" role="group" aria-label=${texts.usage.range}>
    ${Object.entries(RANGES).map(
      ([name, { label }]) => html`<button type="button" class="segment" aria-pressed=${current === name ? 'true' : 'false'} @click=${() => choose(name)}><span>${label}</span></button>`,
    )}
  </div>`;
}
