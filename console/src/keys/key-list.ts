import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import { type Api, type Key, MAX_COUNTED, type Me, type Page, type Status } from '../api/client.js';
import { formatDate, formatExact, formatNumber, time } from '../format.js';
import { texts } from '../texts.js';
import { LEVELS, type Mark, type ScopeLevel, actorText, markBadge, marksOf, scopeBadge, statusBadge } from '../ui/badges.js';
import { sparkline } from '../ui/charts.js';
import { errorBox } from '../ui/error-box.js';
import { icon } from '../ui/icons.js';
import { Clock, Load, Part, define, uniqueId } from '../ui/part.js';
import { type Counts, type Filters, NO_FILTERS, type Sort, isFiltered, loadCounts, loadPage, shownSort } from './list-query.js';

const STATUSES: Status[] = ['active', 'suspended', 'expired', 'revoked'];
const MARKS: Mark[] = ['oldSecret', 'expiring', 'idle', 'neverUsed'];
const SEARCH_DELAY_MS = 250;

/** The keys of the tenant: counts, filters, order, pages. */
export class KeyList extends Part {
  @property({ attribute: false }) api!: Api;
  @property({ attribute: false }) me: Me | null = null;
  @property({ type: Boolean }) mayCreate = false;
  @property({ type: Number }) pageSize = 50;
  /** The link of a key, with `{id}`; empty: names are buttons. */
  @property() keyUrl = '';

