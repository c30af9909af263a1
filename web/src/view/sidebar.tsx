/**
 * The list of rooms, and who one is.
 */
import { useRef, useState } from 'preact/hooks';
import { memo } from '../memo.js';
import { previewOf, type Session } from '../session.js';
import { COUNT_MAX, type Room } from '../state/room.js';
import type { MessageEvent } from '../state/rows.js';
import { noteOf, shortTime, titleOf, typingOf } from '../words.js';
import type { Opened } from './app.js';
import { Avatar, Icon, Person, Unseen } from './parts.js';
import { goTo } from '../route.js';

const PREVIEW_CHARS = 80;

export function Sidebar({ session, show }: { session: Session; show: (what: Opened) => void }) {
  const [sought, setSought] = useState('');
  const list = useRef<HTMLUListElement>(null);
  const words = sought.trim().toLowerCase();
  const rooms = session.ordered().filter((room) => words === '' || titleOf(room, session.nameOf).toLowerCase().includes(words));
  const pick = (room: Room | undefined): void => {
    if (!room) return;
    setSought('');
    goTo(room.id);
  };
  return (
    <aside class="side" aria-label="Rooms">
      <header class="side-head">
        <button type="button" class="me" data-testid="me-menu" onClick={() => show('settings')} title="You and the settings">
          <Person session={session} user={session.me} />
          <span class="grow">
            <b data-testid="me" data-user={session.me}>{session.nameOf(session.me)}</b>
            <Connection session={session} />
          </span>
          <Icon name="settings" /><Unseen>Settings</Unseen>
        </button>
      </header>
      <div class="side-tools">
        <label class="search">
          <Icon name="search" /><Unseen>Find a room</Unseen>
          <input id="find" type="search" placeholder="Find a room" value={sought} data-testid="find" autocomplete="off"
            onInput={(event) => setSought(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter') pick(rooms[0]);
              else if (event.key === 'ArrowDown') list.current?.querySelector<HTMLElement>('a')?.focus();
              else if (event.key === 'Escape') setSought('');
            }} />
        </label>
        <button type="button" class="ghost round" aria-label="Browse public rooms" title="Browse public rooms" data-testid="browse" onClick={() => show('browse')}><Icon name="compass" /></button>
        <button type="button" class="primary round" aria-label="New room" title="New room" data-testid="new-room" onClick={() => show('new')}><Icon name="plus" /></button>
      </div>
      <nav class="side-rooms" aria-label="Rooms">
        <ul ref={list} data-testid="rooms" onKeyDown={(event) => {
          if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
          const all = [...list.current?.querySelectorAll<HTMLElement>('a') ?? []];
          const next = all.indexOf(document.activeElement as HTMLElement) + (event.key === 'ArrowDown' ? 1 : -1);
          if (next < 0) document.getElementById('find')?.focus();
          else all[next]?.focus();
          event.preventDefault();
        }}>
          {rooms.map((room) => (
            <Item key={room.id} session={session} room={room} here={session.openId.value === room.id} title={titleOf(room, session.nameOf)} last={room.last}
              unread={room.unread} mentions={room.mentions} activity={room.activity} typing={[...room.typing.keys()].join(' ')} open={room.info.public} />
          ))}
        </ul>
        {session.ready.value && rooms.length === 0 && (
          <div class="empty">
            <p>{words === '' ? 'No rooms yet. Start one, or look around in the public ones.' : 'No room is called that.'}</p>
            {words === '' && <Beginning show={show} />}
          </div>
        )}
      </nav>
    </aside>
  );
}

/** What one who is in no room may do first. */
export function Beginning({ show }: { show: (what: Opened) => void }) {
  return (
    <div class="actions centre beginnings">
      <button type="button" onClick={() => show('browse')}>Look around</button>
      <button type="button" class="primary" onClick={() => show('new')}>Start a room</button>
    </div>
  );
}

function Connection({ session }: { session: Session }) {
  const { name } = session.connection.value;
  const status = session.status.value;
  const text = name === 'online'
    ? { online: 'Online', away: 'Away', dnd: 'Do not disturb', invisible: 'Invisible' }[status]
    : { idle: 'Offline', connecting: 'Connecting', waiting: 'Offline', stopped: 'Offline' }[name];
  return <small class={`connection ${name} as-${status}`} data-testid="connection" data-state={name}>{text}</small>;
}

interface ItemProps {
  readonly session: Session;
  readonly room: Room;
  readonly here: boolean;
  readonly title: string;
  readonly last: MessageEvent | undefined;
  readonly unread: number;
  readonly mentions: number;
  readonly activity: number;
  readonly typing: string;
  readonly open: boolean;
}

const Item = memo(function Item({ session, room, here, title, last, unread, mentions, activity, typing }: ItemProps) {
  const { peer } = room.info;
  return (
    <li>
      <a href={`#/room/${room.id}`} class={`room-item ${here ? 'here' : ''} ${unread > 0 ? 'news' : ''}`} aria-current={here ? 'page' : undefined} data-testid="room-item">
        {peer ? <Person session={session} user={peer} /> : <Avatar id={room.id} name={title} square />}
        <span class="grow">
          <span class="line"><b class="name">{title}</b><Unseen>, </Unseen><small class="when">{shortTime(activity, Date.now())}</small></span>
          <span class="line">
            <span class={`last ${typing ? 'going' : ''}`}>{typing ? typingOf(typing.split(' '), session.nameOf) : lastOf(session, room, last)}</span>
            {mentions > 0 && <span class="badge at" data-testid="mentions" title="You are mentioned">@<Unseen> mentions of you: {mentions}</Unseen></span>}
            {unread > 0 && <span class="badge" data-testid="unread">{unread >= COUNT_MAX ? '999+' : unread}<Unseen> unread</Unseen></span>}
          </span>
        </span>
      </a>
    </li>
  );
});

function lastOf(session: Session, room: Room, last: MessageEvent | undefined): string {
  if (!last) {
    const newest = room.window.events.at(-1);
    return newest && newest.type !== 'message' ? noteOf(newest, session.me, session.nameOf) : room.info.topic ?? 'Nothing said yet';
  }
  const text = previewOf(last.payload.body, PREVIEW_CHARS);
  if (last.payload.sender === session.me) return `You: ${text}`;
  return room.info.kind === 'direct' ? text : `${session.nameOf(last.payload.sender)}: ${text}`;
}
