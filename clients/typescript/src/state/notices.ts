/**
 * What goes into the client's state and what comes out of it.
 *
 * Absent: behaviour.
 */
import type { EventFrame, OtherFrame } from '../wire/frame.js';
import type { MsgId, RoomId, Seq } from '../wire/generated/both.js';
import type { Device, PresenceSetting, RoomsWanted } from '../wire/generated/client.js';
import type { Welcome } from '../wire/generated/server.js';
import type { ParlorError } from '../wire/refusal.js';
import type { ConnectionState, TokenNeed } from './connection.js';
import type { Entry } from './outbox.js';

/** What a client is told once. */
export interface Settings {
  /** The installation; without an id the server makes one up, which is kept while the client lives. */
  readonly device: Device;
  /** Which rooms to deliver. */
  readonly rooms: RoomsWanted;
  readonly presence: PresenceSetting;
  /** Where to go on: per room the position up to which the application holds everything. */
  readonly positions: Readonly<Record<RoomId, Seq>>;
  /** Whose client this is. A token of somebody else stops it, before anything of the outbox is sent. */
  readonly user_id: string | undefined;
  /** Entries of the outbox at most. */
  readonly outbox_max: number;
  /** Whether delivered events are acknowledged without being asked. */
  readonly delivered_receipts: boolean;
  /** How long a reply may take, in milliseconds. */
  readonly reply_ms: number;
}

/** Server frames that tell something and are not about the connection itself. */
export type NoticeFrame = Extract<OtherFrame, {
  type: 'room.added' | 'room.removed' | 'head' | 'receipt' | 'typing' | 'presence' | 'message.hidden' | 'live';
}>;

/** What the application hears, by name. */
export interface Notices {
  /** Where the connection stands. */
  state: ConnectionState;
  /** A connection is greeted; `rooms` is the room list. */
  welcome: Welcome;
  /** The next event of a room. */
  event: EventFrame;
  /** The server keeps nothing of `from` to `to`, both included; the next event is the one after. */
  gap: { readonly room_id: RoomId; readonly from: Seq; readonly to: Seq };
  /** The server was set back: what is held of the room is of another past, and goes on after `head`. */
  reset: { readonly room_id: RoomId; readonly head: Seq };
  /** A frame has left the outbox: with the payload of its ack, or with what ended it. */
  settled: { readonly entry: Entry; readonly ack: unknown; readonly error: ParlorError | undefined };
  /** Anything else the server tells. */
  notice: NoticeFrame;
}

export type NoticeName = keyof Notices;

/** One notice. */
export type Notice = { [N in NoticeName]: { readonly name: N; readonly value: Notices[N] } }[NoticeName];

/** What the shell is to do. */
export type Effect =
  | { readonly do: 'ask_token'; readonly need: TokenNeed }
  /** Open a link, on which `opened`, `text`, `alive` and `closed` are reported. */
  | { readonly do: 'open' }
  | { readonly do: 'send'; readonly text: string }
  /** Let go of the link, and report nothing of it any more. */
  | { readonly do: 'drop'; readonly code?: number }
  | { readonly do: 'tell'; readonly notice: Notice }
  /** Answer who asked. */
  | { readonly do: 'answer'; readonly msg_id: MsgId; readonly ack: unknown; readonly error: ParlorError | undefined }
  /** Take an entry out of the storage. */
  | { readonly do: 'forget'; readonly msg_id: MsgId };

/** How often what happened; it only grows. */
export interface Stats {
  connects: number;
  /** Events and gaps that came again, and were not delivered. */
  repeated: number;
  /** Pages of history asked for to get over holes. */
  pages: number;
  /** Frames of the outbox sent again. */
  resent: number;
  /** Frames that could not be read. */
  unreadable: number;
}
