/**
 * The page: what is on the screen, and what its buttons do.
 *
 * Owns: the document outside the message list, the address (`#room/<id>`), the drafts.
 *
 * A-1  what people wrote goes into text nodes only;
 * A-2  the connection's state is always visible.
 *
 * Absent: the protocol (client.js), the rows of messages (messages.js).
 */
import { Client } from './client.js';
import { Messages } from './messages.js';
import { newId } from './wire.js';

const by = (id) => document.getElementById(id);
const stamp = (id) => by(id).content.firstElementChild.cloneNode(true);
const client = new Client();
const drafts = new Map();
const messages = new Messages({
  older: () => client.loadOlder(shown),
  seen: (seq) => client.seen(shown, seq),
  resend: (msg_id) => client.outbox.resend(msg_id),
  discard: (msg_id) => client.outbox.settle(msg_id),
});

let shown = null;
let everOnline = false;
let creating = false;
let planned = false;

const STATES = {
  connecting: 'Connecting…', online: 'Online', waiting: 'Reconnecting', stopped: 'Disconnected', 'signed-out': 'Signed out',
};

/** What went wrong, in a person's words. */
function explain(refusal) {
  switch (refusal.code) {
    case 'closed': case 'timeout': case 'unreachable': return 'The server cannot be reached just now. Please try again.';
    case 'rate_limited': return 'Too many tries. Please wait a moment.';
    default: return refusal.message;
  }
}

function showError(id, text) {
  by(id).textContent = text ?? '';
  by(id).hidden = !text;
}

// Rendering: one pass for whatever changed meanwhile.

function plan() {
  if (planned) return;
  planned = true;
  const run = () => { planned = false; render(); };
  // A hidden page has no frames, but its title counts the unread.
  if (document.hidden) setTimeout(run, 250);
  else requestAnimationFrame(run);
}

function render() {
  const out = client.state.name === 'signed-out';
  if (out && !by('auth').hidden) return;
  by('auth').hidden = !out;
  by('app').hidden = out;
  renderConnection();
  if (out) { renderSignIn(); return; }
  by('me').textContent = client.user;
  follow();
  renderRooms();
  renderRoom();
}

function renderSignIn() {
  everOnline = false;
  shown = null;
  drafts.clear();
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  showError('auth-notice', client.state.reason);
  showError('auth-error');
  by('auth-password').value = '';
  by('rooms').replaceChildren();
  document.title = 'Parlor';
  setMode(false);
  by(by('auth-user').value ? 'auth-password' : 'auth-user').focus();
}

function renderConnection() {
  const { name, reason } = client.state;
  if (name === 'online') everOnline = true;
  by('connection').dataset.state = name;
  by('connection').textContent = STATES[name];
  by('banner').hidden = name === 'online' || name === 'signed-out' || (name === 'connecting' && !everOnline);
  const text = name === 'stopped' ? reason : 'Connection lost. Reconnecting…';
  // Written only when it differs: a live region would be read out again.
  if (by('banner-text').textContent !== text) by('banner-text').textContent = text;
  by('banner-retry').hidden = name === 'connecting';
  countDown();
}

function countDown() {
  const left = client.state.name === 'waiting' ? Math.ceil((client.state.until - Date.now()) / 1000) : 0;
  by('banner-count').textContent = left > 1 ? ` in ${left} s` : '';
  if (left > 1) by('connection').textContent = `Reconnecting in ${left} s`;
}
setInterval(countDown, 500);

function renderRooms() {
  const rooms = [...client.rooms.values()].sort((a, b) => b.activity - a.activity || (a.info.room_id < b.info.room_id ? -1 : 1));
  const list = by('rooms');
  const rows = new Map([...list.children].map((row) => [row.dataset.room, row]));
  let next = list.firstElementChild;
  for (const room of rooms) {
    const { room_id, unread } = room.info;
    let row = rows.get(room_id);
    rows.delete(room_id);
    if (!row) {
      row = stamp('t-room');
      row.dataset.room = room_id;
      row.firstElementChild.addEventListener('click', () => go(room_id));
    }
    const button = row.firstElementChild;
    const count = unread > 999 ? '999+' : unread > 0 ? String(unread) : '';
    button.setAttribute('aria-current', String(room_id === shown));
    button.classList.toggle('unread', Boolean(count));
    button.querySelector('.room-item-name').textContent = room.title;
    button.querySelector('.comma').hidden = !count;
    button.querySelector('.badge').textContent = count;
    button.querySelector('.badge').title = count ? `${count} unread` : '';
    // Moving a focused element would take its focus away.
    if (row === next) next = next.nextElementSibling;
    else if (!row.contains(document.activeElement)) list.insertBefore(row, next);
  }
  for (const row of rows.values()) row.remove();
  by('no-rooms').hidden = rooms.length > 0 || !everOnline;
  const total = rooms.reduce((sum, room) => sum + (room.info.unread || 0), 0);
  document.title = total > 0 ? `(${total > 999 ? '999+' : total}) Parlor` : 'Parlor';
}

