import { LitElement, type ReactiveController, type ReactiveControllerHost } from 'lit';
import { ApiError } from '../api/problem.js';
import { texts } from '../texts.js';

/** A part of a view. It renders into its parent's tree: one style sheet, one space of ids, and `::part` reach it. */
export abstract class Part extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected find<E extends Element>(selector: string): E | null {
    return this.renderRoot.querySelector<E>(selector);
  }

  /** For the view around it; `composed` events reach the host page too. */
  protected emit<T>(name: string, detail?: T, composed = false): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed }));
  }
}

const SLOW_AFTER_MS = 2_500;

/** What a view loads. A newer `run` makes the results of the earlier ones void. */
export class Load<T> implements ReactiveController {
  value: T | undefined;
  error: ApiError | null = null;
  busy = false;
  slow = false;
  #sequence = 0;

  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  hostConnected(): void {}

  hostDisconnected(): void {
    this.#sequence++;
    this.busy = false;
  }

  /** Resolves to true if it succeeded and was not overtaken. */
  async run(load: () => Promise<T>): Promise<boolean> {
    const sequence = ++this.#sequence;
    this.busy = true;
    this.slow = false;
    this.host.requestUpdate();
    const timer = setTimeout(() => {
      if (sequence !== this.#sequence) return;
      this.slow = true;
      this.host.requestUpdate();
    }, SLOW_AFTER_MS);
    try {
      const value = await load();
      if (sequence !== this.#sequence) return false;
      this.value = value;
      this.error = null;
      return true;
    } catch (error) {
      if (sequence === this.#sequence) this.error = asApiError(error);
      return false;
    } finally {
      clearTimeout(timer);
      if (sequence === this.#sequence) {
        this.busy = false;
        this.slow = false;
        this.host.requestUpdate();
      }
    }
  }

  reset(): void {
    this.#sequence++;
    this.value = undefined;
    this.error = null;
    this.busy = false;
    this.slow = false;
    this.host.requestUpdate();
  }
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  console.error(error);
  return new ApiError(0, 'page_error', error instanceof Error ? error.message : texts.errors.unreachable);
}

/** Renders again every 30 s, so that "3 minutes ago" stays true. */
export class Clock implements ReactiveController {
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  hostConnected(): void {
    this.#timer = setInterval(() => this.host.requestUpdate(), 30_000);
  }

  hostDisconnected(): void {
    clearInterval(this.#timer);
  }
}

let ids = 0;
/** An id that is unique in the document, to tie labels and descriptions to fields. */
export const uniqueId = (): string => `rally-${++ids}`;

/** `customElements.define`, where the page does not have it already from a second copy of the script. */
export function define(name: string, part: CustomElementConstructor): void {
  if (customElements.get(name) === undefined) customElements.define(name, part);
}
