// Repetition of requests that make a secret. See `Idempotency-Key` in the API's description.
import { asApiError } from '../ui/part.js';

const PAUSE_MS = 1_000;

/** Gives equal requests the same `Idempotency-Key`: a repetition then gets the first one's response. */
export class IdempotencyKeys {
  #request = '';
  #key = '';

  for(request: unknown): string {
    const text = JSON.stringify(request);
    if (text !== this.#request) {
      this.#request = text;
      this.#key = crypto.randomUUID();
    }
    return this.#key;
  }
}

/** Sends a request once more where it is not known whether it was carried out. */
export async function repeatIfLost<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    if (!asApiError(error).outcomeUnknown) throw error;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    return send();
  }
}