function renderRoom() {
  const room = client.rooms.get(shown);
  by('room').hidden = !room;
  by('blank').hidden = Boolean(room);
  by('app').dataset.view = room ? 'room' : 'rooms';
  if (!room) return;
  by('room-name').textContent = room.title;
  by('room-about').textContent = aboutOf(room);
  by('typing').textContent = typingOf(room);
  const readOnly = room.info.role === 'reader' || !room.info.role;
  by('composer').hidden = readOnly;
  by('read-only').hidden = !readOnly;
  messages.render(client.user, client.outbox.of(shown));
  if (by('people-dialog').open) renderMembers(room);
}

function aboutOf(room) {
  if (room.info.topic) return room.info.topic;
  if (!room.members) return room.info.public ? 'Public room' : '';
  if (room.info.kind === 'direct') {
    return client.presence.get(room.info.peer) ?? '';
  }
  const count = `${room.members.length}${room.moreMembers ? '+' : ''} ${room.members.length === 1 ? 'member' : 'members'}`;
  return room.info.public ? `Public · ${count}` : count;
}

function typingOf(room) {
  const names = [...room.typing.keys()];
  if (names.length === 0) return '';
  if (names.length === 1) return `${names[0]} is typing…`;
  return names.length === 2 ? `${names[0]} and ${names[1]} are typing…` : 'Several people are typing…';
}

// The address says which room is shown, so that reload and the back button do what is expected.

function go(room_id) {
  location.hash = room_id ? `room/${room_id}` : '';
}

function follow() {
  const wanted = /^#room\/(.+)$/.exec(location.hash)?.[1] ?? null;
  const room = client.rooms.get(wanted);
  const target = room ? wanted : null;
  if (target === shown && client.open === shown) return;
  if (shown) drafts.set(shown, by('text').value);
  shown = target;
  client.show(target);
  if (!room) return;
  by('blank-text').textContent = 'Choose a room to start talking.';
  messages.open(room);
  by('text').value = drafts.get(target) ?? '';
  grow();
  if (matchMedia('(pointer: fine)').matches) setTimeout(() => by('text').focus());
}

addEventListener('hashchange', plan);
by('back').addEventListener('click', () => go(null));

// Signing in

function setMode(create) {
  creating = create;
  by('auth-submit').textContent = create ? 'Create account' : 'Sign in';
  by('auth-mode').textContent = create ? 'I have an account' : 'Create an account';
  by('auth-hint').hidden = !create;
  by('auth-password').autocomplete = create ? 'new-password' : 'current-password';
  by('auth-password').minLength = create ? 8 : 1;
}

by('auth-mode').addEventListener('click', () => { setMode(!creating); showError('auth-error'); by('auth-user').focus(); });
by('auth-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = by('auth-submit');
  button.disabled = true;
  showError('auth-error');
  try {
    await client[creating ? 'signUp' : 'signIn'](by('auth-user').value, by('auth-password').value);
  } catch (refusal) {
    const { status } = refusal;
    if (creating && status === 409) showError('auth-error', 'This user name is taken.');
    else if (!creating && status === 401) showError('auth-error', 'User name or password is wrong.');
    else showError('auth-error', explain(refusal));
    by('auth-password').focus();
  }
  button.disabled = false;
});
by('sign-out').addEventListener('click', () => {
  const unsent = client.outbox.entries.length;
  if (unsent > 0 && !confirm(`${unsent} unsent ${unsent === 1 ? 'message' : 'messages'} will be lost. Sign out?`)) return;
  go(null);
  client.signOut();
});
by('banner-retry').addEventListener('click', () => client.retry());

// Writing

function grow() {
  const text = by('text');
  text.style.height = 'auto';
  text.style.height = `${text.scrollHeight + 2}px`;
}

