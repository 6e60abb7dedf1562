import { texts } from '../texts.js';
import { ApiError, errorOf } from './problem.js';
import type { components, paths } from './schema.js';

type Schemas = components['schemas'];
export type Key = Schemas['ApiKeyResponse'];
export type CreatedKey = Schemas['ApiKeyCreatedResponse'];
export type CreateRequest = Schemas['CreateApiKeyRequest'];
export type UpdateRequest = Schemas['UpdateApiKeyRequest'];
export type Caller = Schemas['ApiKeyCallerResponse'];
export type KeyUsage = Schemas['ApiKeyUsageResponse'];
export type TenantUsage = Schemas['TenantUsageResponse'];
export type UsageBucket = Schemas['UsageBucketResponse'];
export type Interval = Schemas['UsageInterval'];
export type KeyEvent = Schemas['ApiKeyEventResponse'];
export type EventType = KeyEvent['type'];
export type Me = Schemas['MeResponse'];
export type Policy = Schemas['PolicyResponse'];
export type PolicyRequest = Schemas['PolicyRequest'];
export type Violation = Schemas['PolicyViolation'];
export type RateLimit = Schemas['RateLimit'];
export type Quota = Schemas['Quota'];
export type Status = Schemas['KeyStatus'];
export type ListQuery = NonNullable<paths['/api/v1/api-keys']['get']['parameters']['query']>;
export type EventQuery = NonNullable<paths['/api/v1/api-keys/events']['get']['parameters']['query']>;

/** The service counts no more keys that match a filter. */
export const MAX_COUNTED = 1_000;

export interface Page<T> {
  items: T[];
  /** The cursor of the next page; null at the end. */
  next: string | null;
  /** Null where the service does not count: a filter that more than `MAX_COUNTED` keys match. */
  total: number | null;
}

export interface Versioned<T> {
  value: T;
  etag: string | null;
}

/** Live instances, and milliseconds until the last one acknowledged the revocation. */
export interface Receipt {
  instances: number;
  slowest: number;
}

export type TokenSource = () => Promise<string>;

/** The longest wait for a receipt, in seconds. */
const RECEIPT_WAIT = 20;
/** The service's limit of 30 s, and that wait more. */
const TIMEOUT_MS = 60_000;

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** What the API's description says of a call: its parameters, its body, and the body of its success. */
type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;
type Parameters<O> = O extends { parameters: infer Given } ? Given : never;
type Query<O> = Parameters<O> extends { query?: infer Q } ? NonNullable<Q> : never;
type Body<O> = O extends { requestBody?: infer R } ? (NonNullable<R> extends { content: { 'application/json': infer B } } ? B : never) : never;
type Json<R> = R extends { content: { 'application/json': infer J } } ? J : null;
type Success<O> = O extends { responses: infer R } ? (R extends { 200: infer S } | { 201: infer S } ? Json<S> : null) : never;

interface Input<O> {
  id?: string;
  query?: Query<O>;
  body?: Body<O>;
  headers?: Record<string, string>;
}

interface Output<T> {
  value: T;
  headers: Headers;
}

/** The calls of the service. Each throws an `ApiError` unless it succeeds. */
export class Api {
  constructor(
    readonly baseUrl: string,
    private readonly getToken: TokenSource,
  ) {}

  me(): Promise<Me> {
    return this.#value('get', '/api/v1/me', {});
  }

