/**
 * Typing, throttled: of many keystrokes the room hears one every three seconds. Pure.
 *
 * Y-1  of one room at most one start goes out in `EVERY_MS`; a stop only after a start that may still hold.
 */
import type { RoomId } from '../wire/generated/both.js';

/** Between two starts in one room, in milliseconds: half of what a start holds. */
export const EVERY_MS = 3_000;
/** How long the server lets a start hold, in milliseconds. */
const HOLDS_MS = 6_000;

export class Typing {
  readonly #started = new Map<RoomId, number>();

  /** Notes a keystroke. Returns whether to tell. */
  start(room_id: RoomId, now: number): boolean {
    for (const [other, at] of this.#started) if (now - at > HOLDS_MS) this.#started.delete(other);
    const at = this.#started.get(room_id);
    if (at !== undefined && now - at < EVERY_MS) return false;
    this.#started.set(room_id, now);
    return true;
  }

  /** Notes that nothing is typed any more: sent, emptied, left. Returns whether to tell. */
  stop(room_id: RoomId, now: number): boolean {
    const at = this.#started.get(room_id);
    this.#started.delete(room_id);
    return at !== undefined && now - at <= HOLDS_MS;
  }

  /** Forgets the starts: the session they were told in is gone. */
  connectionLost(): void {
    this.#started.clear();
  }
}