by('text').addEventListener('input', () => { grow(); client.typed(shown, by('text').value.trim()); });
by('text').addEventListener('blur', () => client.typed(shown, ''));
by('text').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  by('composer').requestSubmit();
});
by('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = by('text').value.trim();
  if (!text || !shown) return;
  by('text').value = '';
  drafts.delete(shown);
  grow();
  client.typed(shown, '');
  client.send(shown, text);
  messages.toEnd();
  by('text').focus();
});

// Dialogs

for (const button of document.querySelectorAll('dialog .close')) {
  button.addEventListener('click', () => button.closest('dialog').close());
}

/** The frame's id stays while the same room is tried again, so that a lost answer does not make two. */
let attempt = { key: '', msg_id: '' };

by('new-room').addEventListener('click', () => {
  by('new-form').reset();
  showError('new-error');
  by('new-dialog').showModal();
});
by('new-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const name = by('new-name').value.trim();
  const members = [...new Set(by('new-members').value.split(/[\s,;]+/).filter(Boolean))].filter((id) => id !== client.user);
  const direct = !name && members.length === 1 && !by('new-public').checked;
  if (!name && !direct) { showError('new-error', 'Please give the room a name.'); by('new-name').focus(); return; }
  const payload = direct ? { kind: 'direct', members } : { kind: 'group', name, members, public: by('new-public').checked };
  const key = JSON.stringify(payload);
  if (attempt.key !== key) attempt = { key, msg_id: newId() };
  showError('new-error');
  try {
    const room_id = await client.createRoom(payload, attempt.msg_id);
    attempt = { key: '', msg_id: '' };
    by('new-dialog').close();
    go(room_id);
  } catch (refusal) {
    showError('new-error', refusal.code === 'not_found' ? 'One of these users does not exist.' : explain(refusal));
  }
});

by('browse').addEventListener('click', () => {
  by('public-rooms').replaceChildren();
  by('browse-dialog').showModal();
  browse();
});

async function browse(after) {
  const note = by('browse-note');
  note.textContent = 'Loading…';
  by('browse-more').hidden = true;
  try {
    const { rooms, next } = await client.publicRooms(after);
    for (const info of rooms) {
      const row = stamp('t-public');
      row.querySelector('strong').textContent = info.name || 'Unnamed room';
      row.querySelector('.hint').textContent = info.topic ?? '';
      row.querySelector('button').addEventListener('click', () => join(info.room_id));
      by('public-rooms').append(row);
    }
    note.textContent = by('public-rooms').children.length === 0 ? 'There is no public room to join.' : '';
    by('browse-more').hidden = !next;
    by('browse-more').onclick = () => browse(next);
  } catch (refusal) {
    note.textContent = explain(refusal);
  }
}

async function join(room_id) {
  try {
    await client.join(room_id);
    by('browse-dialog').close();
    go(room_id);
  } catch (refusal) {
    by('browse-note').textContent = explain(refusal);
  }
}

by('people').addEventListener('click', () => {
  showError('people-error');
  by('invite-form').reset();
  renderMembers(client.rooms.get(shown));
  by('people-dialog').showModal();
});

function renderMembers(room) {
  by('members').replaceChildren(...(room.members ?? []).map(({ user_id, role }) => {
    const row = stamp('t-member');
    const status = user_id === client.user ? 'online' : client.presence.get(user_id) ?? 'offline';
    row.querySelector('.dot').dataset.status = status;
    row.querySelector('.grow').textContent = user_id === client.user ? `${user_id} (you)` : user_id;
    row.querySelector('.hint').textContent = role === 'member' ? status : `${role}, ${status}`;
    return row;
  }));
  const direct = room.info.kind === 'direct';
  by('invite-form').hidden = direct;
  by('leave').hidden = direct;
}

by('invite-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  showError('people-error');
  try {
    await client.invite(shown, [by('invite-user').value.trim()]);
    by('invite-form').reset();
  } catch (refusal) {
    showError('people-error', refusal.code === 'not_found' ? 'There is no such user.' : explain(refusal));
  }
});
by('leave').addEventListener('click', async () => {
  showError('people-error');
  try {
    await client.leave(shown);
    by('people-dialog').close();
  } catch (refusal) {
    showError('people-error', explain(refusal));
  }
});

// Start

client.addEventListener('change', plan);
client.addEventListener('lost', ({ detail: { room_id, reason, title } }) => {
  if (room_id !== shown) return;
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  by('blank-text').textContent = reason === 'left' ? `You left ${title}.` : `You are no longer in ${title}.`;
  go(null);
});
setMode(false);
client.start();
