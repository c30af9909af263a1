/**
 * What is done in a dialog: starting a room, looking for public ones, one's own settings.
 */
import { ParlorError, type Received, type RoomKind } from 'parlor-client';
import { useEffect, useState } from 'preact/hooks';
import { keep, wear, type Status, type Theme } from '../keep.js';
import { notifying, setNotifying } from '../notify.js';
import type { Session } from '../session.js';
import { troubleOf } from '../words.js';
import { Avatar, Choice, Dialog, Icon, Toggle } from './parts.js';
import { goTo } from '../route.js';

const NAMES = /[A-Za-z0-9._:@-]+/g;

export function NewRoom({ session, close }: { session: Session; close: () => void }) {
  const [kind, setKind] = useState<RoomKind>('group');
  const [name, setName] = useState('');
  const [topic, setTopic] = useState('');
  const [people, setPeople] = useState('');
  const [open, setOpen] = useState(false);
  const [trouble, setTrouble] = useState('');
  const [busy, setBusy] = useState(false);
  const direct = kind === 'direct';
  const known = [...new Set([...session.rooms.values()].flatMap((room) => [...room.members?.keys() ?? [], ...room.info.peer ? [room.info.peer] : []]))].filter((user) => user !== session.me);

  const create = async (): Promise<void> => {
    const members = people.match(NAMES) ?? [];
    if (direct && members.length !== 1) return setTrouble('Name the one person you want to talk to.');
    if (!direct && name.trim() === '') return setTrouble('Give the room a name.');
    setBusy(true);
    try {
      const room_id = await session.create(direct
        ? { kind, members }
        : { kind, name: name.trim(), members, public: open, ...(topic.trim() && { topic: topic.trim() }) });
      close();
      goTo(room_id);
    } catch (error) {
      setTrouble(error instanceof ParlorError && error.code === 'not_found' ? 'There is nobody with that user name.' : error instanceof ParlorError ? troubleOf(error) : String(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog title="New room" onClose={close} testid="new-dialog">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void create(); }}>
        <Choice legend="Kind" value={kind} change={setKind} testid="new-kind" options={[['group', 'Group'], ['direct', 'Direct'], ['channel', 'Channel']]} />
        <p class="soft hint">{{
          group: 'Everybody in it can write.', direct: 'Just you and one other person.', channel: 'You and those you choose write, the others read.',
        }[kind]}</p>
        {!direct && <label class="field">Name<input autofocus value={name} maxLength={200} autocomplete="off" placeholder="Garden" data-testid="new-name" onInput={(event) => setName(event.currentTarget.value)} /></label>}
        {!direct && <label class="field">Topic <span class="soft">(optional)</span><input value={topic} maxLength={500} autocomplete="off" data-testid="new-topic" onInput={(event) => setTopic(event.currentTarget.value)} /></label>}
        <label class="field">{direct ? 'With' : <>Members <span class="soft">(optional)</span></>}
          <input value={people} list="known" autocomplete="off" autocapitalize="none" spellcheck={false} placeholder={direct ? 'ana' : 'ana, ben'} data-testid="new-members"
            onInput={(event) => setPeople(event.currentTarget.value)} />
        </label>
        <datalist id="known">{known.slice(0, 100).map((user) => <option key={user} value={user}>{session.people.peekName(user)}</option>)}</datalist>
        {!direct && <Toggle label="Public" hint="Anyone can find and join it" on={open} change={setOpen} testid="new-public" />}
        {trouble && <p class="error" role="alert" data-testid="new-error">{trouble}</p>}
        <div class="actions">
          <button type="button" onClick={close}>Cancel</button>
          <button class="primary" disabled={busy || !session.online.value} data-testid="new-create">{direct ? 'Start talking' : 'Create'}</button>
        </div>
      </form>
    </Dialog>
  );
}

export function Browse({ session, close }: { session: Session; close: () => void }) {
  const [rooms, setRooms] = useState<readonly Received.Room[]>();
  const [next, setNext] = useState<string | null | undefined>();
  const [sought, setSought] = useState('');
  const [trouble, setTrouble] = useState('');
  const load = async (after?: string): Promise<void> => {
    try {
      const page = await session.client.request('room.list', { public: true, limit: 100, ...(after && { after }) });
      setRooms((before) => (after ? [...before ?? [], ...page.rooms] : page.rooms));
      setNext(page.next);
    } catch (error) {
      setTrouble(error instanceof ParlorError ? troubleOf(error) : String(error));
    }
  };
  useEffect(() => { void load(); }, []);
  const join = async (room: Received.Room): Promise<void> => {
    try {
      await session.join(room);
      close();
      goTo(room.room_id);
    } catch (error) {
      setTrouble(error instanceof ParlorError ? troubleOf(error) : String(error));
    }
  };
  const words = sought.trim().toLowerCase();
  const found = rooms?.filter((room) => `${room.name ?? ''} ${room.topic ?? ''}`.toLowerCase().includes(words));
  return (
    <Dialog title="Public rooms" onClose={close} testid="browse-dialog" wide>
      <label class="search"><Icon name="search" /><span class="unseen">Find</span>
        <input autofocus type="search" value={sought} placeholder="Find by name or topic" onInput={(event) => setSought(event.currentTarget.value)} />
      </label>
      <ul class="plain tall" data-testid="public-rooms">
        {found?.map((room) => {
          const name = room.name ?? 'Unnamed room';
          const joined = session.rooms.has(room.room_id);
          return (
            <li key={room.room_id} class="row" data-testid="public-room">
              <Avatar id={room.room_id} name={name} square />
              <span class="grow"><b>{name}</b><small class="soft">{room.topic ?? (room.kind === 'channel' ? 'Channel' : 'Group')}</small></span>
              <button type="button" class={joined ? '' : 'tint'} aria-label={`${joined ? 'Open' : 'Join'} ${name}`} data-testid="join" onClick={() => void join(room)}>{joined ? 'Open' : 'Join'}</button>
            </li>
          );
        })}
      </ul>
      {!rooms && !trouble && <p class="edge"><span class="spinner" aria-hidden="true" /> Loading</p>}
      {found?.length === 0 && <p class="empty">{words ? 'None is called that.' : 'There are no public rooms yet. Start the first one.'}</p>}
      {trouble && <p class="error" role="alert">{trouble}</p>}
      {next && <div class="actions"><button type="button" onClick={() => void load(next)}>More</button></div>}
    </Dialog>
  );
}

const KEYS: readonly (readonly [string, string])[] = [
  ['Ctrl K', 'Find a room'], ['Alt ↑ ↓', 'Previous, next room'], ['↑ ↓', 'From message to message'], ['R', 'Reply to the message'],
  ['Esc', 'Back to writing'], ['End', 'To the newest message'], ['Enter', 'Send'], ['Shift Enter', 'New line'], ['@', 'Mention somebody'],
];

export function Settings({ session, close }: { session: Session; close: () => void }) {
  const [name, setName] = useState(session.people.peekName(session.me));
  const [theme, setTheme] = useState<Theme>(keep.theme());
  const rename = async (): Promise<void> => {
    try {
      await session.setName(name.trim());
      session.say('Saved.');
    } catch (error) {
      session.complain(error);
    }
  };
  const notes = notifying.value;
  return (
    <Dialog title="You" onClose={close} testid="settings">
      <div class="stack">
        <form class="field" onSubmit={(event) => { event.preventDefault(); void rename(); }}>
          <label for="own-name">Name shown to others</label>
          <span class="together">
            <input id="own-name" value={name} maxLength={100} placeholder={session.me} data-testid="own-name" onInput={(event) => setName(event.currentTarget.value)} />
            <button disabled={!session.online.value || name.trim() === session.nameOf(session.me)} data-testid="own-name-save">Save</button>
          </span>
          <small class="soft">Your user name is {session.me}.</small>
        </form>
        <Choice<Status> legend="Shown as" value={session.status.value} change={(status) => session.setStatus(status)} testid="status"
          options={[['online', 'Online'], ['away', 'Away'], ['dnd', 'Busy'], ['invisible', 'Hidden']]} />
        <Choice<Theme> legend="Colours" value={theme} testid="theme" options={[['auto', 'As the system'], ['light', 'Light'], ['dark', 'Dark']]}
          change={(chosen) => { keep.setTheme(chosen); wear(chosen); setTheme(chosen); }} />
        <Toggle label="Notifications" on={notes === 'on'} disabled={notes === 'denied' || notes === 'none'} change={(on) => void setNotifying(on)} testid="notify"
          hint={notes === 'denied' ? 'The browser does not allow them for this page' : notes === 'none' ? 'This browser has none' : 'When this page is hidden and somebody writes'} />
        <details class="keys"><summary>Keyboard</summary>
          <dl>{KEYS.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
        </details>
        <button type="button" class="danger quiet" data-testid="sign-out" onClick={() => void session.signOut()}>Sign out</button>
      </div>
    </Dialog>
  );
}
