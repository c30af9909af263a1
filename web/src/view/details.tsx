/**
 * Beside a room: what it is, who is in it, and what one may do about both.
 */
import { ParlorError, type Received, type Role } from 'parlor-client';
import { useState } from 'preact/hooks';
import type { Session } from '../session.js';
import { byRank, mayGive, mayModerate, rightsIn } from '../state/rights.js';
import type { Room } from '../state/room.js';
import { PRESENCE, lastSeen, titleOf, troubleOf } from '../words.js';
import { Avatar, Icon, Menu, Person, Toggle, type MenuItem } from './parts.js';
import { goTo } from '../route.js';

const ROLES: Readonly<Record<Role, string>> = { owner: 'Owner', admin: 'Admin', moderator: 'Moderator', member: 'Member', reader: 'Reader' };
const MEMBERS_SHOWN = 200;

export function Details({ session, room, close }: { session: Session; room: Room; close: () => void }) {
  void session.shown.value;
  void session.listed.value;
  const { info } = room;
  const name = titleOf(room, session.nameOf);
  const rights = rightsIn(info);
  return (
    <aside class="details" aria-label="Details" data-testid="details-panel">
      <header class="details-head"><h2>Details</h2>
        <button type="button" class="ghost round" aria-label="Close details" data-testid="details-close" onClick={close}><Icon name="close" /></button>
      </header>
      <div class="details-body">
        <div class="portrait">
          {info.peer ? <Person session={session} user={info.peer} size="large" /> : <Avatar id={room.id} name={name} size="large" square />}
          <h3>{name}</h3>
          {info.peer ? <p class="soft">@{info.peer}</p> : (
            <p class="soft kind"><Icon name={info.public ? 'globe' : 'lock'} /> {info.public ? 'Public' : 'Private'} {info.kind === 'channel' ? 'channel' : 'room'}</p>
          )}
        </div>
        {info.peer && <Peer session={session} user={info.peer} />}
        {rights.update ? <About key={room.id} session={session} room={room} /> : info.topic && <p class="topic">{info.topic}</p>}
        {!info.peer && <Members session={session} room={room} />}
        {rights.invite && <Invite key={`invite-${room.id}`} session={session} room={room} />}
        {rights.leave && <Leave session={session} room={room} />}
      </div>
    </aside>
  );
}

function Peer({ session, user }: { session: Session; user: string }) {
  const presence = session.people.presence(user);
  if (!presence) return null;
  return <p class="soft centre">{presence.status === 'offline' && presence.last_seen ? lastSeen(Date.parse(presence.last_seen), Date.now()) : PRESENCE[presence.status]}</p>;
}

