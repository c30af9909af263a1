/**
 * How far the client has come in each room, and how it gets over holes. Pure: frames go in, what to deliver comes out.
 *
 * T-1  the application gets the events of a room with `seq` rising, each once, whatever came twice or out of place;
 * T-2  a position moves by one per event, or over a hole of which the server said that it keeps nothing of it, and
 *      which the application was told of;
 * T-3  at most `BUFFER_MAX` events of a room wait behind a hole. When full, the newest are let go, and read back later.
 *
 * ```text
 *              next event: deliver                    event or `gap` beyond the next
 *             ┌────────┐
 *   (level) ──┴────────┘ ─────────────────────────────────► (hole) ── history.get after the position
 *      ▲                                                     │  ▲             │
 *      └── page delivered up to what was heard of ◄──────────┘  └── a page that does not reach it
 * ```
 *
 * Absent: the requests themselves, and the events: whoever shows them keeps them.
 */
import type { EventFrame } from '../wire/frame.js';
import type { RoomId, Seq } from '../wire/generated/both.js';
import type { Gap, HistoryAck } from '../wire/generated/server.js';
import { Backoff, type Random } from './backoff.js';
import { least } from './outbox.js';

/** Events of one room that wait behind a hole. */
export const BUFFER_MAX = 500;

/** What the application is to get of a timeline. */
export type Delivery =
  | { readonly kind: 'event'; readonly event: EventFrame }
  /** The server keeps nothing of `from` to `to`; both ends included. */
  | { readonly kind: 'gap'; readonly room_id: RoomId; readonly from: Seq; readonly to: Seq }
  /** The server was set back: what is held of the room is of another past, and goes on after `head`. */
  | { readonly kind: 'reset'; readonly room_id: RoomId; readonly head: Seq };

/** A page of history to be asked for. */
export interface Page {
  readonly room_id: RoomId;
  /** The position before its first event. */
  readonly after: Seq;
  /** Tells this question from an earlier one about the same room. */
  readonly turn: number;
}

interface Room {
  readonly room_id: RoomId;
  position: Seq;
  /** The highest position heard of. */
  heard: Seq;
  /** Events beyond the hole, by position. */
  readonly waiting: Map<Seq, EventFrame>;
  repair: 'none' | 'wanted' | 'asked';
  /** Which page was asked for last; no two have the same number. */
  turn: number;
  /** Not to be asked for before. */
  held_until: number;
  readonly refusals: Backoff;
}

export class Timelines {
  readonly #rooms = new Map<RoomId, Room>();
  /** The rooms with a hole. */
  readonly #holes = new Set<Room>();
  #turn = 0;

  /** Goes on from positions that were kept. */
  constructor(positions: Readonly<Record<RoomId, Seq>> = {}) {
    for (const [room_id, position] of Object.entries(positions)) this.put(room_id, position);
  }

