/**
 * Where one writes: the text, what it answers, and who may be meant by an at sign.
 */
import type { TargetedKeyboardEvent } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { candidates, completed, typedMention, type Typed } from '../state/complete.js';
import { rightsIn } from '../state/rights.js';
import type { Room } from '../state/room.js';
import { previewOf, type Session } from '../session.js';
import { titleOf } from '../words.js';
import { Avatar, Icon, toneOf } from './parts.js';

/** A text above this would not fit into a frame with all that goes with it. */
const TEXT_CHARS = 10_000;

export function Composer({ session, room }: { session: Session; room: Room }) {
  const [text, setText] = useState(room.draft);
  const [caret, setCaret] = useState(text.length);
  const [chosen, setChosen] = useState(0);
  /** The at sign whose completion was sent away. */
  const [unwanted, setUnwanted] = useState(-1);
  const field = useRef<HTMLTextAreaElement>(null);
  /** Where the caret goes once the text is there. */
  const place = useRef<number | undefined>(undefined);
  void session.shown.value;

  useLayoutEffect(() => {
    const area = field.current;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight}px`;
    if (place.current !== undefined) area.setSelectionRange(place.current, place.current);
    place.current = undefined;
  }, [text]);
  useEffect(() => {
    // On a phone the keyboard would cover what one came to read.
    if (matchMedia('(pointer: fine)').matches) field.current?.focus({ preventScroll: true });
  }, []);

  if (!rightsIn(room.info).write) return <p class="read-only">You can read this room, but not write in it.</p>;

  const typed = typedMention(text, caret);
  const people = (room.members ? [...room.members.keys()] : room.info.peer ? [room.info.peer] : []).filter((user) => user !== session.me);
  const offered = typed && typed.at !== unwanted ? candidates(typed.text, people, session.nameOf) : [];
  const at = Math.min(chosen, offered.length - 1);

  const write = (value: string, where: number): void => {
    room.draft = value;
    setText(value);
    setCaret(where);
    setChosen(0);
    if (value === '') session.client.typingStopped(room.id);
    else session.client.typing(room.id);
  };
  const take = (mention: Typed, user: string): void => {
    const done = completed(text, caret, mention, user);
    write(done.text, done.caret);
    place.current = done.caret;
    field.current?.focus();
  };
  const send = (): void => {
    const said = text.trim();
    if (said === '') return;
    if (said.length > TEXT_CHARS) {
      session.say(`A message has ${TEXT_CHARS.toLocaleString()} characters at most; this one has ${said.length.toLocaleString()}.`);
      return;
    }
    room.draft = '';
    setText('');
    setCaret(0);
    session.send(room, said);
  };
  const key = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): void => {
    // What an input method composes is not finished.
    if (event.isComposing) return;
    const user = offered[at];
    if (typed && user !== undefined && ['ArrowDown', 'ArrowUp', 'Enter', 'Tab', 'Escape'].includes(event.key) && !event.shiftKey) {
      if (event.key === 'ArrowDown') setChosen((at + 1) % offered.length);
      else if (event.key === 'ArrowUp') setChosen((at + offered.length - 1) % offered.length);
      else if (event.key === 'Escape') setUnwanted(typed.at);
      else take(typed, user);
    } else if (event.key === 'Enter' && !event.shiftKey && !event.altKey) send();
    else if (event.key === 'Escape' && room.replyTo) {
      room.replyTo = undefined;
      session.painter.now(session.shown);
    } else if (event.key === 'ArrowUp' && text === '') {
      document.querySelector<HTMLElement>('.rows > .message:last-of-type')?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      {offered.length > 0 && typed && (
        <ul class="offers" role="listbox" id="offers" aria-label="People to mention" data-testid="offers">
          {offered.map((user, n) => (
            <li key={user} id={`offer-${n}`} role="option" aria-selected={n === at} class={n === at ? 'chosen' : ''}
              onPointerDown={(event) => { event.preventDefault(); take(typed, user); }}>
              {user === 'room' ? <span class="avatar small tone-0" aria-hidden="true">@</span> : <Avatar id={user} name={session.nameOf(user)} size="small" />}
              <b>{user === 'room' ? 'room' : session.nameOf(user)}</b>
              <span class="soft">{user === 'room' ? 'Everybody here' : `@${user}`}</span>
            </li>
          ))}
        </ul>
      )}
      {room.replyTo && <Replying session={session} room={room} />}
      <div class="write">
        <label class="unseen" for="text">Message</label>
        <textarea id="text" ref={field} data-testid="composer" rows={1} value={text} enterkeyhint="send" autocomplete="off"
          placeholder={`Message ${titleOf(room, session.nameOf)}`} aria-autocomplete="list"
          aria-controls={offered.length > 0 ? 'offers' : undefined} aria-activedescendant={offered.length > 0 ? `offer-${at}` : undefined}
          onInput={(event) => write(event.currentTarget.value, event.currentTarget.selectionStart)}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart)} onKeyDown={key}
          onBlur={() => session.client.typingStopped(room.id)} />
        <button class="primary round" data-testid="send" aria-label="Send" disabled={text.trim() === ''}><Icon name="send" /></button>
      </div>
    </form>
  );
}

function Replying({ session, room }: { session: Session; room: Room }) {
  void session.shown.value;
  const event = room.replyTo;
  if (!event) return null;
  const { sender, body } = event.payload;
  return (
    <div class={`replying ${toneOf(sender)}`} data-testid="replying">
      <span class="grow"><b>{sender === session.me ? 'Yourself' : session.nameOf(sender)}</b> <span>{previewOf(body, 100)}</span></span>
      <button type="button" class="ghost round" aria-label="Do not reply" onClick={() => { room.replyTo = undefined; session.painter.now(session.shown); }}>
        <Icon name="close" />
      </button>
    </div>
  );
}
