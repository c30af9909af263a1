/**
 * From events to what is shown, row by row: days, notes, messages in groups, the line before the unread. Pure.
 *
 * Absent: words for notes (`words.ts`) and anything about pixels.
 */
import type { EventFrame, Seq, UserId } from 'parlor-client';
import type { Mark } from './receipts.js';
import type { Room } from './room.js';
import type { Sending } from './sendings.js';

/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

export type MessageEvent = Extract<EventFrame, { type: 'message' }>;

export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at_ms: number }
  | { readonly kind: 'unread'; readonly key: string }
  | { readonly kind: 'note'; readonly key: string; readonly event: EventFrame }
  | {
    readonly kind: 'message'; readonly key: string; readonly event: MessageEvent; readonly mine: boolean; readonly first: boolean; readonly last: boolean;
    /** What it answers; null when that is not there, undefined when it answers nothing or is not known yet. */
    readonly quoted: MessageEvent | null | undefined;
    readonly mark: Mark['state'] | undefined; readonly readers: string; readonly seen: string;
  }
  | { readonly kind: 'sending'; readonly key: string; readonly sending: Sending; readonly quoted: MessageEvent | null | undefined; readonly first: boolean; readonly last: boolean };

const SHOWN: ReadonlySet<string> = new Set<EventFrame['type']>([
  'room.created', 'room.updated', 'member.joined', 'member.left', 'member.invited', 'member.removed', 'member.banned', 'member.unbanned',
  'member.muted', 'member.unmuted', 'member.role',
]);

/** The rows of a room. Two calls give equal keys for equal things; lists of users are joined by blanks, so that they compare. */
export function rowsOf(room: Room, sendings: readonly Sending[], me: UserId, dayOf: (at_ms: number) => string): Row[] {
  const rows: Row[] = [];
  const { events } = room.window;
  const standing = room.seen.standing(events, me);
  let day = '';
  let before: { sender: UserId; at_ms: number } | undefined;
  let divided = room.divider === undefined;
  const newDay = (at_ms: number): void => {
    const now = dayOf(at_ms);
    if (now === day) return;
    day = now;
    before = undefined;
    rows.push({ kind: 'day', key: `day-${now}`, at_ms });
  };
  for (const event of events) {
    const { seq, sender, sent_at, client_msg_id } = event.payload;
    if (event.type !== 'message' && !SHOWN.has(event.type)) continue;
    const at_ms = Date.parse(sent_at);
    newDay(at_ms);
    if (!divided && seq > (room.divider ?? 0) && event.type === 'message' && sender !== me) {
      divided = true;
      before = undefined;
      // Before what is held there may be more of it; then the line is not known to stand here.
      if (room.window.low <= (room.divider ?? 0) + 1 || !room.window.hasOlder) rows.push({ kind: 'unread', key: 'unread' });
    }
    if (event.type !== 'message') {
      before = undefined;
      rows.push({ kind: 'note', key: `${seq}`, event });
      continue;
    }
    const mine = sender === me;
    const mark = mine ? room.seen.mark(seq) : undefined;
    const first = !before || before.sender !== sender || at_ms - before.at_ms > TOGETHER_MS;
    before = { sender, at_ms };
    rows.push({
      kind: 'message', key: client_msg_id ?? `${seq}`, event, mine, first, last: true, quoted: quotedBy(room, event.payload.reply_to), mark: mark?.state,
      readers: mark?.readers.join(' ') ?? '', seen: standing.get(seq)?.join(' ') ?? '',
    });
  }
  if (room.atEnd || !room.window.loaded) {
    for (const sending of sendings) {
      newDay(sending.at_ms || before?.at_ms || 0);
      const first = before?.sender !== me;
      before = { sender: me, at_ms: sending.at_ms };
      rows.push({ kind: 'sending', key: sending.entry.msg_id, sending, quoted: quotedBy(room, sending.entry.payload.reply_to), first, last: true });
    }
  }
  return rows.map((row, n) => {
    const next = rows[n + 1];
    const said = row.kind === 'message' || row.kind === 'sending';
    const goesOn = next && (next.kind === 'message' || next.kind === 'sending') && !next.first;
    return said && goesOn ? { ...row, last: false } : row;
  });
}

/** The message at a position that another answers. */
function quotedBy(room: Room, seq: Seq | null | undefined): MessageEvent | null | undefined {
  if (typeof seq !== 'number') return undefined;
  const held = room.window.at(seq);
  return held?.type === 'message' ? held : room.quoted.get(seq);
}

/** The position up to which a row reaches. */
export function seqOf(row: Row): Seq | undefined {
  return row.kind === 'note' || row.kind === 'message' ? row.event.payload.seq : undefined;
}
