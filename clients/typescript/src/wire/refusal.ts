/**
 * Why something did not happen: what the server refused, and what this client could not do.
 *
 * Absent: what to do about it.
 */
import type { Details, ErrorCode, Refusal } from './generated/server.js';

/**
 * What only a client can say.
 *
 * - `unreachable`: no answer over HTTP;
 * - `disconnected`: the connection went before the reply came;
 * - `timeout`: no reply in time;
 * - `full`: a queue of the client is full;
 * - `discarded`: it was taken out of the outbox;
 * - `stopped`: the client has ended;
 * - `socket_only`: the client is connected over HTTP, and this goes over a socket only.
 */
export type LocalCode = 'unreachable' | 'disconnected' | 'timeout' | 'full' | 'discarded' | 'stopped' | 'socket_only';

/** Server codes after which the same frame, with the same `msg_id`, may succeed later. */
const TEMPORARY: ReadonlySet<string> = new Set<ErrorCode | LocalCode>([
  'rate_limited', 'unavailable', 'unknown_outcome', 'internal', 'unreachable', 'disconnected', 'timeout',
]);

/** A refusal, with the server's code or one of the client's own. */
export class ParlorError extends Error {
  override readonly name = 'ParlorError';
  readonly code: ErrorCode | LocalCode;
  /** The field to blame, as a path inside the payload. */
  readonly field: string | undefined;
  /** When to try again, in milliseconds from the answer. */
  readonly retry_after_ms: number | undefined;
  readonly details: Details | undefined;

  constructor(code: ErrorCode | LocalCode, message: string, more: Partial<Refusal> = {}) {
    super(message);
    this.code = code;
    this.field = more.field ?? undefined;
    this.retry_after_ms = more.retry_after_ms ?? undefined;
    this.details = more.details ?? undefined;
  }

  /** Makes one of a refusal as the server words it. */
  static of(refusal: Refusal): ParlorError {
    return new ParlorError(refusal.code, refusal.message, refusal);
  }

  /** Whether the same may succeed later. */
  get temporary(): boolean {
    return TEMPORARY.has(this.code);
  }
}
