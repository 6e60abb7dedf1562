// What is entered for a key, and how it becomes a request.
import type { CreateRequest, Key, Policy, Quota, RateLimit, UpdateRequest } from '../api/client.js';
import type { ApiError } from '../api/problem.js';
import { DAY_MS, toLocalInput } from '../format.js';
import { texts } from '../texts.js';
import { LEVELS, type ScopeLevel, scopeLevel, scopesOf } from '../ui/badges.js';

export type Preset = 'keep' | '30' | '90' | '365' | 'custom' | 'never';

export interface Draft {
  name: string;
  description: string;
  preset: Preset;
  /** A local time, for `custom`. */
  customAt: string;
  level: ScopeLevel;
  /** One a line. */
  addresses: string;
  rateRequests: string;
  rateWindow: number;
  quotaRequests: string;
  quotaPer: Quota['per'];
}

/** By field of the form. */
export type FieldErrors = Partial<Record<'name' | 'description' | 'expiresAt' | 'scopes' | 'allowedAddresses' | 'rateLimit' | 'quota', string[]>>;

export const emptyDraft = (policy: Policy | null): Draft => ({
  name: '',
  description: '',
  preset: policy?.maxLifetimeDays != null && policy.maxLifetimeDays < 90 ? (policy.maxLifetimeDays < 30 ? 'custom' : '30') : '90',
  customAt: policy?.maxLifetimeDays != null ? toLocalInput(new Date(Date.now() + policy.maxLifetimeDays * DAY_MS - 600_000)) : '',
  level: 'read',
  addresses: '',
  rateRequests: '',
  rateWindow: 60,
  quotaRequests: '',
  quotaPer: 'day',
});

export const draftOf = (key: Key): Draft => ({
  name: key.name,
  description: key.description ?? '',
  preset: key.expiresAt === null ? 'never' : 'keep',
  customAt: key.expiresAt === null ? '' : toLocalInput(new Date(key.expiresAt)),
  level: scopeLevel(key.scopes),
  addresses: key.allowedAddresses.join('\n'),
  rateRequests: key.rateLimit === null ? '' : String(key.rateLimit.requests),
  rateWindow: key.rateLimit?.windowSeconds ?? 60,
  quotaRequests: key.quota === null ? '' : String(key.quota.requests),
  quotaPer: key.quota?.per ?? 'day',
});

/** Of `custom`, null if nothing valid is entered. `now`: when the draft was begun, so that it does not move. */
export function expiryOf(draft: Draft, now: number): Date | 'never' | null {
  if (draft.preset === 'never') return 'never';
  if (draft.preset === 'custom' || draft.preset === 'keep') {
    const at = new Date(draft.customAt);
    return Number.isNaN(at.getTime()) ? null : at;
  }
  return new Date(now + Number(draft.preset) * DAY_MS);
}

/** What the page itself sees before it asks the service. */
export function checkDraft(draft: Draft, now: number): FieldErrors {
  const errors: FieldErrors = {};
  if (draft.name.trim() === '') errors.name = [texts.form.nameRequired];
  if (draft.preset === 'custom') {
    const at = expiryOf(draft, now);
    if (at === null || (at !== 'never' && at.getTime() <= Date.now())) errors.expiresAt = [texts.form.customRequired];
  }
  if (!isCount(draft.rateRequests)) errors.rateLimit = [texts.form.numberRequired];
  if (!isCount(draft.quotaRequests)) errors.quota = [texts.form.numberRequired];
  return errors;
}

const isCount = (text: string): boolean => text.trim() === '' || /^[1-9]\d{0,12}$/.test(text.trim());

const RULE_FIELDS: Record<string, keyof FieldErrors> = {
  maxLifetimeDays: 'expiresAt',
  allowedScopes: 'scopes',
  requireAllowedAddresses: 'allowedAddresses',
};

