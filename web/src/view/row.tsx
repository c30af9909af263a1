/**
 * The rows of a timeline. Each is drawn anew only when what it shows has changed.
 */
import { memo } from '../memo.js';
import { previewOf, type Session } from '../session.js';
import type { Room } from '../state/room.js';
import type { MessageEvent, Row } from '../state/rows.js';
import { clock, dayName, listOf, noteOf, wholeTime } from '../words.js';
import { Avatar, Icon, Person, Unseen, toneOf, type IconName } from './parts.js';
import { Text } from './text.js';

const SEEN_SHOWN = 3;
const QUOTE_CHARS = 120;

type MarkState = 'pending' | 'sent' | 'delivered' | 'read' | 'failed';
const MARKS: Readonly<Record<MarkState, { icon: IconName; says: string }>> = {
  pending: { icon: 'pending', says: 'Waiting to be sent' },
  sent: { icon: 'sent', says: 'Sent' },
  delivered: { icon: 'delivered', says: 'Delivered' },
  read: { icon: 'delivered', says: 'Read' },
  failed: { icon: 'failed', says: 'Not sent' },
};

function MarkOf({ state, says }: { state: MarkState; says?: string }) {
  const mark = MARKS[state];
  const text = says ?? mark.says;
  return <span class={`mark ${state}`} data-testid="mark" title={text}><Icon name={mark.icon} /><Unseen>{text}</Unseen></span>;
}

/** The place that the time and the mark take in the last line of a message. */
function placeOf(at_ms: number, marked: boolean): string {
  return `${clock(at_ms).length * 0.4 + (marked ? 1.9 : 0.7)}rem`;
}

type Of<K extends Row['kind']> = Extract<Row, { kind: K }>;

export function Day({ row }: { row: Of<'day'> }) {
  return <li class="day" data-key={row.key}><span>{dayName(row.at_ms, Date.now())}</span></li>;
}

export function UnreadLine({ row }: { row: Of<'unread'> }) {
  return <li class="unread-line" data-key={row.key} data-testid="unread-line"><span>New messages</span></li>;
}

export const Note = memo(function Note({ session, event }: { session: Session; event: Of<'note'>['event'] }) {
  return <li class="note" data-testid="note" data-key={`${event.payload.seq}`} data-seq={event.payload.seq}>{noteOf(event, session.me, session.nameOf)}</li>;
});

/** The message that is answered: its first words, and the way to it. */
function Quote({ session, room, seq, said }: { session: Session; room: Room; seq: number; said: MessageEvent | null | undefined }) {
  if (said === undefined) session.history.quote(room, seq);
  return (
    <button type="button" class={`quote ${said ? toneOf(said.payload.sender) : ''}`} data-testid="quote" onClick={() => void session.history.around(room, seq)}>
      <b>{said ? session.nameOf(said.payload.sender) : 'An earlier message'}</b>
      <span>{said ? previewOf(said.payload.body, QUOTE_CHARS) : 'Show it'}</span>
    </button>
  );
}

/** Who has read up to here and no further. */
function SeenHere({ session, users }: { session: Session; users: readonly string[] }) {
  const names = listOf(users, session.nameOf);
  return (
    <span class="seen" data-testid="seen" title={`Seen by ${names}`}>
      {users.slice(0, SEEN_SHOWN).map((user) => <Avatar key={user} id={user} name={session.nameOf(user)} size="tiny" />)}
      {users.length > SEEN_SHOWN && <span class="more">+{users.length - SEEN_SHOWN}</span>}
      <Unseen>Seen by {names}</Unseen>
    </span>
  );
}

interface MessageProps {
  readonly session: Session;
  readonly room: Room;
  readonly event: MessageEvent;
  readonly mine: boolean;
  readonly first: boolean;
  readonly last: boolean;
  readonly quoted: MessageEvent | null | undefined;
  readonly mark: 'sent' | 'delivered' | 'read' | undefined;
  readonly readers: string;
  readonly seen: string;
}

