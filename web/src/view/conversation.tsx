/**
 * The open room: its head, its messages, who is typing, and where one writes.
 */
import { useEffect, useState } from 'preact/hooks';
import type { Session } from '../session.js';
import { previewOf } from '../session.js';
import type { Room } from '../state/room.js';
import { PRESENCE, lastSeen, titleOf, typingOf } from '../words.js';
import { Composer } from './composer.js';
import { Avatar, Icon, Person, Unseen } from './parts.js';
import { goTo } from '../route.js';
import { Timeline } from './timeline.js';

export function Conversation({ session, room, details, toggle }: { session: Session; room: Room; details: boolean; toggle: () => void }) {
  return (
    <main class="room" data-testid="room" aria-label="Room">
      <Head session={session} room={room} details={details} toggle={toggle} />
      <Banner session={session} />
      <Timeline key={room.id} session={session} room={room} />
      <TypingLine session={session} room={room} />
      <Composer key={`composer-${room.id}`} session={session} room={room} />
      <Spoken session={session} />
    </main>
  );
}

function Head({ session, room, details, toggle }: { session: Session; room: Room; details: boolean; toggle: () => void }) {
  void session.shown.value;
  void session.listed.value;
  const { info } = room;
  const name = titleOf(room, session.nameOf);
  return (
    <header class="room-head">
      <button type="button" class="ghost round back" aria-label="All rooms" data-testid="back" onClick={() => goTo(undefined)}><Icon name="back" /></button>
      {info.peer ? <Person session={session} user={info.peer} /> : <Avatar id={room.id} name={name} square />}
      <div class="grow room-title">
        <h1 data-testid="room-name">{name}</h1>
        <p class="soft">{aboutOf(session, room)}</p>
      </div>
      <button type="button" class={`ghost round ${details ? 'on' : ''}`} aria-label="Details" title="Details" aria-pressed={details} data-testid="details" onClick={toggle}>
        <Icon name="people" />
      </button>
    </header>
  );
}

/** One line about a room: its topic, how many are in it, or whether the other is there. */
function aboutOf(session: Session, { info, members }: Room): string {
  if (info.peer) {
    const presence = session.people.presence(info.peer);
    if (!presence) return `@${info.peer}`;
    if (presence.status === 'offline' && presence.last_seen) return lastSeen(Date.parse(presence.last_seen), Date.now());
    return presence.text ?? PRESENCE[presence.status];
  }
  const count = members ? `${members.size} ${members.size === 1 ? 'member' : 'members'}` : '';
  return [info.topic, count, info.public ? 'public' : ''].filter(Boolean).join(' · ');
}

function TypingLine({ session, room }: { session: Session; room: Room }) {
  void session.shown.value;
  const users = [...room.typing.keys()];
  return (
    <p class={`typing ${users.length > 0 ? 'going' : ''}`} data-testid="typing" aria-live="polite">
      {users.length > 0 && <><span class="dots" aria-hidden="true"><i /><i /><i /></span>{typingOf(users, session.nameOf)}</>}
    </p>
  );
}

/** Reads out what comes; the rows themselves are no live region, since pages of history come into them too. */
function Spoken({ session }: { session: Session }) {
  void session.shown.value;
  const event = session.heard;
  return <p class="unseen" aria-live="polite" data-testid="spoken">{event && `${session.nameOf(event.payload.sender)}: ${previewOf(event.payload.body, 200)}`}</p>;
}

/** Says that the connection is lost, and when the next attempt is. */
export function Banner({ session }: { session: Session }) {
  const state = session.connection.value;
  const [, again] = useState(0);
  void session.shown.value;
  useEffect(() => {
    if (state.name !== 'waiting') return undefined;
    const timer = setInterval(() => again((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [state]);
  if (state.name === 'online' || state.name === 'idle' || (state.name === 'connecting' && !session.ready.value)) return null;
  const { waiting } = session.sendings;
  const seconds = Math.max(0, Math.ceil((session.retryAt.value - Date.now()) / 1_000));
  const text = state.name === 'connecting' ? 'Connecting' : state.name === 'waiting' ? 'No connection' : stoppedText(state.reason);
  return (
    <div class={`banner ${state.name}`} data-testid="banner">
      <span class="grow">
        <b role="status">{text}</b>
        {state.name === 'waiting' && <span class="soft" aria-hidden="true"> Trying again {seconds > 0 ? `in ${seconds} s` : 'now'}</span>}
        {waiting > 0 && <span class="soft"> · {waiting} {waiting === 1 ? 'message waits' : 'messages wait'}</span>}
      </span>
      {state.name === 'waiting' && <button type="button" class="link" data-testid="hurry" onClick={() => session.client.hurry()}>Connect now</button>}
      {state.name === 'stopped' && <button type="button" class="link" onClick={() => void session.client.start()}>Connect again</button>}
      {state.name === 'connecting' && <Unseen>Please wait</Unseen>}
    </div>
  );
}

function stoppedText(reason: { readonly why: string; readonly message?: string }): string {
  return reason.why === 'stopped' ? 'Disconnected' : `The server ended the connection${reason.message ? `: ${reason.message}` : ''}`;
}