/** The service's errors, at the fields of the form. Null: some belong to no field, so the error is shown as a whole. */
export function fieldErrors(error: ApiError, draft: Draft): FieldErrors | null {
  const errors: FieldErrors = {};
  const put = (field: keyof FieldErrors, message: string): void => {
    (errors[field] ??= []).push(message);
  };
  if (error.rule !== null) {
    const field = RULE_FIELDS[error.rule];
    if (field === undefined) return null;
    put(field, error.message);
    return errors;
  }
  const lines = linesOf(draft.addresses);
  for (const { field, message } of error.errors) {
    const [, root = '', index] = /^(\w+)(?:\[(\d+)\])?/.exec(field) ?? [];
    if (!['name', 'description', 'expiresAt', 'scopes', 'allowedAddresses', 'rateLimit', 'quota'].includes(root)) return null;
    const line = Number(index);
    const where = index === undefined ? '' : `${texts.form.addressLine(line + 1, lines[line] ?? '')}: `;
    put(root as keyof FieldErrors, where === '' ? sentence(message) : where + message);
  }
  return error.errors.length > 0 ? errors : null;
}

const sentence = (message: string): string => `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;

const linesOf = (text: string): string[] =>
  text
    .split(/[\n,]/)
    .map((line) => line.trim())
    .filter((line) => line !== '');

const rateOf = (draft: Draft): RateLimit | null =>
  draft.rateRequests.trim() === '' ? null : { requests: Number(draft.rateRequests), windowSeconds: draft.rateWindow };

const quotaOf = (draft: Draft): Quota | null =>
  draft.quotaRequests.trim() === '' ? null : { requests: Number(draft.quotaRequests), per: draft.quotaPer };

export function createRequest(draft: Draft, now: number): CreateRequest {
  const expiry = expiryOf(draft, now);
  const request: CreateRequest = {
    name: draft.name.trim(),
    scopes: scopesOf[draft.level],
    expiresAt: expiry === 'never' || expiry === null ? null : wholeSecond(expiry),
  };
  if (draft.description.trim() !== '') request.description = draft.description;
  const addresses = linesOf(draft.addresses);
  if (addresses.length > 0) request.allowedAddresses = addresses;
  const rate = rateOf(draft);
  if (rate !== null) request.rateLimit = rate;
  const quota = quotaOf(draft);
  if (quota !== null) request.quota = quota;
  return request;
}

/** Only what differs from `key`. */
export function updateRequest(draft: Draft, key: Key, now: number): UpdateRequest {
  const before = draftOf(key);
  const request: UpdateRequest = {};
  if (draft.name.trim() !== key.name) request.name = draft.name.trim();
  if (draft.description.trim() !== before.description) request.description = draft.description.trim() === '' ? null : draft.description;
  if (draft.level !== before.level) request.scopes = scopesOf[draft.level];
  const keeps = draft.preset === 'keep' || (draft.preset === 'never' && key.expiresAt === null);
  if (!keeps) {
    const expiry = expiryOf(draft, now);
    request.expiresAt = expiry === 'never' || expiry === null ? null : wholeSecond(expiry);
  }
  if (linesOf(draft.addresses).join() !== key.allowedAddresses.join()) request.allowedAddresses = linesOf(draft.addresses);
  if (JSON.stringify(rateOf(draft)) !== JSON.stringify(rateOf(before))) request.rateLimit = rateOf(draft);
  if (JSON.stringify(quotaOf(draft)) !== JSON.stringify(quotaOf(before))) request.quota = quotaOf(draft);
  return request;
}

const wholeSecond = (at: Date): string => at.toISOString().replace(/\.\d+Z$/, 'Z');

/** Why a scope cannot be chosen; null: it can. */
export function scopeRefusal(level: ScopeLevel, policy: Policy | null, granted: string): string | null {
  const rank = LEVELS.indexOf(level);
  if (rank > LEVELS.indexOf(scopeLevel(granted))) return texts.scopes.notGranted;
  if (policy?.allowedScopes != null && rank > LEVELS.indexOf(scopeLevel(policy.allowedScopes))) return texts.scopes.notAllowed;
  return null;
}

/** Whether the policy permits that end. */
export function presetPermitted(preset: Preset, policy: Policy | null): boolean {
  const max = policy?.maxLifetimeDays ?? null;
  if (max === null || preset === 'custom' || preset === 'keep') return true;
  return preset !== 'never' && Number(preset) <= max;
}
