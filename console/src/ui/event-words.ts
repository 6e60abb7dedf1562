// Audit events in words.
import { html } from 'lit';
import type { KeyEvent, Quota, RateLimit } from '../api/client.js';
import { formatDateTime, formatNumber } from '../format.js';
import { texts } from '../texts.js';
import { actorText, quotaText, rateText, scopeLevel } from './badges.js';

const t = texts.events;

/** "dana@acme.com rotated the key “Zapier Sync”". `keyName`: null where the reader knows which key it is. */
export function eventSentence(event: KeyEvent, keyName: string | null, nameOf: (id: string) => string | undefined): string {
  const key = keyName === null ? t.thisKey : t.key(keyName);
  return t.sentence[event.type]?.(actorText(event.actor, nameOf), key) ?? event.type;
}

/** The name in the event itself: what the key was called then. */
export function nameInEvent(event: KeyEvent): string | null {
  const details = event.details as { name?: string | { to?: string } };
  if (typeof details.name === 'string') return details.name;
  return details.name?.to ?? null;
}

type Change = { from: unknown; to: unknown };

/** What was granted, changed or ended, a line each. */
export function eventLines(event: KeyEvent): string[] {
  switch (event.type) {
    case 'created':
    case 'revoked': {
      const { scopes, expiresAt, keyHint, reason } = event.details;
      const end = expiresAt === null ? t.endsNever : t.ends(formatDateTime(expiresAt));
      return [
        t.secret(keyHint),
        t.granted(texts.scopes[scopeLevel(scopes)]),
        ...(event.type === 'created' ? [end] : []),
        ...(reason === undefined ? [] : [t.reason(reason)]),
      ];
    }
    case 'updated':
      return changes(event.details as unknown as Record<string, Change>);
    case 'rotated': {
      const { previousKeyHint, previousExpiresAt, keyHint } = event.details;
      return [
        t.newSecret(keyHint),
        previousExpiresAt === null ? t.overlapNone(previousKeyHint) : t.overlap(previousKeyHint, formatDateTime(previousExpiresAt)),
      ];
    }
    case 'previous_secret_ended':
      return [t.secret(event.details.previousKeyHint)];
    case 'suspended':
    case 'resumed': {
      const { until, reason } = event.details;
      return [...(until === null ? [] : [t.until(formatDateTime(until))]), ...(reason === null ? [] : [t.reason(reason)])];
    }
    case 'secret_reused':
      return [t.secret(event.details.keyHint)];
    case 'receipt': {
      const { instances, slowestMs } = event.details;
      return [t.proven(formatNumber(instances), formatNumber(slowestMs))];
    }
    case 'idle_notice':
      return [t.suspendedOn(formatDateTime(event.details.suspendAt))];
    case 'exposed':
    case 'decoy_used': {
      const { keyHint, userAgent } = event.details;
      return [t.secret(keyHint), ...(userAgent === null ? [] : [userAgent])];
    }
    case 'leaked': {
      const { keyHint, url, otherUrls, action } = event.details;
      const places = [...(url === null ? [] : [url]), ...otherUrls];
      return [t.secret(keyHint), ...places.map(t.foundAt), t.leakActions[action] ?? action];
    }
    case 'policy_changed': {
      const { from, to } = event.details as unknown as { from: Record<string, unknown>; to: Record<string, unknown> };
      const fields = Object.keys(to).filter((field) => JSON.stringify(from[field]) !== JSON.stringify(to[field]));
      return changes(Object.fromEntries(fields.map((field) => [field, { from: from[field], to: to[field] }])));
    }
    default:
      return [];
  }
}

function changes(details: Record<string, Change>): string[] {
  return Object.entries(details).flatMap(([field, change]) => {
    const label = t.fields[field];
    return label === undefined ? [] : [t.change(label, shown(field, change.from), shown(field, change.to))];
  });
}

function shown(field: string, value: unknown): string {
  if (value === null || value === undefined || value === '') return field === 'expiresAt' ? texts.time.never : texts.common.none;
  if (field === 'scopes' || field === 'allowedScopes') return texts.scopes[scopeLevel(String(value))];
  if (field === 'expiresAt') return formatDateTime(String(value));
  if (field === 'rateLimit' || field === 'defaultRateLimit') return rateText(value as RateLimit);
  if (field === 'quota') return quotaText(value as Quota);
  if (Array.isArray(value)) return value.length === 0 ? texts.common.any : value.join(', ');
  return typeof value === 'number' ? formatNumber(value) : String(value);
}

const TONES: Record<string, string> = { created: 'good', revoked: 'bad', secret_reused: 'bad', leaked: 'bad', decoy_used: 'bad', exposed: 'bad', suspended: 'warn', rotated: 'accent', resumed: 'good' };

export const eventDot = (event: KeyEvent) => html`<span class="dot ${TONES[event.type] ?? ''}" aria-hidden="true"></span>`;