  list(query: ListQuery): Promise<Page<Key>> {
    return page(this.#call('get', '/api/v1/api-keys', { query }));
  }

  /** How many keys match; null for more than `MAX_COUNTED`. */
  async count(query: ListQuery): Promise<number | null> {
    return (await this.list({ ...query, limit: 1 })).total;
  }

  key(id: string): Promise<Versioned<Key>> {
    return versioned(this.#call('get', '/api/v1/api-keys/{id}', { id }));
  }

  create(body: CreateRequest, idempotencyKey: string): Promise<CreatedKey> {
    return this.#value('post', '/api/v1/api-keys', { body, headers: { 'Idempotency-Key': idempotencyKey } });
  }

  update(id: string, body: UpdateRequest, etag: string | null): Promise<Versioned<Key>> {
    return versioned(this.#call('patch', '/api/v1/api-keys/{id}', { id, body, headers: ifMatch(etag) }));
  }

  rotate(id: string, overlapSeconds: number, etag: string | null, idempotencyKey: string): Promise<CreatedKey> {
    const headers = { ...ifMatch(etag), 'Idempotency-Key': idempotencyKey };
    return this.#value('post', '/api/v1/api-keys/{id}/rotate', { id, body: { overlapSeconds }, headers });
  }

  endPreviousSecret(id: string): Promise<null> {
    return this.#value('delete', '/api/v1/api-keys/{id}/previous-secret', { id });
  }

  suspend(id: string, until: string | null, reason: string | null): Promise<Key> {
    return this.#value('post', '/api/v1/api-keys/{id}/suspend', { id, body: { until, reason } });
  }

  resume(id: string, reason: string | null): Promise<Key> {
    return this.#value('post', '/api/v1/api-keys/{id}/resume', { id, body: { reason } });
  }

  /** `reason`: for the audit trail; empty: none. Waits for the receipt; null: some instance has not acknowledged yet. */
  async revoke(id: string, reason: string): Promise<Receipt | null> {
    const input = { id, query: reason === '' ? {} : { reason }, headers: { Prefer: `wait=${RECEIPT_WAIT}` } };
    const { headers } = await this.#call('delete', '/api/v1/api-keys/{id}', input);
    return parseReceipt(headers.get('Rally-Receipt'));
  }

  usage(id: string, from: Date, interval: Interval): Promise<KeyUsage> {
    return this.#value('get', '/api/v1/api-keys/{id}/usage', { id, query: { from: from.toISOString(), interval } });
  }

  tenantUsage(from: Date, interval: Interval): Promise<TenantUsage> {
    return this.#value('get', '/api/v1/api-keys/usage', { query: { from: from.toISOString(), interval } });
  }

  callers(id: string): Promise<Caller[]> {
    return this.#value('get', '/api/v1/api-keys/{id}/callers', { id });
  }

  keyEvents(id: string, query: { limit: number; cursor?: string }): Promise<Page<KeyEvent>> {
    return page(this.#call('get', '/api/v1/api-keys/{id}/events', { id, query }));
  }

  events(query: EventQuery): Promise<Page<KeyEvent>> {
    return page(this.#call('get', '/api/v1/api-keys/events', { query }));
  }

  policy(): Promise<Policy> {
    return this.#value('get', '/api/v1/api-keys/policy', {});
  }

  setPolicy(body: PolicyRequest, dryRun: boolean): Promise<Policy> {
    return this.#value('put', '/api/v1/api-keys/policy', { query: { dryRun }, body });
  }

  async #value<P extends keyof paths, M extends Method>(method: M, path: P, input: Input<Operation<P, M>>): Promise<Success<Operation<P, M>>> {
    return (await this.#call(method, path, input)).value;
  }

  async #call<P extends keyof paths, M extends Method>(method: M, path: P, input: Input<Operation<P, M>>): Promise<Output<Success<Operation<P, M>>>> {
    const url = new URL(path.replace('{id}', encodeURIComponent(input.id ?? '')), this.baseUrl);
    for (const [name, parameter] of Object.entries(input.query ?? {})) url.searchParams.set(name, String(parameter));
    const headers: Record<string, string> = { ...input.headers };
    if (input.body !== undefined) headers['Content-Type'] = 'application/json';
    const body = input.body === undefined ? null : JSON.stringify(input.body);
    const response = await this.#send(url, { method: method.toUpperCase(), headers, body });
    const text = await response.text().catch(() => {
      throw new ApiError(0, 'unreachable', texts.errors.unreachable);
    });
    const value = parse(text);
    if (!response.ok) throw errorOf(response, value, texts.errors.status(response.status));
    return { value: value as Success<Operation<P, M>>, headers: response.headers };
  }

  /** With the host page's token; once more if the service refuses it and the page has another one. */
  async #send(url: URL, request: RequestInit & { headers: Record<string, string> }): Promise<Response> {
    const token = await this.#token();
    const first = await this.#attempt(url, request, token);
    if (first.status !== 401) return first;
    const other = await this.#token();
    return other === token ? first : this.#attempt(url, request, other);
  }

  async #token(): Promise<string> {
    try {
      return await this.getToken();
    } catch {
      throw new ApiError(401, 'signed_out', texts.errors.signedOut);
    }
  }

  async #attempt(url: URL, request: RequestInit & { headers: Record<string, string> }, token: string): Promise<Response> {
    const headers = { ...request.headers, Authorization: `Bearer ${token}` };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    try {
      return await fetch(url, { ...request, headers, signal, credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer' });
    } catch {
      if (signal.aborted) throw new ApiError(0, 'no_response', texts.errors.noResponse);
      // `onLine` is false only where the computer has no network at all.
      if (!navigator.onLine) throw new ApiError(0, 'offline', texts.errors.offline);
      throw new ApiError(0, 'unreachable', texts.errors.unreachable);
    }
  }
}

const ifMatch = (etag: string | null): Record<string, string> => (etag === null ? {} : { 'If-Match': etag });

/** Null for an empty body, and for what a proxy sent in place of JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A dictionary of RFC 9651. */
function parseReceipt(header: string | null): Receipt | null {
  const member = (name: string) => Number(header?.match(new RegExp(`(?:^|[ ,])${name}=([0-9.]+)`))?.[1] ?? NaN);
  const receipt = { instances: member('instances'), slowest: member('slowest-ms') };
  return Number.isNaN(receipt.instances + receipt.slowest) ? null : receipt;
}

async function versioned<T>(call: Promise<Output<T>>): Promise<Versioned<T>> {
  const { value, headers } = await call;
  return { value, etag: headers.get('ETag') };
}

async function page<T>(call: Promise<Output<T[]>>): Promise<Page<T>> {
  const { value, headers } = await call;
  const total = headers.get('X-Total-Count');
  return { items: value, next: nextCursor(headers.get('Link')), total: total === null ? null : Number(total) };
}

function nextCursor(link: string | null): string | null {
  const target = link?.match(/<([^>]*)>\s*;[^,]*rel="?next"?/)?.[1];
  return target === undefined ? null : new URL(target, location.href).searchParams.get('cursor');
}
