/**
 * The part of a room's timeline that is held: one stretch of it, however long the room is. Pure.
 *
 * V-1  events are in order, each once, and nothing that the server keeps between `low` and `high` is missing;
 * V-2  at most `HELD_MAX` events are held: whatever is added at one end lets go at the other.
 *
 * Absent: asking for pages, and what is shown of the events.
 */
import type { EventFrame, Received, Seq } from 'parlor-client';

/** Events of one room that are held. */
export const HELD_MAX = 360;
/** Events that a room keeps when it is not shown, so that it is there at once when it is again. */
export const WARM_MAX = 50;

export class TimelineWindow {
  #events: EventFrame[] = [];
  #loaded = false;
  /** The oldest position the server keeps. */
  #first: Seq = 1;
  /** The positions covered, both included; `low` is above `high` when none is. */
  #low: Seq = 1;
  #high: Seq = 0;

  get events(): readonly EventFrame[] { return this.#events; }
  get loaded(): boolean { return this.#loaded; }
  get low(): Seq { return this.#low; }
  get high(): Seq { return this.#high; }
  get hasOlder(): boolean { return this.#loaded && this.#low > Math.max(1, this.#first); }

  /** Whether there is more after what is held, in a room with this head. */
  hasNewer(head: Seq): boolean { return this.#loaded && this.#high < head; }

  covers(seq: Seq): boolean { return this.#loaded && seq >= this.#low && seq <= this.#high; }

  at(seq: Seq): EventFrame | undefined {
    return this.covers(seq) ? this.#events.find((event) => event.payload.seq === seq) : undefined;
  }

  clear(): void {
    this.#events = [];
    this.#loaded = false;
  }

  /** Takes a page in place of everything that was held. */
  place(page: Received.HistoryAck): void {
    this.#events = [...page.events];
    this.#loaded = true;
    this.#first = page.first;
    this.#low = page.events[0]?.payload.seq ?? page.head + 1;
    this.#high = page.events.at(-1)?.payload.seq ?? page.head;
  }

  /** Takes the page before `low`. */
  older(page: Received.HistoryAck): void {
    if (!this.#loaded) return;
    const events = page.events.filter((event) => event.payload.seq < this.#low);
    this.#events.unshift(...events);
    this.#first = page.first;
    this.#low = page.complete ? Math.min(this.#low, page.first) : events[0]?.payload.seq ?? this.#low;
    if (this.#events.length <= HELD_MAX) return;
    this.#events.length = HELD_MAX;
    this.#high = this.#events.at(-1)?.payload.seq ?? this.#high;
  }

  /** Takes the page after `high`. */
  newer(page: Received.HistoryAck): void {
    if (!this.#loaded) return;
    this.#events.push(...page.events.filter((event) => event.payload.seq > this.#high));
    this.#high = Math.max(this.#high, this.#events.at(-1)?.payload.seq ?? 0, page.complete ? page.head : 0);
    this.#keepNewest(HELD_MAX);
  }

  /**
   * Takes an event as it comes. `following` says that the end is what is looked at, so that room is made at the start; else an event for
   * which there is no room is left to be read back. Returns whether it is held.
   */
  live(event: EventFrame, following: boolean, most = HELD_MAX): boolean {
    const { seq } = event.payload;
    if (!this.#loaded || seq !== this.#high + 1) return false;
    if (!following && this.#events.length >= most) return false;
    this.#events.push(event);
    this.#high = seq;
    this.#keepNewest(most);
    return true;
  }

  /** Steps over what the server does not keep. */
  skip(from: Seq, to: Seq): void {
    if (this.#loaded && from <= this.#high + 1) this.#high = Math.max(this.#high, to);
  }

  /** Lets go of all but the newest. */
  keepNewest(most: number, head: Seq): void {
    if (this.hasNewer(head)) this.clear();
    else this.#keepNewest(most);
  }

  checkInvariants(): void {
    if (this.#events.length > HELD_MAX) throw new Error('V-2: too much is held');
    this.#events.forEach((event, n) => {
      const before = this.#events[n - 1];
      if (before && before.payload.seq >= event.payload.seq) throw new Error('V-1: out of order');
      if (!this.covers(event.payload.seq)) throw new Error('V-1: not covered');
    });
  }

  #keepNewest(most: number): void {
    const over = this.#events.length - most;
    if (over <= 0) return;
    this.#events.splice(0, over);
    this.#low = this.#events[0]?.payload.seq ?? this.#low;
  }
}
