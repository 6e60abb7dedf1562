import createClient from 'openapi-fetch';
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
export type EventType = Schemas['EventType'];
export type Me = Schemas['MeResponse'];
export type Policy = Schemas['PolicyResponse'];
export type PolicyRequest = Schemas['PolicyRequest'];
export type Violation = Schemas['PolicyViolation'];
export type RateLimit = Schemas['RateLimit'];
export type Quota = Schemas['Quota'];
export type Status = Schemas['KeyStatus'];
export type ListQuery = NonNullable<paths['/api/v1/api-keys']['get']['parameters']['query']>;
export type EventQuery = NonNullable<paths['/api/v1/api-keys/events']['get']['parameters']['query']>;

export interface Page<T> {
  items: T[];
  /** The cursor of the next page; null at the end. */
  next: string | null;
  /** Null where the service does not count: a filter that more than 10,000 keys match. */
  total: number | null;
}

export interface Versioned<T> {
  value: T;
  etag: string | null;
}

export type TokenSource = () => Promise<string>;

/** The service gives up after 30 s. */
const TIMEOUT_MS = 40_000;

interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The calls of the service. Each throws an `ApiError` unless it succeeds. */
export class Api {
  readonly #client;
  #token: string | null = null;

  constructor(
    readonly baseUrl: string,
    private readonly getToken: TokenSource,
  ) {
    this.#client = createClient<paths>({ baseUrl, fetch: (request: Request) => this.#send(request) });
  }

