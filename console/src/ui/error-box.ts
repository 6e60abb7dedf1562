import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { ApiError } from '../api/problem.js';
import { texts } from '../texts.js';
import { icon, type IconName } from './icons.js';
import { define, Part } from './part.js';

const e = texts.errors;

const TITLES: Record<string, string> = {
  offline: e.offlineTitle,
  unreachable: e.unreachableTitle,
  no_response: e.unreachableTitle,
  key_not_found: e.notFoundTitle,
  tenant_not_found: e.tenantTitle,
  key_revoked: e.revokedTitle,
  key_expired: e.expiredTitle,
};

const TITLES_BY_STATUS: Record<number, string> = {
  400: e.inputTitle,
  401: e.sessionTitle,
  403: e.forbiddenTitle,
  404: e.notFoundTitle,
  409: e.conflictTitle,
  412: e.conflictTitle,
  422: e.policyTitle,
  429: e.limitTitle,
  503: e.unavailableTitle,
};

/**
 * A failed call: what happened, the service's own words, the request id, and the way on. With `retry`, a call that may
 * be repeated is: by itself after `Retry-After` or once the network is back (`auto`), or by a button.
 */
export class ErrorBox extends Part {
  @property({ attribute: false }) error: ApiError | null = null;
  @property({ type: Boolean }) retry = false;
  @property({ type: Boolean }) auto = false;
  @state() private remaining = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Failures in a row: each makes the next wait longer. */
  #failures = 0;

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('online', this.#online);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('online', this.#online);
    clearInterval(this.#timer);
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('error')) this.#startCountdown();
  }

  protected override render() {
    const { error } = this;
    if (error === null) return nothing;
    const title = TITLES[error.code] ?? TITLES_BY_STATUS[error.status] ?? e.otherTitle;
    const isNetwork = error.status === 0;
    const tone = isNetwork || error.status === 429 || error.status === 503 ? 'warn' : 'bad';
    const name: IconName = isNetwork ? 'offline' : 'warning';
    return html`<div class="problem ${tone}" role="alert" tabindex="-1" part="error" data-code=${error.code}>
      ${icon(name)}
      <div class="problem-text">
        <p class="problem-title">${title}</p>
        <p>${error.message}</p>
        ${error.errors.length > 0
          ? html`<ul class="problem-fields">
              ${error.errors.map(({ field, message }) => html`<li><code>${field}</code> ${message}</li>`)}
            </ul>`
          : nothing}
        ${this.auto && error.code === 'offline' ? html`<p>${e.retriesOnline}</p>` : nothing}
        ${error.requestId === null
          ? nothing
          : html`<p class="request-id">${texts.common.requestId} <code>${error.requestId}</code></p>`}
        ${this.#action(error)}
      </div>
    </div>`;
  }

  #action(error: ApiError) {
    if (error.isSignInNeeded) {
      return html`<button type="button" class="button" @click=${() => this.emit('sign-in-required', undefined, true)}>${e.signIn}</button>`;
    }
    if (!this.retry || [400, 403, 404, 409, 412, 422].includes(error.status)) return nothing;
    const waits = this.remaining > 0;
    const label = waits ? (this.auto ? e.retriesIn(this.remaining) : e.retryIn(this.remaining)) : texts.common.retry;
    return html`<button type="button" class="button" ?disabled=${waits && !this.auto} @click=${this.#again}>${label}</button>`;
  }

  #startCountdown(): void {
    clearInterval(this.#timer);
    const after = this.error?.retryAfter ?? 0;
    this.remaining = after === 0 || !this.auto ? after : Math.max(after, Math.min(30, 2 ** this.#failures++));
    if (this.remaining === 0) return;
    this.#timer = setInterval(() => {
      this.remaining -= 1;
      if (this.remaining > 0) return;
      clearInterval(this.#timer);
      if (this.auto) this.#again();
    }, 1_000);
  }

  readonly #online = (): void => {
    if (this.auto && this.error?.status === 0) this.#again();
  };

  readonly #again = (): void => {
    clearInterval(this.#timer);
    this.remaining = 0;
    this.dispatchEvent(new CustomEvent('retry'));
  };
}
define('rally-error-box', ErrorBox);

/** Nothing without an error. `auto`: for what only reads. */
export const errorBox = (error: ApiError | null, retry?: (event: Event) => unknown, auto = retry !== undefined) =>
  error === null
    ? nothing
    : html`<rally-error-box .error=${error} ?retry=${retry !== undefined} ?auto=${auto} @retry=${retry}></rally-error-box>`;
