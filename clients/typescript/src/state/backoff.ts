/**
 * The wait before the next attempt: full jitter, from 100 ms doubling to 30 s.
 *
 * B-1  a wait is never longer than `ceiling`.
 *
 * Source: PROTOCOL, section 8.
 */

const FIRST_MS = 100;
const MAX_MS = 30_000;

/** Gives numbers from 0 to below 1, all equally likely. */
export type Random = () => number;

/** How many attempts failed in a row, and how long to wait after one more. */
export class Backoff {
  #failed = 0;

  /** The longest wait that may come next, in milliseconds. */
  get ceiling(): number {
    return Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(this.#failed, 20));
  }

  get failed(): number {
    return this.#failed;
  }

  /** Chooses the next wait, in milliseconds. */
  next(random: Random): number {
    const wait = random() * this.ceiling;
    this.#failed += 1;
    return wait;
  }

  /** Begins anew after a success. */
  reset(): void {
    this.#failed = 0;
  }
}