  me(): Promise<Me> {
    return value(this.#client.GET('/api/v1/me', {}));
  }

  list(query: ListQuery): Promise<Page<Key>> {
    return page(this.#client.GET('/api/v1/api-keys', { params: { query } }));
  }

  /** How many keys match; null for more than 10,000. */
  async count(query: ListQuery): Promise<number | null> {
    return (await this.list({ ...query, limit: 1 })).total;
  }

  key(id: string): Promise<Versioned<Key>> {
    return versioned(this.#client.GET('/api/v1/api-keys/{id}', { params: { path: { id } } }));
  }

  create(body: CreateRequest, idempotencyKey: string): Promise<CreatedKey> {
    return value(
      this.#client.POST('/api/v1/api-keys', { body, headers: { 'Idempotency-Key': idempotencyKey } }),
    );
  }

  update(id: string, body: UpdateRequest, etag: string | null): Promise<Versioned<Key>> {
    return versioned(
      this.#client.PATCH('/api/v1/api-keys/{id}', {
        params: { path: { id }, header: ifMatch(etag) },
        body,
      }),
    );
  }

  /** Repeating it makes one more secret, so `etag` is required: the repeat then fails with 412. */
  rotate(id: string, overlapSeconds: number, etag: string, idempotencyKey: string): Promise<CreatedKey> {
    return value(
      this.#client.POST('/api/v1/api-keys/{id}/rotate', {
        params: { path: { id }, header: ifMatch(etag) },
        body: { overlapSeconds },
        headers: { 'Idempotency-Key': idempotencyKey },
      }),
    );
  }

  async endPreviousSecret(id: string): Promise<void> {
    await value(this.#client.DELETE('/api/v1/api-keys/{id}/previous-secret', { params: { path: { id } } }));
  }

  suspend(id: string, until: string | null, reason: string | null): Promise<Key> {
    const body = { until, reason };
    return value(this.#client.POST('/api/v1/api-keys/{id}/suspend', { params: { path: { id } }, body }));
  }

  resume(id: string, reason: string | null): Promise<Key> {
    return value(this.#client.POST('/api/v1/api-keys/{id}/resume', { params: { path: { id } }, body: { reason } }));
  }

  async revoke(id: string): Promise<void> {
    await value(this.#client.DELETE('/api/v1/api-keys/{id}', { params: { path: { id } } }));
  }

  usage(id: string, from: Date, interval: Interval): Promise<KeyUsage> {
    const query = { from: from.toISOString(), interval };
    return value(this.#client.GET('/api/v1/api-keys/{id}/usage', { params: { path: { id }, query } }));
  }

  tenantUsage(from: Date, interval: Interval): Promise<TenantUsage> {
    const query = { from: from.toISOString(), interval };
    return value(this.#client.GET('/api/v1/api-keys/usage', { params: { query } }));
  }

  callers(id: string): Promise<Caller[]> {
    return value(this.#client.GET('/api/v1/api-keys/{id}/callers', { params: { path: { id } } }));
  }

  keyEvents(id: string, query: { limit: number; cursor?: string }): Promise<Page<KeyEvent>> {
    return events(this.#client.GET('/api/v1/api-keys/{id}/events', { params: { path: { id }, query } }));
  }

  events(query: EventQuery): Promise<Page<KeyEvent>> {
    return events(this.#client.GET('/api/v1/api-keys/events', { params: { query } }));
  }

  policy(): Promise<Policy> {
    return value(this.#client.GET('/api/v1/api-keys/policy', {}));
  }

  setPolicy(body: PolicyRequest, dryRun: boolean): Promise<Policy> {
    return value(this.#client.PUT('/api/v1/api-keys/policy', { params: { query: { dryRun } }, body }));
  }

  /** Sends with the host page's token, and once more if the service refuses it and `getToken` has another one. */
  async #send(request: Request): Promise<Response> {
    const repeat = request.clone();
    this.#token = await this.#newestToken();
    const first = await this.#attempt(request, this.#token);
    if (first.status !== 401) return first;
    const refused = this.#token;
    this.#token = await this.#newestToken();
    return this.#token === refused ? first : this.#attempt(repeat, this.#token);
  }

  async #newestToken(): Promise<string> {
    try {
      return await this.getToken();
    } catch {
      throw new ApiError(401, 'signed_out', texts.errors.signedOut);
    }
  }

  async #attempt(request: Request, token: string): Promise<Response> {
    const headers = new Headers(request.headers);
    headers.set('Authorization', `Bearer ${token}`);
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    try {
      return await fetch(
        new Request(request, { headers, signal, credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer' }),
      );
    } catch {
      if (signal.aborted) throw new ApiError(0, 'no_response', texts.errors.noResponse);
      // `onLine` is false only where the computer has no network at all.
      if (!navigator.onLine) throw new ApiError(0, 'offline', texts.errors.offline);
      throw new ApiError(0, 'unreachable', texts.errors.unreachable);
    }
  }
}

function ifMatch(etag: string | null): { 'If-Match'?: string } {
  return etag === null ? {} : { 'If-Match': etag };
}

async function value<T>(call: Promise<Outcome<T>>): Promise<T> {
  return (await outcome(call)).data as T;
}

async function versioned<T>(call: Promise<Outcome<T>>): Promise<Versioned<T>> {
  const { data, response } = await outcome(call);
  return { value: data as T, etag: response.headers.get('ETag') };
}

async function page<T>(call: Promise<Outcome<T[]>>): Promise<Page<T>> {
  const { data, response } = await outcome(call);
  const total = response.headers.get('X-Total-Count');
  return {
    items: data ?? [],
    next: nextCursor(response.headers.get('Link')),
    total: total === null ? null : Number(total),
  };
}

/** openapi-fetch 0.17 loses properties that are always null, such as `keyId` of a change of the policy. */
const events = (call: Promise<Outcome<unknown[]>>): Promise<Page<KeyEvent>> => page(call as Promise<Outcome<KeyEvent[]>>);

async function outcome<T>(call: Promise<Outcome<T>>): Promise<Outcome<T>> {
  let result;
  try {
    result = await call;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    // The body ended early, or is not what the service sends.
    throw new ApiError(0, 'unreachable', texts.errors.unreachable);
  }
  if (!result.response.ok) {
    throw errorOf(result.response, result.error, texts.errors.status(result.response.status));
  }
  return result;
}

function nextCursor(link: string | null): string | null {
  const target = link?.match(/<([^>]*)>\s*;[^,]*rel="?next"?/)?.[1];
  return target === undefined ? null : new URL(target, location.href).searchParams.get('cursor');
}
