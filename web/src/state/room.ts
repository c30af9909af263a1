/**
 * One room as the page knows it: what the server says of it, and the part of its timeline that is held. Pure.
 *
 * R-1  `head` is the highest position heard of, `read` the user's own; both only move forward, until the server was set back;
 * R-2  `unread` and `mentions` are the server's numbers, carried on by what comes and what is read; where they cannot be,
 *      `inexact` says that the server is to be asked.
 *
 * Absent: asking, and the messages that are not sent yet.
 */
import type { EventFrame, Received, RoomId, Seq, UserId } from 'parlor-client';
import { SeenBy } from './receipts.js';
import { HELD_MAX, TimelineWindow, WARM_MAX } from './window.js';

/** The server counts no further. */
export const COUNT_MAX = 1_000;
/** Ends a typist whose stop was lost. */
const TYPING_MAX_MS = 7_000;

/** Where the view is to go once the rows are there. */
export type Goal =
  | { readonly to: 'end' }
  | { readonly to: 'unread' }
  | { readonly to: 'message'; readonly seq: Seq };

export class Room {
  info: Received.Room;
  head: Seq;
  read: Seq;
  unread: number;
  mentions: number;
  inexact = false;
  /** The newest message, for the list of rooms. */
  last: Extract<EventFrame, { type: 'message' }> | undefined;
  /** When something happened last, in milliseconds since 1970. */
  activity: number;
  readonly window = new TimelineWindow();
  readonly seen = new SeenBy();
  /** Until when each is typing, in milliseconds since 1970. */
  readonly typing = new Map<UserId, number>();
  /** Everybody in it; undefined until asked for. */
  members: Map<UserId, Received.Member> | undefined;
  /** Everything after this was unread when it came to be looked at. */
  divider: Seq | undefined;
  goal: Goal | undefined;
  replyTo: Extract<EventFrame, { type: 'message' }> | undefined;
  /** Messages that others answer and that are not held; null where there is none to show. */
  readonly quoted = new Map<Seq, Extract<EventFrame, { type: 'message' }> | null>();
  draft = '';
  loading: 'none' | 'place' | 'older' | 'newer' = 'none';
  /** Why a page could not be had; it is asked for again when one comes near. */
  trouble: string | undefined;
  /** Whether it is the one that is shown. */
  open = false;
  /** Whether its end is what is looked at. */
  following = true;
  readonly #me: UserId;

  constructor(info: Received.Room, me: UserId) {
    this.#me = me;
    this.info = info;
    this.head = info.head;
    this.read = info.read ?? info.head;
    this.unread = info.unread ?? 0;
    this.mentions = info.mentions ?? 0;
    this.activity = Date.parse(info.created_at) || 0;
  }

  get id(): RoomId { return this.info.room_id; }
  get atEnd(): boolean { return this.window.loaded && !this.window.hasNewer(this.head); }

  /** Takes the server's newer description. */
  describe(info: Received.Room): void {
    this.info = { ...this.info, ...info };
    this.head = Math.max(this.head, info.head);
    this.read = Math.max(this.read, info.read ?? 0);
    this.count(info);
  }

  /** Takes the server's counts. */
  count({ unread, mentions }: { unread?: number; mentions?: number }): void {
    this.unread = unread ?? this.unread;
    this.mentions = mentions ?? this.mentions;
    this.inexact = false;
  }