export const Message = memo(function Message({ session, room, event, mine, first, last, quoted, mark, readers, seen }: MessageProps) {
  const { seq, sender, sent_at, body, reply_to, mentions } = event.payload;
  const at_ms = Date.parse(sent_at);
  const direct = room.info.kind === 'direct';
  const named = !mine && mentions?.some((name) => name === session.me || name === '@room');
  const says = mark === 'read' && readers ? `Read by ${listOf(readers.split(' '), session.nameOf)}` : undefined;
  const reply = (): void => {
    room.replyTo = event;
    session.painter.now(session.shown);
    document.getElementById('text')?.focus();
  };
  return (
    <li class={`message ${mine ? 'mine' : 'theirs'} ${first ? 'first' : ''} ${last ? 'last' : ''} ${named ? 'named' : ''} ${direct ? 'direct' : ''}`} tabIndex={-1}
      data-testid="message" data-state={mark ?? 'theirs'} data-seq={seq} data-key={event.payload.client_msg_id ?? `${seq}`}
      onKeyDown={(key) => { if (key.key === 'r' && key.target === key.currentTarget && !key.ctrlKey && !key.metaKey) { key.preventDefault(); reply(); } }}>
      {!mine && !direct && <span class="side-picture">{last && <Person session={session} user={sender} size="small" />}</span>}
      <div class="bubble" style={{ '--meta': placeOf(at_ms, mine) }}>
        {first && !mine && !direct && <span class={`who ${toneOf(sender)}`} title={sender}>{session.nameOf(sender)}</span>}
        {(!first || mine || direct) && <Unseen>{mine ? 'You' : session.nameOf(sender)}: </Unseen>}
        {typeof reply_to === 'number' && <Quote session={session} room={room} seq={reply_to} said={quoted} />}
        <div class="text" data-testid="message-text">
          {body.text
            ? <Text session={session} text={body.text} format={body.format === 'markdown' ? 'markdown' : 'plain'} mentions={mentions} />
            : <p class="strange">A message that this page cannot show</p>}
        </div>
        <span class="meta"><time dateTime={sent_at} title={wholeTime(at_ms)}>{clock(at_ms)}</time>{mark && <MarkOf state={mark} says={says} />}</span>
        <span class="actions">
          <button type="button" class="ghost round" aria-label="Reply" title="Reply (R)" data-testid="reply" onClick={reply}><Icon name="reply" /></button>
          <button type="button" class="ghost round" aria-label="Copy text" title="Copy text" onClick={() => void copy(session, body.text ?? '')}><Icon name="copy" /></button>
        </span>
      </div>
      {seen && <SeenHere session={session} users={seen.split(' ')} />}
    </li>
  );
});

async function copy(session: Session, text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    session.say('Copied.');
  } catch {
    session.say('The browser does not allow copying.');
  }
}

export const SendingRow = memo(function SendingRow({ session, room, sending, quoted, first, last, offline }: {
  session: Session; room: Room; sending: Of<'sending'>['sending']; quoted: MessageEvent | null | undefined; first: boolean; last: boolean; offline: boolean;
}) {
  const { entry, state, at_ms, why } = sending;
  // It looks pending at once: it is so some milliseconds later.
  const mark = state === 'written' ? 'pending' : state;
  const { body, reply_to, mentions } = entry.payload;
  return (
    <li class={`message mine ${first ? 'first' : ''} ${last ? 'last' : ''} ${mark}`} tabIndex={-1} data-testid="message" data-state={state} data-key={entry.msg_id}>
      <div class="bubble" style={{ '--meta': placeOf(at_ms, true) }}>
        <Unseen>You: </Unseen>
        {typeof reply_to === 'number' && <Quote session={session} room={room} seq={reply_to} said={quoted} />}
        <div class="text" data-testid="message-text"><Text session={session} text={body.text ?? ''} format="markdown" mentions={mentions ?? undefined} /></div>
        <span class="meta">{at_ms > 0 && <time>{clock(at_ms)}</time>}<MarkOf state={mark} /></span>
      </div>
      {state === 'failed' && (
        <p class="failure" data-testid="failure" role="alert">
          {why ?? 'Not sent.'}{' '}
          <button type="button" class="link" data-testid="retry" onClick={() => session.retry(entry)}>Try again</button>
          <button type="button" class="link" data-testid="discard" onClick={() => session.discard(entry)}>Delete</button>
        </p>
      )}
      {state === 'pending' && offline && last && (
        <p class="failure quiet">Sent when you are back online. <button type="button" class="link" data-testid="discard" onClick={() => session.discard(entry)}>Delete</button></p>
      )}
    </li>
  );
});
