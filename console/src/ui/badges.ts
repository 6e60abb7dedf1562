import { html, type TemplateResult } from 'lit';
import type { Key, Quota, RateLimit } from '../api/client.js';
import { DAY_MS, formatDuration, formatExact, formatNumber, formatRelative, plural } from '../format.js';
import { texts } from '../texts.js';

export type ScopeLevel = 'read' | 'write' | 'admin';

/** The highest scope, which implies the others. */
export function scopeLevel(scopes: string): ScopeLevel {
  const words = scopes.split(',').map((word) => word.trim());
  return words.includes('admin') ? 'admin' : words.includes('write') ? 'write' : 'read';
}

export const scopesOf: Record<ScopeLevel, string> = { read: 'read', write: 'read,write', admin: 'read,write,admin' };

export const LEVELS: ScopeLevel[] = ['read', 'write', 'admin'];

export const scopeBadge = (scopes: string): TemplateResult => {
  const level = scopeLevel(scopes);
  return html`<span class="scope ${level}" title=${scopes}>${texts.scopes[level]}</span>`;
};

export function statusBadge(key: Key): TemplateResult {
  const title = key.status === 'suspended' && key.suspendedUntil ? texts.status.suspendedUntil(formatExact(key.suspendedUntil)) : '';
  return html`<span class="badge ${key.status}" part="status" title=${title}>${texts.status[key.status]}</span>`;
}

export type Mark = 'neverUsed' | 'idle' | 'expiring' | 'oldSecret';

/** What an admin should look at. Only keys that can be used are marked. */
export function marksOf(key: Key, now = Date.now()): Mark[] {
  if (key.status === 'revoked' || key.status === 'expired') return [];
  const marks: Mark[] = [];
  if (key.rotation !== null) marks.push('oldSecret');
  if (key.expiresAt !== null && Date.parse(key.expiresAt) - now < 30 * DAY_MS) marks.push('expiring');
  if (now - Date.parse(key.lastUsedAt ?? key.createdAt) > 90 * DAY_MS) marks.push('idle');
  if (key.lastUsedAt === null) marks.push('neverUsed');
  return marks;
}

export function markBadge(mark: Mark, key: Key): TemplateResult {
  const t = texts.list;
  if (mark === 'oldSecret') {
    const used = key.rotation?.previousLastUsedAt ?? null;
    const isUsed = used !== null && Date.now() - Date.parse(used) < DAY_MS;
    const title = used === null ? texts.rotation.unused : texts.rotation.used(formatRelative(used));
    return html`<span class="mark" title=${title}>${isUsed ? t.markOldSecretUsed : t.markOldSecret}</span>`;
  }
  const label = { neverUsed: t.markNeverUsed, idle: t.markIdle, expiring: t.markExpiring }[mark];
  return html`<span class=${mark === 'neverUsed' ? 'mark quiet' : 'mark'}>${label}</span>`;
}

const WINDOWS: Record<number, string> = {
  1: texts.form.second,
  60: texts.form.minute,
  3600: texts.form.hour,
  86400: texts.form.day,
};

/** The windows that forms offer, in seconds. */
export const RATE_WINDOWS = Object.keys(WINDOWS).map(Number);

export const windowText = (seconds: number): string => WINDOWS[seconds] ?? formatDuration(seconds);

export const rateText = (rate: RateLimit | null): string =>
  rate === null ? texts.key.noLimit : texts.key.rate(formatNumber(rate.requests), windowText(rate.windowSeconds));

export const quotaText = (quota: Quota | null): string =>
  quota === null
    ? texts.key.noLimit
    : quota.per === 'day'
      ? texts.key.quotaPerDay(formatNumber(quota.requests))
      : texts.key.quotaPerMonth(formatNumber(quota.requests));

/** `api-key:<id>` and `operator:<name>` in words. */
export function actorText(actor: string | null, nameOf: (id: string) => string | undefined = () => undefined): string {
  if (actor === null) return texts.events.somebody;
  if (actor.startsWith('operator:')) return texts.events.operator(actor.slice('operator:'.length));
  if (actor.startsWith('api-key:')) {
    const name = nameOf(actor.slice('api-key:'.length));
    return name === undefined ? actor : texts.events.key(name);
  }
  return actor;
}

export { plural };
