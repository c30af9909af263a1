/**
 * The page as a whole: signed out, or a list of rooms with one of them open.
 */
import { signal } from '@preact/signals';
import type { Login } from 'parlor-client';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { LOGIN_KEY, keep } from '../keep.js';
import { Session } from '../session.js';
import { Auth } from './auth.js';
import { Banner, Conversation } from './conversation.js';
import { Details } from './details.js';
import { Browse, NewRoom, Settings } from './dialogs.js';
import { goNowhere, goTo, routed } from '../route.js';
import { Beginning, Sidebar } from './sidebar.js';

/** Which dialog is open. */
export type Opened = 'new' | 'browse' | 'settings';

const TOAST_MS = 4_000;

const login = signal<Login | undefined>(keep.login());
const notice = signal('');

export function App() {
  useEffect(() => {
    // Another tab has signed out, or somebody else in.
    const stored = (event: StorageEvent): void => {
      if (event.key !== LOGIN_KEY && event.key !== null) return;
      const now = keep.login();
      if (now?.user_id !== login.peek()?.user_id) login.value = now;
    };
    addEventListener('storage', stored);
    return () => removeEventListener('storage', stored);
  }, []);
  const current = login.value;
  if (!current) return <Auth notice={notice.value} enter={(entered) => { notice.value = ''; login.value = entered; }} />;
  return <SignedIn key={current.user_id} login={current} />;
}

function SignedIn({ login: entered }: { login: Login }) {
  const session = useMemo(() => new Session(entered), []);
  const [opened, show] = useState<Opened>();
  const [details, setDetails] = useState(false);
  useEffect(() => () => session.end(), []);

  useEffect(() => {
    const follow = (): void => session.open(routed());
    follow();
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  useEffect(() => session.openId.subscribe((id) => {
    if (id === undefined && session.ready.peek()) goNowhere();
  }), []);
  useEffect(() => session.connection.subscribe((state) => {
    if (state.name !== 'stopped' || (state.reason.why !== 'unauthorized' && state.reason.why !== 'stopped')) return;
    const signedOut = keep.login() === undefined;
    if (state.reason.why === 'stopped' && !signedOut) return;
    if (state.reason.why === 'unauthorized') notice.value = 'You were signed out.';
    goNowhere();
    login.value = undefined;
  }), []);
  useKeys(session);

  const { room } = session;
  void session.listed.value;
  return (
    <div class={`app ${details && room ? 'with-details' : ''}`} data-testid="app" data-view={session.openId.value === undefined ? 'rooms' : 'room'}>
      <Sidebar session={session} show={show} />
      {room ? <Conversation session={session} room={room} details={details} toggle={() => setDetails(!details)} /> : <Blank session={session} show={show} />}
      {room && details && <Details session={session} room={room} close={() => setDetails(false)} />}
      {opened === 'new' && <NewRoom session={session} close={() => show(undefined)} />}
      {opened === 'browse' && <Browse session={session} close={() => show(undefined)} />}
      {opened === 'settings' && <Settings session={session} close={() => show(undefined)} />}
      <Toast session={session} />
    </div>
  );
}

/** What is there when no room is open. */
function Blank({ session, show }: { session: Session; show: (what: Opened) => void }) {
  void session.listed.value;
  const ready = session.ready.value;
  const lost = ready && session.openId.value !== undefined;
  return (
    <main class="blank" aria-label="Room">
      <Banner session={session} />
      <div class="blank-body">
        {!ready && <p class="edge"><span class="spinner" aria-hidden="true" /> {session.connection.value.name === 'waiting' ? 'The server cannot be reached' : 'Connecting'}</p>}
        {lost && <><h1>This room is not here</h1><p class="soft">It is gone, or you are not in it.</p><button type="button" onClick={() => goTo(undefined)}>All rooms</button></>}
        {ready && !lost && session.rooms.size > 0 && <><img src="/assets/icon.svg" alt="" width="56" height="56" /><h1>Choose a room</h1><p class="soft">Or find one with Ctrl K.</p></>}
        {ready && !lost && session.rooms.size === 0 && (
          <>
            <img src="/assets/icon.svg" alt="" width="56" height="56" />
            <h1>Welcome to Parlor</h1>
            <p class="soft">Start a room and bring people in, or see which public ones there are.</p>
            <Beginning show={show} />
          </>
        )}
      </div>
    </main>
  );
}

function Toast({ session }: { session: Session }) {
  const text = session.toast.value;
  useEffect(() => {
    if (text === '') return undefined;
    const timer = setTimeout(() => { session.toast.value = ''; }, TOAST_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return <div class={`toast ${text ? 'shown' : ''}`} role="status" data-testid="toast">{text}</div>;
}

/** Keys that work wherever one is. */
function useKeys(session: Session): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (document.querySelector('dialog[open]')) return;
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        // On a phone the list is hidden while a room is open.
        if (getComputedStyle(document.querySelector('.side') ?? document.body).display === 'none') goTo(undefined);
        requestAnimationFrame(() => document.getElementById('find')?.focus());
      } else if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
        const rooms = session.ordered();
        const at = rooms.findIndex((room) => room.id === session.openId.peek());
        const next = rooms[at < 0 ? 0 : at + (event.key === 'ArrowDown' ? 1 : -1)];
        if (next) goTo(next.id);
      } else return;
      event.preventDefault();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}
