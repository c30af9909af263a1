/**
 * Brings the pages of history that a room needs to be shown.
 *
 * H-1  one page of a room is asked for at a time, and one that comes for a window that was cleared meanwhile is let go.
 */
import { ParlorError, type Client, type Received, type Sent, type Seq } from 'parlor-client';
import type { Room } from './state/room.js';
import { troubleOf } from './words.js';

const PAGE = 120;

export class History {
  readonly #client: Client;
  readonly #changed: (room: Room) => void;

  constructor(client: Client, changed: (room: Room) => void) {
    this.#client = client;
    this.#changed = changed;
  }

  /** Sees that there is something to show: the newest, or what is around the first unread message. */
  async enter(room: Room): Promise<void> {
    if (room.window.loaded && (room.divider === undefined ? room.atEnd : room.window.covers(room.divider + 1))) return;
    await this.#place(room, room.divider === undefined ? {} : { around: Math.max(1, room.divider) });
  }

  async older(room: Room): Promise<void> {
    if (!room.window.hasOlder) return;
    await this.#page(room, 'older', { before: room.window.low }, (page) => room.window.older(page));
  }

  async newer(room: Room): Promise<void> {
    if (!room.window.hasNewer(room.head)) return;
    await this.#page(room, 'newer', { after: room.window.high }, (page) => room.window.newer(page));
  }

  /** Goes to the end. */
  async end(room: Room): Promise<void> {
    room.goal = { to: 'end' };
    if (room.atEnd) this.#changed(room);
    else await this.#place(room, {});
  }

  /** Goes to the first message that was unread. */
  async unread(room: Room): Promise<void> {
    if (room.divider === undefined) return;
    room.goal = { to: 'unread' };
    if (room.window.covers(room.divider + 1)) this.#changed(room);
    else await this.#place(room, { around: Math.max(1, room.divider) });
  }

  /** Tries again what failed. */
  async again(room: Room): Promise<void> {
    room.trouble = undefined;
    if (room.window.loaded) this.#changed(room);
    else await this.enter(room);
  }

  /** Goes to a message. */
  async around(room: Room, seq: Seq): Promise<void> {
    room.goal = { to: 'message', seq };
    if (room.window.covers(seq)) this.#changed(room);
    else await this.#place(room, { around: seq });
  }

  /** Brings a message that another answers, once. */
  quote(room: Room, seq: Seq): void {
    if (room.quoted.has(seq)) return;
    room.quoted.set(seq, null);
    this.#client.request('history.get', { room_id: room.id, around: seq, limit: 1 }).then(
      ({ events }) => {
        const event = events.find((one) => one.payload.seq === seq);
        if (event?.type === 'message') room.quoted.set(seq, event);
        this.#changed(room);
      },
      () => undefined,
    );
  }

  async #place(room: Room, where: Partial<Sent.HistoryGet>): Promise<void> {
    await this.#page(room, 'place', where, (page) => {
      // The newest page may be older than what has come meanwhile.
      const { window } = room;
      const later = window.events.filter((event) => event.payload.seq > page.head);
      window.place(page);
      for (const event of later) window.live(event, true);
    });
  }

  async #page(room: Room, what: 'place' | 'older' | 'newer', where: Partial<Sent.HistoryGet>, take: (page: Received.HistoryAck) => void): Promise<void> {
    // A person who wants to be elsewhere does not wait for the page that was next here.
    if (room.loading !== 'none' && !(what === 'place' && room.loading !== 'place')) return;
    room.loading = what;
    room.trouble = undefined;
    this.#changed(room);
    try {
      const page = await this.#client.request('history.get', { room_id: room.id, limit: PAGE, ...where });
      if (room.loading !== what) return;
      room.head = Math.max(room.head, page.head);
      take(page);
    } catch (error) {
      if (room.loading !== what) return;
      room.trouble = error instanceof ParlorError ? troubleOf(error) : String(error);
    }
    room.loading = 'none';
    this.#changed(room);
  }
}
