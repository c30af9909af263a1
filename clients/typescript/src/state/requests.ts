/**
 * Frames that ask, until they are answered. Pure.
 *
 * Q-1  every request is settled once: by its reply, by its deadline, or by the loss of the connection it went out on;
 * Q-2  there are never more than `BOUND`, nor more than `FLYING_MAX` in flight. When full, a new one is refused; what has
 *      no turn yet waits for one, over a reconnect too, until its deadline.
 *
 * Absent: the outbox, whose entries outlive all this.
 */
import type { AppendType, AskType } from '../wire/frame.js';
import type { MsgId, RoomId, Seq } from '../wire/generated/both.js';
import { least } from './outbox.js';
import type { Receipt } from './receipts.js';
import type { Page } from './timelines.js';

/** Requests at most. */
export const BOUND = 1_000;
/** Requests in flight at most. */
export const FLYING_MAX = 32;

/** What a request is for, and so what its reply does. */
export type Purpose =
  | { readonly for: 'application'; readonly type: AskType | AppendType; readonly payload: unknown }
  | { readonly for: 'page'; readonly page: Page }
  | { readonly for: 'receipt'; readonly receipt: Receipt }
  /** A room whose position did not fit into `hello`. */
  | { readonly for: 'resume'; readonly room_id: RoomId; readonly after: Seq }
  | { readonly for: 'refresh' };

export interface Request {
  readonly msg_id: MsgId;
  readonly text: string;
  readonly purpose: Purpose;
  readonly deadline: number;
  flying: boolean;
}

export class Requests {
  readonly #requests = new Map<MsgId, Request>();
  #flying = 0;

  /** Takes a request. Returns whether it was taken. */
  push(msg_id: MsgId, text: string, purpose: Purpose, deadline: number): boolean {
    if (this.#requests.size >= BOUND || this.#requests.has(msg_id)) return false;
    this.#requests.set(msg_id, { msg_id, text, purpose, deadline, flying: false });
    return true;
  }

  /** Takes what may go out now. */
  due(): Request[] {
    const due: Request[] = [];
    if (this.#flying === this.#requests.size) return due;
    for (const request of this.#requests.values()) {
      if (this.#flying >= FLYING_MAX) break;
      if (request.flying) continue;
      request.flying = true;
      this.#flying += 1;
      due.push(request);
    }
    return due;
  }

  /** Takes out what is answered. */
  settle(msg_id: MsgId): Request | undefined {
    const request = this.#requests.get(msg_id);
    if (request) this.#remove(request);
    return request;
  }

  /** Takes out what is past its deadline. */
  late(now: number): Request[] {
    return this.#take((request) => request.deadline <= now);
  }

  /** Takes out what was in flight, and what only that connection was for. */
  connectionLost(): Request[] {
    return this.#take((request) => request.flying || request.purpose.for !== 'application');
  }

  /** Takes out everything. */
  clear(): Request[] {
    return this.#take(() => true);
  }

  /** How many are for this. */
  count(what: Purpose['for']): number {
    let count = 0;
    for (const request of this.#requests.values()) if (request.purpose.for === what) count += 1;
    return count;
  }

  deadline(): number | undefined {
    return least([...this.#requests.values()].map((request) => request.deadline));
  }

  /** Throws when Q-2 does not hold. */
  checkInvariants(): void {
    const flying = [...this.#requests.values()].filter((request) => request.flying).length;
    if (flying !== this.#flying || flying > FLYING_MAX || this.#requests.size > BOUND) throw new Error('Q-2: too much is asked');
  }

  #take(takes: (request: Request) => boolean): Request[] {
    const taken = [...this.#requests.values()].filter(takes);
    taken.forEach((request) => this.#remove(request));
    return taken;
  }

  #remove(request: Request): void {
    this.#requests.delete(request.msg_id);
    if (request.flying) this.#flying -= 1;
  }
}