  /** Every room's position: the highest up to which everything was delivered. */
  positions(): Record<RoomId, Seq> {
    return Object.fromEntries([...this.#rooms].map(([room_id, room]) => [room_id, room.position]));
  }

  position(room_id: RoomId): Seq | undefined {
    return this.#rooms.get(room_id)?.position;
  }

  /** Begins a room at `head`, unless it has begun. */
  begin(room_id: RoomId, head: Seq): void {
    if (!this.#rooms.has(room_id)) this.put(room_id, head);
  }

  /** Puts a room at a position, wherever it was. */
  put(room_id: RoomId, position: Seq): void {
    this.forget(room_id);
    this.#rooms.set(room_id, {
      room_id, position, heard: position, waiting: new Map(), repair: 'none', turn: 0, held_until: 0, refusals: new Backoff(),
    });
  }

  forget(room_id: RoomId): void {
    const room = this.#rooms.get(room_id);
    if (room) this.#holes.delete(room);
    this.#rooms.delete(room_id);
  }

  /** Takes an event from the socket. A room's first event begins the room. */
  event(event: EventFrame): Delivery[] {
    const { room_id, seq } = event.payload;
    this.begin(room_id, seq - 1);
    const room = this.#room(room_id);
    if (seq <= room.position) return [];
    if (seq > room.position + 1) {
      if (room.waiting.size < BUFFER_MAX) room.waiting.set(seq, event);
      this.#heard(room, seq);
      return [];
    }
    const out: Delivery[] = [];
    this.#deliver(room, event, out);
    this.#drain(room, out);
    return out;
  }

  /** Takes the server's word that it leaves something out. */
  gap(gap: Gap): Delivery[] {
    const { room_id, to } = gap;
    if (gap.reset) {
      this.put(room_id, to);
      return [{ kind: 'reset', room_id, head: to }];
    }
    this.begin(room_id, gap.from - 1);
    this.#heard(this.#room(room_id), to);
    return [];
  }

  /** Takes the server's word that delivery is level at `seq`. */
  live(room_id: RoomId, seq: Seq): void {
    this.begin(room_id, seq);
    this.#heard(this.#room(room_id), seq);
  }

  /** Takes the rooms of which a page of history is to be asked for, at most `most`, each with where it begins. */
  due(now: number, most: number): Page[] {
    const due: Page[] = [];
    for (const room of this.#holes) {
      if (due.length >= most) break;
      if (room.repair !== 'wanted' || room.held_until > now) continue;
      room.repair = 'asked';
      room.turn = this.#turn += 1;
      due.push({ room_id: room.room_id, after: room.position, turn: room.turn });
    }
    return due;
  }

  /** Takes the page that was asked for. */
  page({ room_id, after, turn }: Page, page: HistoryAck): Delivery[] {
    const room = this.#rooms.get(room_id);
    // Begun anew since it was asked for: the page is of the past.
    if (room?.repair !== 'asked' || room.turn !== turn) return [];
    room.refusals.reset();
    const out: Delivery[] = [];
    for (const event of page.events) {
      const { seq } = event.payload;
      if (seq <= room.position) continue;
      this.#skip(room, seq - 1, out);
      this.#deliver(room, event, out);
    }
    this.#drain(room, out);
    // Nothing there although it was asked for: it is not kept, and asking again would not end. Where the socket has
    // brought some of it since, the page may have ended there, and says nothing of what is beyond.
    if (room.position === after) this.#giveUp(room, out);
    this.#settle(room);
    return out;
  }

  /** Takes the refusal of a page: later again, or what cannot be read is a gap. */
  refused({ room_id, turn }: Page, temporary: boolean, now: number, random: Random): Delivery[] {
    const room = this.#rooms.get(room_id);
    if (room?.repair !== 'asked' || room.turn !== turn) return [];
    const out: Delivery[] = [];
    if (temporary) room.held_until = now + room.refusals.next(random);
    else while (room.position < room.heard) this.#giveUp(room, out);
    this.#settle(room);
    return out;
  }

  /** Forgets what came beyond holes: the next connection resumes from the positions, and all of it comes again. */
  connectionLost(): void {
    for (const room of [...this.#holes]) this.put(room.room_id, room.position);
  }

  /** When the next page may be asked for. */
  deadline(): number | undefined {
    return least([...this.#holes].map((room) => (room.repair === 'wanted' ? room.held_until : undefined)));
  }

  /** Throws when T-3 does not hold, or a room waits for nothing. */
  checkInvariants(): void {
    for (const [room_id, room] of this.#rooms) {
      if (room.waiting.size > BUFFER_MAX) throw new Error(`T-3: too much waits in ${room_id}`);
      if ((room.heard > room.position) !== (room.repair !== 'none') || this.#holes.has(room) === (room.repair === 'none')) throw new Error(`a hole nobody repairs in ${room_id}`);
      for (const seq of room.waiting.keys()) if (seq <= room.position + 1) throw new Error(`T-1: ${seq} waits in ${room_id}`);
    }
  }

  #room(room_id: RoomId): Room {
    const room = this.#rooms.get(room_id);
    if (!room) throw new Error(`the room ${room_id} has begun`);
    return room;
  }

  #heard(room: Room, seq: Seq): void {
    room.heard = Math.max(room.heard, seq);
    if (room.heard > room.position && room.repair === 'none') this.#settle(room);
  }

  #deliver(room: Room, event: EventFrame, out: Delivery[]): void {
    const { seq } = event.payload;
    room.position = seq;
    room.heard = Math.max(room.heard, seq);
    room.waiting.delete(seq);
    out.push({ kind: 'event', event });
  }

  /** Delivers what waited and is next now. */
  #drain(room: Room, out: Delivery[]): void {
    for (;;) {
      const next = room.waiting.get(room.position + 1);
      if (!next) break;
      this.#deliver(room, next, out);
    }
    if (room.position >= room.heard) this.#settle(room);
  }

  /** Steps over what is not kept, up to `to`; what waits of it is delivered in its place. */
  #skip(room: Room, to: Seq, out: Delivery[]): void {
    while (room.position < to) {
      const next = least([...room.waiting.keys()].filter((seq) => seq <= to));
      const from = room.position + 1;
      const last = next === undefined ? to : next - 1;
      if (last >= from) out.push({ kind: 'gap', room_id: room.room_id, from, to: last });
      room.position = last;
      const event = next === undefined ? undefined : room.waiting.get(next);
      if (event) this.#deliver(room, event, out);
    }
  }

  /** Steps over a hole to the next event that waits, or to all that was heard of. */
  #giveUp(room: Room, out: Delivery[]): void {
    const next = least([...room.waiting.keys()]);
    this.#skip(room, next === undefined ? room.heard : next - 1, out);
    this.#drain(room, out);
  }

  #settle(room: Room): void {
    room.repair = room.position < room.heard ? 'wanted' : 'none';
    if (room.repair === 'none') this.#holes.delete(room);
    else this.#holes.add(room);
  }
}
