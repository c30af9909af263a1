/**
 * Frames that append, kept until the server has answered for good. Pure: the time goes in, what to send comes out.
 *
 * O-1  an entry leaves only by an ack, a refusal that is not temporary, too many that are, or by being discarded;
 *      whenever it is sent, it is sent with the same `msg_id`;
 * O-2  of one room one entry is in flight, the oldest, so that none overtakes another;
 * O-3  there are never more than `bound` entries. When full, a new one is handed back.
 *
 * Absent: the storage, which has every entry before it comes here, and who waits for an answer.
 */
import { bytesOf, write, type AppendType, type PayloadOf } from '../wire/frame.js';
import type { MsgId, RoomId } from '../wire/generated/both.js';
import type { WelcomeLimits } from '../wire/generated/server.js';
import { ParlorError } from '../wire/refusal.js';
import { Backoff, type Random } from './backoff.js';

/** Temporary refusals of one entry, those of rate aside, after which it is given up: about ten minutes of them. */
const REFUSALS_MAX = 25;
/** The least wait after a temporary refusal, so that a server in trouble is not asked at once. */
const RETRY_LEAST_MS = 100;

/** One frame of the outbox, fit to be stored. */
export interface Entry<T extends AppendType = AppendType> {
  /** Its idempotency key. */
  readonly msg_id: MsgId;
  readonly type: T;
  readonly payload: PayloadOf<T>;
}

interface Slot {
  readonly entry: Entry;
  /** When it was last sent, while it is in flight. */
  sent_at: number | undefined;
  /** Not to be sent before. */
  held_until: number;
  /** Whether it was sent before, on any connection. */
  again: boolean;
  readonly refusals: Backoff;
}

/** What is to be sent, or cannot be. */
export type Due = { readonly entry: Entry; readonly text: string; readonly again: boolean } | { readonly entry: Entry; readonly error: ParlorError };

export class Outbox {
  readonly #bound: number;
  /** Per room, oldest first; frames that name no room share a lane. */
  readonly #lanes = new Map<RoomId, Slot[]>();
  readonly #slots = new Map<MsgId, Slot>();

  constructor(bound: number) {
    this.#bound = bound;
  }

  get size(): number {
    return this.#slots.size;
  }

  has(msg_id: MsgId): boolean {
    return this.#slots.has(msg_id);
  }

  /** Every entry, oldest first. */
  entries(): Entry[] {
    return [...this.#slots.values()].map((slot) => slot.entry);
  }

  /** Takes an entry behind all others of its room. Returns whether it was taken: not when full, nor an id that is there. */
  push(entry: Entry): boolean {
    if (this.#slots.size >= this.#bound || this.#slots.has(entry.msg_id)) return false;
    const slot: Slot = { entry, sent_at: undefined, held_until: 0, again: false, refusals: new Backoff() };
    this.#slots.set(entry.msg_id, slot);
    const lane = this.#lanes.get(roomOf(entry));
    if (lane) lane.push(slot);
    else this.#lanes.set(roomOf(entry), [slot]);
    return true;
  }

  /** Takes what may go out now: at most one of each room. What is above the server's limits comes with its error and is gone. */
  due(now: number, limits: Pick<WelcomeLimits, 'body_bytes' | 'frame_bytes'>): Due[] {
    const due: Due[] = [];
    for (const lane of [...this.#lanes.values()]) {
      for (let slot = lane[0]; slot && slot.sent_at === undefined && slot.held_until <= now; slot = lane[0]) {
        const { entry } = slot;
        const text = write(entry.type, entry.payload, entry.msg_id);
        const error = tooLarge(entry, text, limits);
        if (!error) {
          slot.sent_at = now;
          due.push({ entry, text, again: slot.again });
          slot.again = true;
          break;
        }
        this.remove(entry.msg_id);
        due.push({ entry, error });
      }
    }
    return due;
  }

  /** Lets go of an entry. */
  remove(msg_id: MsgId): Entry | undefined {
    const slot = this.#slots.get(msg_id);
    if (!slot) return undefined;
    this.#slots.delete(msg_id);
    const room = roomOf(slot.entry);
    const lane = this.#lanes.get(room);
    lane?.splice(lane.indexOf(slot), 1);
    if (lane?.length === 0) this.#lanes.delete(room);
    return slot.entry;
  }

  /** Notes a refusal. Returns whether the entry goes out again later; if not, it is to be removed. */
  refused(msg_id: MsgId, error: ParlorError, now: number, random: Random): boolean {
    const slot = this.#slots.get(msg_id);
    if (!slot) return false;
    // An ended token closes the socket next, and says nothing about the entry.
    const kept = error.temporary || error.code === 'unauthorized';
    if (!kept || slot.refusals.failed >= REFUSALS_MAX) return false;
    slot.sent_at = undefined;
    // Being over a rate is no sign of trouble: the server says how long, and it may happen any number of times.
    const jitter = error.code === 'rate_limited' ? random() * RETRY_LEAST_MS : slot.refusals.next(random);
    slot.held_until = now + Math.max(error.retry_after_ms ?? 0, RETRY_LEAST_MS) + jitter;
    return true;
  }

  /** Takes back what was in flight: it goes out again, in order, on the next connection. */
  connectionLost(): void {
    for (const slot of this.#slots.values()) slot.sent_at = undefined;
  }

  /** When the oldest entry in flight was sent. */
  sentAt(): number | undefined {
    return least([...this.#lanes.values()].map((lane) => lane[0]?.sent_at));
  }

  /** When the next held entry may go out. */
  heldUntil(): number | undefined {
    const held = [...this.#lanes.values()].flatMap(([first]) => (first && first.sent_at === undefined ? [first.held_until] : []));
    return least(held);
  }

  /** Throws when O-2 or O-3 does not hold. */
  checkInvariants(): void {
    let slots = 0;
    for (const lane of this.#lanes.values()) {
      slots += lane.length;
      if (lane.slice(1).some((slot) => slot.sent_at !== undefined)) throw new Error('O-2: an entry has overtaken another');
    }
    if (slots !== this.#slots.size || slots > this.#bound) throw new Error('O-3: the lanes hold what is not counted');
  }
}

/** The smallest of some times. */
export function least(times: (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}

function roomOf(entry: Entry): RoomId {
  return 'room_id' in entry.payload ? entry.payload.room_id : '';
}

function tooLarge(entry: Entry, text: string, limits: Pick<WelcomeLimits, 'body_bytes' | 'frame_bytes'>): ParlorError | undefined {
  if ('body' in entry.payload && bytesOf(JSON.stringify(entry.payload.body)) > limits.body_bytes) {
    return new ParlorError('too_large', `the body is above ${limits.body_bytes} bytes`, { field: 'body' });
  }
  return bytesOf(text) > limits.frame_bytes ? new ParlorError('too_large', `the frame is above ${limits.frame_bytes} bytes`) : undefined;
}