function About({ session, room }: { session: Session; room: Room }) {
  void session.shown.value;
  const [name, setName] = useState(room.info.name ?? '');
  const [topic, setTopic] = useState(room.info.topic ?? '');
  const [busy, setBusy] = useState(false);
  const changed = name.trim() !== (room.info.name ?? '') || topic.trim() !== (room.info.topic ?? '');
  const save = async (change: { name?: string | null; topic?: string | null; public?: boolean }): Promise<void> => {
    setBusy(true);
    try {
      await session.act('room.update', { room_id: room.id, ...change });
      session.say('Saved.');
    } catch (error) {
      session.complain(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="stack" onSubmit={(event) => { event.preventDefault(); void save({ name: name.trim() || null, topic: topic.trim() || null }); }}>
      <label class="field">Name<input value={name} maxLength={200} data-testid="room-rename" onInput={(event) => setName(event.currentTarget.value)} /></label>
      <label class="field">Topic<input value={topic} maxLength={500} data-testid="room-topic" placeholder="What is it about?" onInput={(event) => setTopic(event.currentTarget.value)} /></label>
      {changed && <button class="primary" disabled={busy || !session.online.value} data-testid="room-save">Save</button>}
      <Toggle label="Public" hint="Anyone can find and join it" on={room.info.public} disabled={busy || !session.online.value} change={(on) => void save({ public: on })} testid="room-public" />
    </form>
  );
}

function Members({ session, room }: { session: Session; room: Room }) {
  void session.shown.value;
  const members = [...room.members?.values() ?? []].sort(byRank);
  return (
    <section aria-label="Members">
      <h3 class="caption">Members <span class="soft">{members.length}</span></h3>
      <ul class="plain" data-testid="members">
        {members.slice(0, MEMBERS_SHOWN).map((member) => <MemberItem key={member.user_id} session={session} room={room} member={member} />)}
      </ul>
      {members.length > MEMBERS_SHOWN && <p class="soft">and {members.length - MEMBERS_SHOWN} more</p>}
    </section>
  );
}

function MemberItem({ session, room, member }: { session: Session; room: Room; member: Received.Member }) {
  void session.shown.value;
  const { user_id, role, muted } = member;
  const me = user_id === session.me;
  const name = session.nameOf(user_id);
  const act = (what: Promise<unknown>, said: string): void => void what.then(() => session.say(said), (error) => session.complain(error));
  const items: MenuItem[] = [];
  const room_id = room.id;
  if (!me) items.push({ label: 'Write to them', act: () => void session.create({ kind: 'direct', members: [user_id] }).then(goTo, (error) => session.complain(error)) });
  if (!me) for (const one of mayGive(room.info, role)) items.push({ label: `Make ${ROLES[one].toLowerCase()}`, act: () => act(session.act('room.role', { room_id, user_id, role: one }), `${name} is now ${ROLES[one].toLowerCase()}.`) });
  if (!me && mayModerate(room.info, role)) {
    items.push(
      muted
        ? { label: 'Let speak again', act: () => act(session.act('room.unmute', { room_id, user_id }), `${name} may speak again.`) }
        : { label: 'Mute', act: () => act(session.act('room.mute', { room_id, user_id }), `${name} is muted.`) },
      { label: 'Remove', danger: true, act: () => act(session.act('room.remove', { room_id, user_id }), `${name} was removed.`) },
      { label: 'Ban', danger: true, act: () => act(session.act('room.ban', { room_id, user_id }), `${name} was banned.`) },
    );
  }
  return (
    <li class="row" data-testid="member" data-user={user_id}>
      <Person session={session} user={user_id} size="small" />
      <span class="grow"><b>{name}{me && ' (you)'}</b><small class="soft">{name === user_id ? '' : `@${user_id}`}</small></span>
      {(role !== 'member' || muted) && <span class="tag">{muted ? 'Muted' : ROLES[role]}</span>}
      {items.length > 0 && <Menu label={`What to do about ${name}`} items={items} testid="member-menu" />}
    </li>
  );
}

function Invite({ session, room }: { session: Session; room: Room }) {
  void session.shown.value;
  const [user, setUser] = useState('');
  const [trouble, setTrouble] = useState('');
  const [banned, setBanned] = useState('');
  const invite = async (user_id: string): Promise<void> => {
    setTrouble('');
    setBanned('');
    try {
      await session.act('room.invite', { room_id: room.id, user_ids: [user_id] });
      setUser('');
      session.say(`${user_id} is in.`);
    } catch (error) {
      if (error instanceof ParlorError && error.code === 'banned' && rightsIn(room.info).unban) setBanned(user_id);
      setTrouble(error instanceof ParlorError ? (error.code === 'not_found' ? `There is nobody called ${user_id}.` : troubleOf(error)) : String(error));
    }
  };
  return (
    <form class="stack" onSubmit={(event) => { event.preventDefault(); if (user.trim() !== '') void invite(user.trim()); }}>
      <label class="field">Bring somebody in
        <span class="together">
          <input value={user} placeholder="User name" autocomplete="off" autocapitalize="none" spellcheck={false} data-testid="invite-user" onInput={(event) => setUser(event.currentTarget.value)} />
          <button disabled={user.trim() === '' || !session.online.value} data-testid="invite">Invite</button>
        </span>
      </label>
      {trouble && <p class="error" role="alert" data-testid="invite-error">{trouble}</p>}
      {banned && (
        <button type="button" data-testid="unban" onClick={() => void session.act('room.unban', { room_id: room.id, user_id: banned }).then(() => invite(banned), (error) => session.complain(error))}>
          Lift the ban and invite {banned}
        </button>
      )}
    </form>
  );
}

function Leave({ session, room }: { session: Session; room: Room }) {
  const [sure, setSure] = useState(false);
  const leave = (): void => void session.act('room.leave', { room_id: room.id }).then(() => goTo(undefined), (error: unknown) => {
    setSure(false);
    session.say(error instanceof ParlorError && error.code === 'conflict' ? 'You are the last owner: make somebody else an owner first.' : error instanceof ParlorError ? troubleOf(error) : String(error));
  });
  if (!sure) return <button type="button" class="danger quiet" data-testid="leave" disabled={!session.online.value} onClick={() => setSure(true)}>Leave this room</button>;
  return (
    <div class="sure">
      <p>Leave {titleOf(room, session.nameOf)}?</p>
      <div class="actions">
        <button type="button" onClick={() => setSure(false)}>Stay</button>
        <button type="button" class="danger" data-testid="leave-sure" onClick={leave}>Leave</button>
      </div>
    </div>
  );
}
