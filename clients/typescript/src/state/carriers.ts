/**
 * Which way to the server is to be tried: the socket, server-sent events, long poll. Pure: what came of each and the time go in.
 *
 * W-1  the socket is first until it failed twice in a row, or once in a way that lasts; it is first again when it carried anything;
 * W-2  what the server does not have is not tried again for `BARRED_MS`;
 * W-3  while another way carries, the socket is tried after a wait of full jitter, from 10 s doubling to 5 min.
 *
 * Absent: the links; and what an attempt after another waits, which is the connection's.
 */
import type { LinkEnd } from './connection.js';
import type { Random } from './backoff.js';

/** How long a way that the server does not have is left alone, in milliseconds. */
export const BARRED_MS = 600_000;
const FAILURES = 2;
const RETRY_FIRST_MS = 10_000;
const RETRY_MAX_MS = 300_000;
/** Statuses by which the server itself speaks of this client or of its load: another way would meet the same. */
const SAME_EVERYWHERE = new Set([401, 429, 503]);

/** What stands in for the socket: a stream of server-sent events, and asking again and again. */
export type Way = 'stream' | 'poll';

export class Carriers {
  readonly #barred = new Map<Way, number>();
  #failures = 0;
  #retries = 0;

  /** Whether to begin without the socket. */
  socketAway(now: number): boolean {
    return this.#failures >= FAILURES && this.usable('poll', now);
  }

  /** Takes that the socket did not open, or carried nothing. Returns whether to go another way now. */
  socketFailed(end: LinkEnd, now: number): boolean {
    const { status } = end;
    if (end.code !== undefined || (status !== undefined && SAME_EVERYWHERE.has(status))) return false;
    // After these statuses the client would not come back, so there is no second time to wait for.
    const lasts = status !== undefined && status >= 400 && status < 500;
    this.#failures += lasts ? FAILURES : 1;
    return this.socketAway(now);
  }

  /** The socket carried something. */
  socketHad(): void {
    this.#failures = 0;
    this.#retries = 0;
  }

  /** The server does not have this way, or nothing comes by it. */
  bar(way: Way, now: number, for_ms = BARRED_MS): void {
    this.#barred.set(way, now + for_ms);
  }

  usable(way: Way, now: number): boolean {
    return (this.#barred.get(way) ?? now) <= now;
  }

  /** Chooses how long to wait before the socket is tried beside what carries, in milliseconds. */
  retryIn(random: Random): number {
    return random() * Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(this.#retries++, 10));
  }
}
