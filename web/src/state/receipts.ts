/**
 * What others have of a room: how far each has received and read. Pure.
 *
 * The server tells of receipts when they move and not what they were before, so what was heard is kept over reloads.
 *
 * M-1  a receipt only moves forward;
 * M-2  at most `PEOPLE_MAX` people are remembered; the one not heard of for longest is forgotten.
 */
import type { EventFrame, Seq, UserId } from 'parlor-client';

const PEOPLE_MAX = 200;
/** People of a room that are kept over a reload. */
const KEPT_MAX = 20;

interface Reached { delivered: Seq; read: Seq }

/** How far a message of one's own has come. */
export interface Mark {
  readonly state: 'sent' | 'delivered' | 'read';
  /** Who has read it, in no order. */
  readonly readers: readonly UserId[];
}

export type KeptReceipts = readonly (readonly [UserId, Seq, Seq])[];

export class SeenBy {
  readonly #people = new Map<UserId, Reached>();

  note(user: UserId, delivered: Seq, read: Seq): void {
    const before = this.#people.get(user) ?? { delivered: 0, read: 0 };
    const reached = { read: Math.max(before.read, read), delivered: Math.max(before.delivered, delivered, read) };
    this.#people.delete(user);
    this.#people.set(user, reached);
    const [oldest] = this.#people.keys();
    if (this.#people.size > PEOPLE_MAX && oldest !== undefined) this.#people.delete(oldest);
  }

  forget(user: UserId): void { this.#people.delete(user); }

  clear(): void { this.#people.clear(); }

  mark(seq: Seq): Mark {
    const readers: UserId[] = [];
    let delivered = false;
    for (const [user, reached] of this.#people) {
      if (reached.read >= seq) readers.push(user);
      delivered ||= reached.delivered >= seq;
    }
    return { state: readers.length > 0 ? 'read' : delivered ? 'delivered' : 'sent', readers };
  }

  /** By message, who has read up to it and not further; of those it was not said by. Only of what is in `events`. */
  standing(events: readonly EventFrame[], me: UserId): Map<Seq, UserId[]> {
    const out = new Map<Seq, UserId[]>();
    const first = events[0]?.payload.seq ?? 0;
    for (const [user, { read }] of this.#people) {
      if (user === me || read < first) continue;
      const at = events.findLast((event) => event.payload.seq <= read && event.type === 'message');
      if (!at || at.payload.sender === user) continue;
      // Whoever has answered since has read what was before the answer.
      if (events.some((event) => event.type === 'message' && event.payload.sender === user && event.payload.seq > at.payload.seq)) continue;
      out.set(at.payload.seq, [...out.get(at.payload.seq) ?? [], user]);
    }
    return out;
  }

  /** What is worth keeping: of those heard of last. */
  kept(): KeptReceipts {
    return [...this.#people].slice(-KEPT_MAX).map(([user, { delivered, read }]) => [user, delivered, read] as const);
  }
}
