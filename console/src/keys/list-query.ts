import type { Api, Key, ListQuery, Page, Status } from '../api/client.js';
import { DAY_MS } from '../format.js';
import { type Mark, type ScopeLevel, marksOf, scopeLevel } from '../ui/badges.js';

export type Sort = NonNullable<ListQuery['sort']>;

/** What the list shows. */
export interface Filters {
  status: Status | null;
  mark: Mark | null;
  search: string;
  scope: ScopeLevel | null;
  createdBy: string | null;
  sort: Sort;
}

export const NO_FILTERS: Filters = { status: null, mark: null, search: '', scope: null, createdBy: null, sort: '-createdAt' };

/** The order of the rows: two of the lists have one of their own. */
export const shownSort = ({ mark, sort }: Filters): Sort => (mark === 'neverUsed' ? 'lastUsedAt' : mark === 'oldSecret' ? '-createdAt' : sort);

export const isFiltered = (filters: Filters): boolean =>
  filters.status !== null || filters.mark !== null || filters.search !== '' || filters.scope !== null || filters.createdBy !== null;

export interface Counts {
  /** Null: more than `MAX_COUNTED`. Absent: not known yet. */
  statuses: Partial<Record<Status | 'all', number | null>>;
  /** `atLeast`: there may be more. */
  marks: Partial<Record<Mark, { count: number | null; atLeast?: boolean }>>;
}

/** A rotation's overlap is 7 days at most, so a key with an old secret was rotated since. */
const LONGEST_OVERLAP_MS = 7 * DAY_MS;
const NEVER_USED_SAMPLE = 100;
const USABLE = 'active,suspended';

/** A page of the list. `pageSize` is at most 100: the most that `include=usage` takes. */
export async function loadPage(api: Api, filters: Filters, pageSize: number, cursor: string | null): Promise<Page<Key>> {
  if (filters.mark === 'oldSecret') {
    const items = (await keysOnOldSecrets(api)).filter((key) => matches(key, filters));
    return { items, next: null, total: items.length };
  }
  const query: ListQuery = { ...serverFilters(filters), sort: shownSort(filters), limit: pageSize, include: 'usage' };
  if (cursor !== null) query.cursor = cursor;
  if (filters.mark !== 'neverUsed') return api.list(query);
  // In this order, keys that were never used come first.
  const page = await api.list(query);
  const items = page.items.filter((key) => key.lastUsedAt === null);
  const isLast = items.length < page.items.length;
  return { items, next: isLast ? null : page.next, total: isLast && cursor === null ? items.length : null };
}

function serverFilters(filters: Filters): ListQuery {
  const query: ListQuery = {};
  if (filters.status !== null) query.status = filters.status;
  if (filters.search !== '') query.search = filters.search;
  if (filters.scope !== null) query.scope = filters.scope;
  if (filters.createdBy !== null) query.createdBy = filters.createdBy;
  if (filters.mark !== null) query.status = USABLE;
  if (filters.mark === 'idle') query.unusedForDays = 90;
  if (filters.mark === 'expiring') query.expiresBefore = new Date(Date.now() + 30 * DAY_MS).toISOString();
  return query;
}

/** The filters of the service, for the one list that it has no filter for. */
function matches(key: Key, { search, scope, createdBy }: Filters): boolean {
  const text = `${key.name}\n${key.description ?? ''}\n${key.keyHint.slice(-4)}`.toLowerCase();
  const levels = ['read', 'write', 'admin'];
  return (
    text.includes(search.toLowerCase()) &&
    (scope === null || levels.indexOf(scopeLevel(key.scopes)) >= levels.indexOf(scope)) &&
    (createdBy === null || key.createdBy === createdBy)
  );
}

/** Found by the rotations of the last 7 days. */
async function keysOnOldSecrets(api: Api): Promise<Key[]> {
  const since = Date.now() - LONGEST_OVERLAP_MS;
  const ids = new Set<string>();
  let cursor: string | undefined;
  for (;;) {
    const page = await api.events({ type: 'rotated', limit: 200, ...(cursor === undefined ? {} : { cursor }) });
    for (const event of page.items) {
      if (Date.parse(event.occurredAt) >= since && event.keyId !== null) ids.add(event.keyId);
    }
    const oldest = page.items.at(-1);
    if (page.next === null || oldest === undefined || Date.parse(oldest.occurredAt) < since) break;
    cursor = page.next;
  }
  const keys = await Promise.all([...ids].map(async (id) => (await api.key(id)).value));
  return keys.filter((key) => marksOf(key).includes('oldSecret')).sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt));
}

/** Calls `found` as each count arrives. Errors are left out: the list itself shows what is wrong. */
export async function loadCounts(api: Api, found: (counts: Counts) => void): Promise<void> {
  const counts: Counts = { statuses: {}, marks: {} };
  const put = async (load: () => Promise<void>): Promise<void> => {
    try {
      await load();
      found({ statuses: { ...counts.statuses }, marks: { ...counts.marks } });
    } catch {
      // The count stays unknown.
    }
  };
  const byStatus = (['active', 'suspended', 'expired', 'revoked'] as const).map((status) =>
    put(async () => {
      counts.statuses[status] = await api.count({ status });
    }),
  );
  await Promise.all([
    put(async () => {
      counts.statuses.all = await api.count({});
    }),
    ...byStatus,
    put(async () => {
      counts.marks.idle = { count: await api.count(serverFilters({ ...NO_FILTERS, mark: 'idle' })) };
    }),
    put(async () => {
      counts.marks.expiring = { count: await api.count(serverFilters({ ...NO_FILTERS, mark: 'expiring' })) };
    }),
    put(async () => {
      const { items } = await api.list({ status: USABLE, sort: 'lastUsedAt', limit: NEVER_USED_SAMPLE });
      const unused = items.filter((key) => key.lastUsedAt === null).length;
      counts.marks.neverUsed = { count: unused, atLeast: unused === NEVER_USED_SAMPLE };
    }),
    put(async () => {
      counts.marks.oldSecret = { count: (await keysOnOldSecrets(api)).length };
    }),
  ]);
}
