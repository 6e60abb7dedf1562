import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Api, EventQuery, EventType, KeyEvent } from '../api/client.js';
import type { ApiError } from '../api/problem.js';
import { moment } from '../format.js';
import { texts } from '../texts.js';
import { actorText } from '../ui/badges.js';
import { errorBox } from '../ui/error-box.js';
import { eventDot, eventLines, eventSentence, nameInEvent } from '../ui/event-words.js';
import { icon } from '../ui/icons.js';
import { Clock, Load, Part, asApiError, define, uniqueId } from '../ui/part.js';
import { type Format, download, exportText } from './export.js';

interface Filters {
  type: EventType | '';
  keyId: string;
  actor: string;
  since: string;
  until: string;
}

interface Found {
  events: KeyEvent[];
  next: string | null;
  /** Events read, those that did not match included. */
  scanned: number;
}

const NO_FILTERS: Filters = { type: '', keyId: '', actor: '', since: '', until: '' };
const PAGE = 100;
const WANTED = 25;
/** Events that one step reads for matches; "Show older" goes on. */
const SCAN = 2_000;
const EXPORT_PAGE = 1_000;
const TYPING_MS = 300;

/** The audit trail of the tenant. The service filters, but for a part of the actor's name, which is searched while pages are read. */
export class AuditView extends Part {
  @property({ attribute: false }) api!: Api;
  @property() keyId = '';
  @state() private filters: Filters = NO_FILTERS;
  @state() private exported: { count: number; done: boolean } | null = null;
  @state() private exportError: ApiError | null = null;
  private readonly found = new Load<Found>(this);
  /** Names of keys: from events, and for the rest from the service. */
  readonly #names = new Map<string, string>();
  readonly #id = uniqueId();
  #typing: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    new Clock(this);
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('keyId')) this.filters = { ...NO_FILTERS, keyId: this.keyId };
    if (changed.has('api') || changed.has('keyId')) void this.reload();
  }

  async reload(): Promise<void> {
    await this.found.run(() => this.#search({ events: [], next: null, scanned: 0 }));
  }

  async #older(): Promise<void> {
    const shown = this.found.value;
    if (shown !== undefined) await this.found.run(() => this.#search(shown));
  }

  #filter(change: Partial<Filters>): void {
    this.filters = { ...this.filters, ...change };
    this.exported = null;
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => void this.reload(), 'actor' in change ? TYPING_MS : 0);
  }

  async #search(shown: Found): Promise<Found> {
    const { filters } = this;
    const events = [...shown.events];
    let { next, scanned } = shown;
    const wanted = events.length + WANTED;
    const limit = scanned + SCAN;
    do {
      const page = await this.api.events(queryOf(filters, next, PAGE));
      scanned += page.items.length;
      next = page.next;
      events.push(...page.items.filter((event) => matches(event, filters)));
    } while (next !== null && events.length < wanted && scanned < limit);
    await this.#loadNames(events);
    return { events, next, scanned };
  }

  /** Events are newest first, so the first name found is the latest. */
  async #loadNames(events: KeyEvent[]): Promise<void> {
    const missing = new Set<string>();
    for (const event of events) {
      if (event.keyId === null || this.#names.has(event.keyId)) continue;
      const name = nameInEvent(event);
      if (name === null) missing.add(event.keyId);
      else this.#names.set(event.keyId, name);
    }
    const unknown = [...missing].filter((id) => !this.#names.has(id)).slice(0, 50);
    await Promise.all(
      unknown.map(async (id) => {
        try {
          this.#names.set(id, (await this.api.key(id)).value.name);
        } catch {
          this.#names.set(id, id);
        }
      }),
    );
  }

  protected override render() {
    const t = texts.audit;
    const { value, error, busy, slow } = this.found;
    const isExporting = this.exported !== null && !this.exported.done;
    return html`
      <div class="view-head">
        <div>
          <h1 class="title" tabindex="-1">${t.title}</h1>
          <p class="muted">${t.intro}</p>
        </div>
        <div class="actions">
          <button type="button" class="button" data-export="ndjson" ?disabled=${isExporting} @click=${() => this.#export('ndjson')}>${icon('download')} ${t.exportNdjson}</button>
          <button type="button" class="button" data-export="csv" ?disabled=${isExporting} @click=${() => this.#export('csv')}>${icon('download')} ${t.exportCsv}</button>
        </div>
      </div>
      ${this.#toolbar()}
      <p class="small muted" role="status">
        ${this.exported === null ? '' : this.exported.done ? t.exported(this.exported.count) : t.exporting(this.exported.count)}
      </p>
      ${[error, this.exportError].map((problem) => errorBox(problem, () => this.reload()))}
      ${value === undefined
        ? nothing
        : value.events.length === 0
          ? html`<section class="empty small"><h2>${t.none}</h2><p class="muted">${t.scanned(value.scanned)}</p></section>`
          : html`<ol class="event-list" aria-label=${t.title} aria-busy=${busy ? 'true' : 'false'}>${value.events.map((event) => this.#event(event))}</ol>`}
      ${value?.next == null
        ? nothing
        : html`<p class="form-foot"><button type="button" class="button" ?disabled=${busy} @click=${() => this.#older()}>${texts.events.older}</button>
            <span class="muted small">${t.scanned(value.scanned)}</span></p>`}
      ${slow ? html`<p class="slow" role="status">${texts.common.slow}</p>` : nothing}
    `;
  }

  #toolbar() {
    const t = texts.audit;
    const { filters } = this;
    const isFiltered = JSON.stringify(filters) !== JSON.stringify(NO_FILTERS);
    return html`<div class="tools">
      <div class="select">
        <label for="${this.#id}-type">${t.type}</label>
        <select id="${this.#id}-type" @change=${(event: Event) => this.#filter({ type: valueOf(event) as EventType | '' })}>
          <option value="">${t.typeAny}</option>
          ${Object.entries(texts.events.types).map(([type, label]) => html`<option value=${type} ?selected=${filters.type === type}>${label}</option>`)}
        </select>
      </div>
      <div class="select">
        <label for="${this.#id}-actor">${t.actor}</label>
        <input id="${this.#id}-actor" type="search" autocomplete="off" placeholder=${t.actorPlaceholder} .value=${filters.actor} @input=${(event: Event) => this.#filter({ actor: valueOf(event).trim() })} />
      </div>
      <div class="select">
        <label for="${this.#id}-since">${t.since}</label>
        <input id="${this.#id}-since" type="date" .value=${filters.since} @change=${(event: Event) => this.#filter({ since: valueOf(event) })} />
      </div>
      <div class="select">
        <label for="${this.#id}-until">${t.until}</label>
        <input id="${this.#id}-until" type="date" .value=${filters.until} @change=${(event: Event) => this.#filter({ until: valueOf(event) })} />
      </div>
      ${isFiltered ? html`<button type="button" class="button" @click=${() => this.#filter(NO_FILTERS)}>${t.clear}</button>` : nothing}
      ${filters.keyId === '' ? nothing : html`<p class="small muted">${t.onlyKey(this.#names.get(filters.keyId) ?? filters.keyId)}</p>`}
    </div>`;
  }

  #event(event: KeyEvent) {
    const { keyId } = event;
    const name = keyId === null ? '' : (this.#names.get(keyId) ?? keyId);
    const sentence = eventSentence(event, name, (id) => this.#names.get(id));
    return html`<li>
      ${eventDot(event)}
      <div>
        <p class="long">${keyId === null ? sentence : html`<a class="link" href="#/keys/${keyId}">${sentence}</a>`}</p>
        <p class="muted small long">${eventLines(event).join(' · ')}</p>
      </div>
      <div class="event-when">
        <p>${moment(event.occurredAt)}</p>
        ${event.address === null ? nothing : html`<p><code>${event.address}</code></p>`}
        ${keyId === null || this.filters.keyId !== ''
          ? nothing
          : html`<button type="button" class="link" @click=${() => this.#filter({ keyId })}>${texts.audit.onlyThisKey}<span class="visually-hidden">: ${name}</span></button>`}
      </div>
    </li>`;
  }

  /** All that matches, read page by page and written in the browser. */
  async #export(format: Format): Promise<void> {
    const { filters } = this;
    const events: KeyEvent[] = [];
    this.exported = { count: 0, done: false };
    this.exportError = null;
    try {
      let next: string | null = null;
      do {
        const page = await this.api.events(queryOf(filters, next, EXPORT_PAGE));
        events.push(...page.items.filter((event) => matches(event, filters)));
        next = page.next;
        this.exported = { count: events.length, done: false };
      } while (next !== null);
    } catch (error) {
      this.exported = null;
      this.exportError = asApiError(error);
      return;
    }
    const type = format === 'csv' ? 'text/csv;charset=utf-8' : 'application/x-ndjson';
    download(exportText(events, format), `api-key-events-${new Date().toISOString().slice(0, 10)}.${format}`, type);
    this.exported = { count: events.length, done: true };
  }
}
define('rally-audit-view', AuditView);

const valueOf = (event: Event): string => (event.target as HTMLInputElement).value;

function queryOf({ type, keyId, since, until }: Filters, cursor: string | null, limit: number): EventQuery {
  const query: EventQuery = { limit };
  if (type !== '') query.type = type;
  if (keyId !== '') query.keyId = keyId;
  if (since !== '') query.since = startOf(since);
  if (until !== '') query.until = startOf(until, 1);
  if (cursor !== null) query.cursor = cursor;
  return query;
}

const matches = (event: KeyEvent, { actor }: Filters): boolean =>
  actor === '' || actorText(event.actor).toLowerCase().includes(actor.toLowerCase());

/** Dates are days of the reader's time zone; `until` is the end of its day. */
function startOf(date: string, plusDays = 0): string {
  const [year = 0, month = 1, day = 1] = date.split('-').map(Number);
  return new Date(year, month - 1, day + plusDays).toISOString();
}
