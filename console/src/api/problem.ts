import type { components } from './schema.js';

type ProblemDocument = components['schemas']['Problem'];
export type FieldError = components['schemas']['FieldError'];

/** What a failed call leaves for the page to show. */
export class ApiError extends Error {
  constructor(
    /** The HTTP status; 0 where no response arrived. */
    readonly status: number,
    /** A `code` of the service, or `offline`, `unreachable`, `no_response`. */
    readonly code: string,
    detail: string,
    readonly requestId: string | null = null,
    readonly errors: FieldError[] = [],
    /** Whole seconds; null where the response has no `Retry-After`. */
    readonly retryAfter: number | null = null,
    /** Of a `policy_violation`: the property of the policy. */
    readonly rule: string | null = null,
  ) {
    super(detail);
    this.name = 'ApiError';
  }

  /** True if the call may have been carried out all the same. */
  get outcomeUnknown(): boolean {
    return (
      ['unreachable', 'no_response', 'timeout', 'database_unavailable', 'internal_error'].includes(this.code) ||
      (this.status >= 500 && this.code === 'unknown')
    );
  }

  get isSignInNeeded(): boolean {
    return this.status === 401;
  }
}

/** Reads the problem document of a refusal, or makes one of what a proxy sent in its place. */
export function errorOf(response: Response, body: unknown, fallback: string): ApiError {
  const problem: Partial<ProblemDocument> = typeof body === 'object' && body !== null ? body : {};
  const retryAfter = Number.parseInt(response.headers.get('Retry-After') ?? '', 10);
  return new ApiError(
    response.status,
    problem.code ?? 'unknown',
    problem.detail ?? fallback,
    response.headers.get('X-Request-Id') ?? problem.requestId ?? null,
    problem.errors ?? [],
    Number.isFinite(retryAfter) ? retryAfter : null,
    problem.rule ?? null,
  );
}
