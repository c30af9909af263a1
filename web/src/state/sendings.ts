/**
 * Messages of one's own that are not in the timeline as it is held: on their way, or refused. Pure.
 *
 * S-1  a message is shown once: it leaves here when its event is there;
 * S-2  a refused message stays until it is sent again or thrown away;
 * S-3  a message is pending only once the storage has it: then it outlives the page.
 *
 * Absent: the outbox itself, which is the client's.
 */
import type { Entry, EventFrame, MsgId, RoomId, Seq } from 'parlor-client';

export type MessageEntry = Entry<'message.send'>;

export interface Sending {
  readonly entry: MessageEntry;
  /** When it was written, in milliseconds since 1970; 0 when that was before the page was loaded. */
  readonly at_ms: number;
  /** A written one is lost with the page; a pending one is kept. */
  readonly state: 'written' | 'pending' | 'sent' | 'failed';
  /** Its position, once it is sent. */
  readonly seq?: Seq;
  /** Why it failed, for a person. */
  readonly why?: string;
}

export class Sendings {
  readonly #rooms = new Map<RoomId, Map<MsgId, Sending>>();

  of(room_id: RoomId): Sending[] {
    return [...this.#rooms.get(room_id)?.values() ?? []];
  }

  /** Every failed one. */
  failed(): Sending[] {
    return [...this.#rooms.values()].flatMap((room) => [...room.values()]).filter(({ state }) => state === 'failed');
  }

  /** How many wait, of all rooms. */
  get waiting(): number {
    let count = 0;
    for (const room of this.#rooms.values()) for (const { state } of room.values()) if (state === 'written' || state === 'pending') count += 1;
    return count;
  }

  put(sending: Sending): void {
    const { room_id } = sending.entry.payload;
    const room = this.#rooms.get(room_id) ?? new Map<MsgId, Sending>();
    this.#rooms.set(room_id, room);
    room.set(sending.entry.msg_id, sending);
  }

  /** It is in the outbox, and outlives the page. */
  kept({ msg_id, payload: { room_id } }: MessageEntry): void {
    const sending = this.#rooms.get(room_id)?.get(msg_id);
    if (sending?.state === 'written') this.put({ ...sending, state: 'pending' });
  }

  /** It is in the timeline at `seq`; `held` says that its event is held already, or lies before what is held. */
  sent({ msg_id, payload: { room_id } }: MessageEntry, seq: Seq, held: boolean): void {
    const sending = this.#rooms.get(room_id)?.get(msg_id);
    if (!sending) return;
    if (held) this.drop(room_id, msg_id);
    else this.put({ ...sending, state: 'sent', seq });
  }

  failed_because(entry: MessageEntry, why: string): void {
    const sending = this.#rooms.get(entry.payload.room_id)?.get(entry.msg_id);
    this.put({ entry, at_ms: sending?.at_ms ?? 0, state: 'failed', why });
  }

  /** An event came: if it is one of these, it need not be shown twice. */
  event({ payload: { room_id, client_msg_id } }: EventFrame): void {
    if (client_msg_id) this.drop(room_id, client_msg_id);
  }

  drop(room_id: RoomId, msg_id: MsgId): void {
    const room = this.#rooms.get(room_id);
    room?.delete(msg_id);
    if (room?.size === 0) this.#rooms.delete(room_id);
  }
}