  /** Takes the next event of the room. */
  event(event: EventFrame): void {
    const { seq, sender, sent_at } = event.payload;
    const fresh = seq > this.head;
    if (fresh) this.head = seq;
    this.window.live(event, this.following || !this.open, this.open ? HELD_MAX : WARM_MAX);
    this.activity = Math.max(this.activity, Date.parse(sent_at) || 0);
    if (event.type === 'message') {
      this.last = event;
      this.typing.delete(sender);
      if (fresh && sender !== this.#me && seq > this.read) this.#count(event, 1);
    } else {
      this.#changed(event);
    }
  }

  /** The server keeps nothing of these. */
  gap(from: Seq, to: Seq): void {
    this.head = Math.max(this.head, to);
    this.window.skip(from, to);
  }

  /** The server was set back, and what is held is of another past. */
  reset(head: Seq): void {
    this.head = head;
    this.read = Math.min(this.read, head);
    this.inexact = true;
    this.last = undefined;
    this.divider = undefined;
    this.window.clear();
    this.seen.clear();
  }

  /** Notes that the user has read up to `seq`, here or on another device. Returns whether that is news. */
  readTo(seq: Seq): boolean {
    const to = Math.min(seq, this.head);
    if (to <= this.read) return false;
    const known = this.window.covers(this.read + 1) && this.window.covers(to) && this.unread < COUNT_MAX;
    if (to >= this.head) {
      this.count({ unread: 0, mentions: 0 });
    } else if (known) {
      for (const event of this.window.events) {
        const { seq: at, sender } = event.payload;
        if (event.type === 'message' && at > this.read && at <= to && sender !== this.#me) this.#count(event, -1);
      }
    } else {
      this.inexact = true;
    }
    this.read = to;
    return true;
  }

  /** Notes that somebody types, or has stopped. */
  types(user: UserId, until_ms: number | undefined, now_ms: number): void {
    if (until_ms === undefined) this.typing.delete(user);
    else this.typing.set(user, Math.min(until_ms, now_ms + TYPING_MAX_MS));
  }

  /** Lets go of who has stopped typing; returns whether somebody has. */
  quiet(now_ms: number): boolean {
    const late = [...this.typing].filter(([, until]) => until <= now_ms);
    for (const [user] of late) this.typing.delete(user);
    return late.length > 0;
  }

  /** Begins to be looked at. */
  enter(): void {
    this.open = true;
    this.divider = this.unread > 0 ? this.read : undefined;
    this.following = this.unread === 0;
    this.goal = this.unread > 0 ? { to: 'unread' } : { to: 'end' };
  }

  /** Is looked at no more: keeps little. */
  leave(): void {
    this.open = false;
    this.following = true;
    this.divider = undefined;
    this.goal = undefined;
    this.trouble = undefined;
    this.quoted.clear();
    this.window.keepNewest(WARM_MAX, this.head);
  }

  #count(event: EventFrame, by: 1 | -1): void {
    this.unread = between(this.unread + by);
    if (event.type === 'message' && event.payload.mentions?.some((name) => name === this.#me || name === '@room')) {
      this.mentions = between(this.mentions + by);
    }
  }

  #changed(event: EventFrame): void {
    switch (event.type) {
      case 'room.updated': {
        const { name, topic, public: open, retention_ms } = event.payload;
        this.info = {
          ...this.info,
          ...(name !== undefined && { name }), ...(topic !== undefined && { topic }), ...(retention_ms !== undefined && { retention_ms }),
          ...(typeof open === 'boolean' && { public: open }),
        };
        break;
      }
      case 'member.joined': case 'member.invited': {
        const { user_id, role, sent_at } = event.payload;
        this.members?.set(user_id, { user_id, role: role ?? 'member', joined_at: sent_at });
        break;
      }
      case 'member.left': case 'member.removed': case 'member.banned':
        this.members?.delete(event.payload.user_id);
        this.seen.forget(event.payload.user_id);
        this.typing.delete(event.payload.user_id);
        break;
      case 'member.role': this.#member(event.payload.user_id, { role: event.payload.role ?? 'member' }); break;
      case 'member.muted': this.#member(event.payload.user_id, { muted: true, muted_until: event.payload.until ?? null }); break;
      case 'member.unmuted': this.#member(event.payload.user_id, { muted: false, muted_until: null }); break;
      default: break;
    }
  }

  #member(user_id: UserId, change: Partial<Received.Member>): void {
    const member = this.members?.get(user_id);
    if (member) this.members?.set(user_id, { ...member, ...change });
    if (user_id === this.#me && change.role) this.info = { ...this.info, role: change.role };
  }
}

function between(count: number): number {
  return Math.max(0, Math.min(COUNT_MAX, count));
}