  @state() private filters: Filters = NO_FILTERS;
  @state() private counts: Counts = { statuses: {}, marks: {} };
  /** The cursors of the pages up to the one shown; the first has none. */
  @state() private cursors: (string | null)[] = [null];
  private readonly page = new Load<Page<Key>>(this);
  readonly #searchId = uniqueId();
  readonly #scopeId = uniqueId();
  readonly #creatorId = uniqueId();
  readonly #sortId = uniqueId();
  #isMarked = false;
  #searchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    new Clock(this);
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('api')) this.reload();
  }

  /** Reads the page that is shown, and the counts, once more. */
  async reload(): Promise<void> {
    if (await this.#load()) await loadCounts(this.api, (counts) => (this.counts = counts));
  }

  protected override updated(): void {
    // What `performance.getEntriesByName` and the browser's tools show: since when the list can be used.
    if (this.#isMarked || this.page.value === undefined) return;
    this.#isMarked = true;
    performance.mark('rally-list');
  }

  /** Puts the focus on the key's name, if it is on this page. */
  focusKey(id: string): void {
    this.find<HTMLElement>(`[data-key="${CSS.escape(id)}"] .key-name`)?.focus();
  }

  #load(): Promise<boolean> {
    const { filters } = this;
    return this.page.run(() => loadPage(this.api, filters, this.pageSize, this.cursors.at(-1) ?? null));
  }

  #filter(change: Partial<Filters>): void {
    this.filters = { ...this.filters, ...change };
    this.cursors = [null];
    void this.#load();
  }

  protected override render() {
    const { value, error, slow } = this.page;
    const isEmpty = value !== undefined && value.items.length === 0 && !isFiltered(this.filters) && this.cursors.length === 1;
    return html`
      <div class="view-head">
        <div>
          <h1 class="title" tabindex="-1">${texts.list.title}</h1>
          <p class="muted">${texts.list.intro}</p>
        </div>
        ${this.mayCreate && !isEmpty
          ? html`<button type="button" class="button primary" part="create" @click=${() => this.emit('create')}>
              ${icon('plus')} ${texts.list.create}
            </button>`
          : nothing}
      </div>
      ${isEmpty && error === null ? this.#empty() : this.#filled(value)}
      ${slow ? html`<p class="slow" role="status">${texts.common.slow}</p>` : nothing}
    `;
  }

  #empty() {
    return html`<section class="empty" part="empty">
      <span class="empty-icon">${icon('key')}</span>
      <h2>${texts.list.emptyTitle}</h2>
      <p>${texts.list.emptyText}</p>
      ${this.mayCreate
        ? html`<ul>
              ${texts.list.emptyPoints.map((point) => html`<li>${icon('check')}<span>${point}</span></li>`)}
            </ul>
            <button type="button" class="button primary" part="create" @click=${() => this.emit('create')}>
              ${icon('plus')} ${texts.list.create}
            </button>`
        : html`<p class="muted">${texts.list.emptyReader}</p>`}
    </section>`;
  }

  #filled(value: Page<Key> | undefined) {
    const { error, busy } = this.page;
    return html`
      ${this.#toolbar()}
      ${errorBox(error, () => this.reload())}
      ${value === undefined
        ? error === null
          ? this.#skeleton()
          : nothing
        : value.items.length === 0
          ? this.#nothingFound()
          : this.#table(value, busy)}
      <p class="visually-hidden" role="status">${value === undefined || busy ? '' : texts.list.found(value.items.length)}</p>
    `;
  }

  #toolbar() {
    const t = texts.list;
    const { filters } = this;
    return html`
      <div class="filters" role="group" aria-label=${t.statusFilter}>
        ${this.#statusFilter(null, t.all)}
        ${STATUSES.map((status) => this.#statusFilter(status, texts.status[status]))}
      </div>
      <div class="tools">
        <div class="search">
          <label class="visually-hidden" for=${this.#searchId}>${t.search}</label>
          ${icon('search')}
          <input
            id=${this.#searchId}
            type="search"
            maxlength="100"
            autocomplete="off"
            placeholder=${t.searchPlaceholder}
            .value=${filters.search}
            @input=${this.#search}
          />
        </div>
        <div class="select">
          <label for=${this.#scopeId}>${t.scope}</label>
          <select id=${this.#scopeId} @change=${(event: Event) => this.#filter({ scope: (selected(event) || null) as ScopeLevel | null })}>
            <option value="">${t.scopeAny}</option>
            ${LEVELS.map((level) => html`<option value=${level} ?selected=${filters.scope === level}>${texts.scopes[level]}</option>`)}
          </select>
        </div>
        <div class="select">
          <label for=${this.#creatorId}>${t.createdBy}</label>
          <select id=${this.#creatorId} @change=${(event: Event) => this.#filter({ createdBy: selected(event) || null })}>
            <option value="">${t.createdByAnyone}</option>
            ${this.#creators().map((name) => html`<option value=${name} ?selected=${filters.createdBy === name}>${name === this.#myName() ? t.createdByMe : actorText(name)}</option>`)}
          </select>
        </div>
        <div class="select">
          <label for=${this.#sortId}>${t.sort}</label>
          <select id=${this.#sortId} ?disabled=${hasOwnOrder(filters)} @change=${(event: Event) => this.#filter({ sort: selected(event) as Sort })}>
            ${Object.entries(t.sorts).map(([sort, label]) => html`<option value=${sort} .selected=${shownSort(filters) === sort}>${label}</option>`)}
          </select>
        </div>
      </div>
      <div class="chips" role="group" aria-label=${t.marksFilter}>
        <span class="chips-label" aria-hidden="true">${t.marksFilter}</span>
        ${MARKS.map((mark) => this.#markFilter(mark))}
      </div>
    `;
  }

  #statusFilter(status: Status | null, label: string) {
    const count = this.counts.statuses[status ?? 'all'];
    const isOn = this.filters.status === status && this.filters.mark === null;
    return html`<button type="button" class="filter" aria-pressed=${isOn ? 'true' : 'false'} @click=${() => this.#filter({ status, mark: null })}>
      ${label} ${count === undefined ? nothing : html`<span class="count">${count === null ? texts.list.more(formatNumber(MAX_COUNTED)) : formatNumber(count)}</span>`}
    </button>`;
  }

  #markFilter(mark: Mark) {
    const known = this.counts.marks[mark];
    const isOn = this.filters.mark === mark;
    const isNone = known?.count === 0 && !isOn;
    const count =
      known === undefined
        ? nothing
        : html`<span class="count">${known.count === null ? texts.list.more(formatNumber(MAX_COUNTED)) : known.atLeast ? texts.list.more(formatNumber(known.count)) : formatNumber(known.count)}</span>`;
    return html`<button
      type="button"
      class=${isNone ? 'chip none' : 'chip'}
      aria-pressed=${isOn ? 'true' : 'false'}
      @click=${() => this.#filter({ mark: isOn ? null : mark, status: null })}
    >
      ${texts.list[mark]} ${count}
    </button>`;
  }

  #nothingFound() {
    return html`<section class="empty small">
      <h2>${texts.list.nothingFound}</h2>
      <p>${texts.list.nothingFoundHint}</p>
      <button type="button" class="button" @click=${() => this.#filter({ ...NO_FILTERS, sort: this.filters.sort })}>${texts.list.clear}</button>
    </section>`;
  }

  #skeleton() {
    return html`<div class="skeleton" role="status" aria-label=${texts.common.loading}>
      ${[0, 1, 2, 3, 4].map(() => html`<div class="skeleton-row"><span></span><span></span><span></span></div>`)}
    </div>`;
  }

  #table(page: Page<Key>, busy: boolean) {
    const t = texts.list;
    const hasUsage = page.items.some((key) => key.usage !== undefined);
    return html`
      <table class=${busy ? 'keys busy' : 'keys'} part="list" role="table" aria-label=${t.title} aria-busy=${busy ? 'true' : 'false'}>
        <thead role="rowgroup">
          <tr role="row">
            ${this.#head(t.columnName, 'name')}
            <th scope="col" role="columnheader">${t.columnScopes}</th>
            ${hasUsage ? html`<th scope="col" role="columnheader">${t.columnUsage}</th>` : nothing}
            ${this.#head(t.columnLastUsed, '-lastUsedAt')}
            ${this.#head(t.columnExpires, 'expiresAt')}
            ${this.#head(t.columnCreated, '-createdAt')}
            <th scope="col" role="columnheader">${t.columnStatus}</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${page.items.map((key) => this.#row(key, hasUsage))}
        </tbody>
      </table>
      ${this.#pages(page)}
    `;
  }

  /** `first` is the order of the first click; the second click turns it round. */
  #head(label: string, first: Sort) {
    const reverse = (first.startsWith('-') ? first.slice(1) : `-${first}`) as Sort;
    const sort = shownSort(this.filters);
    const current = sort === first || sort === reverse;
    const direction = !current ? 'none' : sort.startsWith('-') ? 'descending' : 'ascending';
    return html`<th scope="col" role="columnheader" aria-sort=${direction}>
      <button type="button" class="sort" ?disabled=${hasOwnOrder(this.filters)} @click=${() => this.#filter({ sort: sort === first ? reverse : first })}>${label}</button>
    </th>`;
  }

  #row(key: Key, hasUsage: boolean) {
    const t = texts.list;
    const marks = marksOf(key);
    return html`<tr role="row" part="row" data-key=${key.id} class=${key.isActive ? 'key' : 'key inactive'} @click=${(event: MouseEvent) => this.#rowClick(event, key)}>
      <th scope="row" role="rowheader" class="cell-name">
        ${this.#name(key)}
        ${key.description === null ? nothing : html`<span class="description" title=${key.description}>${key.description}</span>`}
        <span class="under"><code class="hint">${key.keyHint}</code>${marks.map((mark) => markBadge(mark, key))}</span>
      </th>
      <td role="cell" data-label=${t.columnScopes}>${scopeBadge(key.scopes)}</td>
      ${hasUsage ? html`<td role="cell" class="cell-usage" data-label=${t.columnUsage}>${key.usage === undefined ? nothing : sparkline(key.usage)}</td>` : nothing}
      <td role="cell" data-label=${t.columnLastUsed}>${time(key.lastUsedAt, html`<span class="muted">${texts.time.never}</span>`)}</td>
      <td role="cell" data-label=${t.columnExpires}>${time(key.expiresAt, html`<span class="muted">${texts.time.never}</span>`)}</td>
      <td role="cell" class="cell-created" data-label=${t.columnCreated}>
        <time datetime=${key.createdAt} title=${formatExact(key.createdAt)}>${formatDate(key.createdAt)}</time>
        ${key.createdBy === null ? nothing : html`<span class="muted creator" title=${key.createdBy}>${t.by(actorText(key.createdBy))}</span>`}
      </td>
      <td role="cell" class="cell-status" data-label=${t.columnStatus}>${statusBadge(key)}</td>
    </tr>`;
  }

  #name(key: Key) {
    const open = (event: MouseEvent): void => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.emit('open-key', key.id);
    };
    return this.keyUrl === ''
      ? html`<button type="button" class="key-name link" @click=${open}>${key.name}</button>`
      : html`<a class="key-name link" href=${this.keyUrl.replace('{id}', key.id)} @click=${open}>${key.name}</a>`;
  }

  /** The whole row opens the key for a pointer; text that was selected in it, and its own links, do not. */
  #rowClick(event: MouseEvent, key: Key): void {
    if (event.defaultPrevented || (event.target as Element).closest('a, button') !== null || String(getSelection()) !== '') return;
    this.emit('open-key', key.id);
  }

  #pages(page: Page<Key>) {
    const t = texts.list;
    const first = (this.cursors.length - 1) * this.pageSize + 1;
    const last = first + page.items.length - 1;
    const numbers = [formatNumber(first), formatNumber(last)] as const;
    return html`<nav class="pages" aria-label=${t.pages}>
      <span class="muted">${page.total === null ? t.rangeOpen(...numbers) : t.range(...numbers, formatNumber(page.total))}</span>
      <button type="button" class="button" ?disabled=${this.cursors.length === 1} @click=${() => this.#turn(this.cursors.slice(0, -1))}>${icon('back')} ${t.previous}</button>
      <button type="button" class="button" ?disabled=${page.next === null} @click=${() => this.#turn([...this.cursors, page.next])}>${t.next} ${icon('forward')}</button>
    </nav>`;
  }

  async #turn(cursors: (string | null)[]): Promise<void> {
    this.cursors = cursors;
    await this.#load();
    this.find('.keys')?.scrollIntoView({ block: 'nearest' });
  }

  #myName(): string | null {
    const principal = this.me?.principal;
    return principal === undefined ? null : principal.kind === 'user' ? principal.name : `api-key:${principal.id}`;
  }

  /** Those on this page, and the reader. */
  #creators(): string[] {
    const names = new Set(this.page.value?.items.flatMap((key) => key.createdBy ?? []) ?? []);
    if (this.filters.createdBy !== null) names.add(this.filters.createdBy);
    const me = this.#myName();
    if (me !== null) names.delete(me);
    return [...(me === null ? [] : [me]), ...[...names].sort()];
  }

  readonly #search = (event: Event): void => {
    const search = (event.target as HTMLInputElement).value.trim();
    clearTimeout(this.#searchTimer);
    this.#searchTimer = setTimeout(() => {
      if (search !== this.filters.search) this.#filter({ search });
    }, SEARCH_DELAY_MS);
  };
}
define('rally-key-list', KeyList);

const hasOwnOrder = ({ mark }: Filters): boolean => mark === 'neverUsed' || mark === 'oldSecret';

const selected = (event: Event): string => (event.target as HTMLSelectElement).value;
