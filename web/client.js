/**
 * What this page knows and wants of the server: rooms, messages, receipts, typing, presence.
 *
 * Owns: the map of `Room`s, the presence of others.
 *
 * C-1  a reconnect resumes every room whose history is loaded from its own position.
 *
 * Absent: the document. The page listens to `change` {what, room_id} and `lost` {room_id, reason}, and reads the fields.
 */
import { Connection } from './connection.js';
import { Login } from './login.js';
import { Outbox } from './outbox.js';
import { Room } from './timeline.js';
import { REPLY_MS, newId } from './wire.js';

const DEVICE_KEY = 'parlor.device';
const READ_DELAY_MS = 150;
const DELIVERED_DELAY_MS = 500;
const TYPING_EVERY_MS = 3_000;
const PAGE = 50;
const HOLE_PAGE = 200;
const WATCH_MAX = 100;

export class Client extends EventTarget {
  user = null;
  rooms = new Map();
  presence = new Map();
  outbox = null;
  /** The room on the screen, whose history, members and presence are kept fresh. */
  open = null;

  #login = new Login();
  #link = new Connection(this.#login, {
    hello: () => this.#hello(),
    onstate: () => this.#changed('state'),
    onwelcome: (welcome) => this.#welcomed(welcome),
    onframe: (frame) => this.#frame(frame),
    ondrop: () => this.#dropped(),
    onrefused: (reason) => this.#forget(reason),
    ontoolarge: () => this.outbox.tooLarge(),
  });

  /** Rooms added during this connection, which a list begun before does not name. */
  #added = new Set();
  #typedAt = 0;

  constructor() {
    super();
    addEventListener('storage', (event) => this.#otherTab(event));
  }

  get state() {
    return this.#link.state;
  }

  // Login

  /** Goes on with the stored login, if there is one. */
  start() {
    const login = this.#login.stored;
    if (!login) { this.#changed('state'); return; }
    this.user = login.user_id;
    this.outbox = new Outbox(this.user, this.#link, {
      acknowledged: (entry, ack) => this.rooms.get(entry.room_id)?.acknowledged(entry, ack, this.user),
      changed: (room_id) => this.#changed('room', room_id),
    });
    this.#link.connect();
  }

  async signUp(user_id, password) {
    await this.#login.signUp(user_id, password);
    this.start();
  }

  async signIn(user_id, password) {
    await this.#login.signIn(user_id, password);
    this.start();
  }

  /** Ends the login; unsent messages are thrown away. */
  async signOut() {
    this.outbox?.empty();
    const ended = this.#login.signOut();
    this.#forget();
    await ended;
  }

  /** Connects now instead of at the end of the wait. */
  retry() {
    if (this.state.name === 'waiting' || this.state.name === 'stopped') this.#link.connect();
  }

  #forget(reason) {
    this.#login.forget();
    this.user = null;
    this.outbox = null;
    this.rooms.clear();
    this.presence.clear();
    this.open = null;
    this.#link.leave(reason);
  }

  #otherTab(event) {
    if (this.#login.concerns(event) && (this.#login.stored?.user_id ?? null) !== this.user) location.reload();
    this.outbox?.otherTab(event);
  }

  // Connection

  #hello() {
    const positions = {};
    for (const [id, room] of this.rooms) if (room.position !== null) positions[id] = room.position;
    const id = localStorage.getItem(DEVICE_KEY) ?? newId();
    localStorage.setItem(DEVICE_KEY, id);
    return {
      device: { id, name: 'Browser', platform: 'web' },
      rooms: 'all',
      presence: 'online',
      ...(Object.keys(positions).length > 0 && { resume: { rooms: positions } }),
    };
  }

  #welcomed(welcome) {
    for (const info of welcome.rooms ?? []) this.#describe(info);
    this.#complete(welcome).catch(() => { /* the next welcome lists them again */ });
    for (const id of this.rooms.keys()) this.#sendReceipts(id);
    this.outbox.resume(welcome.limits?.body_bytes);
    if (this.open) this.#freshen(this.open);
  }

  /** Reads the rest of the room list, then lets go of rooms that went away meanwhile. */
  async #complete(welcome) {
    const { epoch } = this.#link;
    const seen = new Set((welcome.rooms ?? []).map((info) => info.room_id));
    let { next } = welcome;
    while (next) {
      const page = await this.#link.request('room.list', { after: next });
      for (const info of page.rooms) { this.#describe(info); seen.add(info.room_id); }
      ({ next } = page);
    }
    if (epoch !== this.#link.epoch) return;
    for (const id of [...this.rooms.keys()]) {
      if (!seen.has(id) && !this.#added.has(id)) this.#lost(id, 'not_member');
    }
    this.#changed('rooms');
  }

  #dropped() {
    this.outbox?.dropped();
    this.#added.clear();
    this.#typedAt = 0;
    for (const room of this.rooms.values()) { room.loading = false; room.typing.clear(); }
  }

  #changed(what, room_id) {
    this.dispatchEvent(new CustomEvent('change', { detail: { what, room_id } }));
  }

  // Frames

  #frame(frame) {
    const { type, payload } = frame;
    if (Number.isInteger(payload.seq) && payload.sender) this.#event(frame);
    else this.#notices[type]?.(payload);
  }

  #event(frame) {
    const { room_id, client_msg_id } = frame.payload;
    const room = this.rooms.get(room_id);
    if (client_msg_id) this.outbox.settle(client_msg_id);
    if (!room) return;
    room.live(frame, this.user);
    if (room.hasHole && !room.loading) this.#fill(room_id);
    if (room_id !== this.open) room.trim();
    else if (/^(member|room)\./.test(frame.type)) this.#membersOf(room_id);
    if (frame.type === 'message.deleted') this.#recount(room_id);
    this.#sendReceipts(room_id);
    this.#changed('room', room_id);
  }

  #notices = {
    'room.added': ({ room }) => {
      this.#added.add(room.room_id);
      this.#describe(room);
      this.#changed('rooms');
    },
    'room.removed': ({ room_id, reason }) => {
      this.#added.delete(room_id);
      this.#lost(room_id, reason);
    },
    'message.hidden': ({ room_id, target }) => {
      this.rooms.get(room_id)?.hide(target);
      this.#changed('room', room_id);
    },
    head: ({ room_id, head, unread, mentions }) => {
      this.rooms.get(room_id)?.update({ head, unread, mentions });
      this.#changed('room', room_id);
    },
    presence: ({ user_id, status }) => {
      this.presence.set(user_id, status);
      this.#changed('presence');
    },
    gap: (payload) => this.#gap(payload),
    receipt: (payload) => this.#receipt(payload),
    typing: (payload) => this.#typing(payload),
  };

  #describe(info) {
    const room = this.rooms.get(info.room_id);
    if (room) room.update(info);
    else this.rooms.set(info.room_id, new Room(info));
  }

  #lost(room_id, reason) {
    const room = this.rooms.get(room_id);
    if (!this.rooms.delete(room_id)) return;
    this.outbox.empty(room_id);
    if (this.open === room_id) this.open = null;
    this.dispatchEvent(new CustomEvent('lost', { detail: { room_id, reason, title: room.title } }));
    this.#changed('rooms');
  }

  #gap({ room_id, to, reset }) {
    const room = this.rooms.get(room_id);
    if (!room) return;
    if (reset) {
      room.clear();
      room.info.head = to;
      if (this.open === room_id) this.#load(room_id);
    } else {
      room.gap(to);
      if (room.hasHole) this.#fill(room_id);
    }
    this.#changed('room', room_id);
  }

  #receipt({ room_id, user_id, read }) {
    const room = this.rooms.get(room_id);
    if (!room || !read) return;
    if (user_id !== this.user) room.readBy(user_id, read);
    else if (room.readTo(read, this.user)) this.#recount(room_id);
    this.#changed('room', room_id);
  }

  #typing({ room_id, user_id, state, expires_in_ms }) {
    const room = this.rooms.get(room_id);
    if (!room || user_id === this.user) return;
    const name = `typing ${room_id} ${user_id}`;
    const stop = () => { room.typing.delete(user_id); this.#changed('typing', room_id); };
    if (state === 'start') {
      room.typing.set(user_id, true);
      this.#link.after(name, expires_in_ms ?? 6_000, stop);
      this.#changed('typing', room_id);
    } else {
      this.#link.cancel(name);
      stop();
    }
  }

  /** Asks for a room's counts, once for many causes. */
  #recount(room_id) {
    this.#link.soon(`recount ${room_id}`, READ_DELAY_MS, async () => {
      const { room } = await this.#link.request('room.get', { room_id }).catch(() => ({}));
      if (room) this.rooms.get(room_id)?.update(room);
      this.#changed('room', room_id);
    });
  }

  // Rooms

  /** Makes a room; the caller keeps `msg_id` for a second try. Resolves with the room's id. */
  async createRoom(payload, msg_id) {
    const { room } = await this.#link.request('room.create', payload, REPLY_MS, msg_id);
    this.#added.add(room.room_id);
    this.#describe(room);
    this.#changed('rooms');
    return room.room_id;
  }

  /** One page of the public rooms. */
  publicRooms(after) {
    return this.#link.request('room.list', { public: true, ...(after && { after }) });
  }

  async join(room_id) {
    await this.#link.request('room.join', { room_id });
    const { room } = await this.#link.request('room.get', { room_id });
    this.#added.add(room_id);
    this.#describe(room);
    this.#changed('rooms');
  }

  async leave(room_id) {
    await this.#link.request('room.leave', { room_id });
    this.#lost(room_id, 'left');
  }

  async invite(room_id, user_ids) {
    await this.#link.request('room.invite', { room_id, user_ids });
  }

  /** Puts a room on the screen, or none. */
  show(room_id) {
    if (this.open && this.open !== room_id) this.rooms.get(this.open)?.trim();
    this.open = room_id;
    this.#typedAt = 0;
    if (room_id && this.#link.online) this.#freshen(room_id);
  }

  #freshen(room_id) {
    const room = this.rooms.get(room_id);
    if (!room) return;
    if (!room.loaded) this.#load(room_id);
    this.#membersOf(room_id);
  }

  /** Reads one more page of history above what is shown; also the way to try again after trouble. */
  async loadOlder(room_id) {
    const room = this.rooms.get(room_id);
    if (!room || room.loading || !this.#link.online) return;
    if (!room.loaded) await this.#load(room_id);
    else if (room.hasOlder) await this.#page(room_id, { before: room.low }, (page) => room.older(page));
  }

  async #load(room_id) {
    const room = this.rooms.get(room_id);
    if (!room || room.loading) return;
    await this.#page(room_id, {}, (page) => room.newest(page));
    if (room.hasHole) this.#fill(room_id);
  }

  async #page(room_id, position, take) {
    const room = this.rooms.get(room_id);
    const turn = Symbol('page');
    room.loading = turn;
    room.trouble = null;
    this.#changed('room', room_id);
    try {
      const page = await this.#link.request('history.get', { room_id, ...position, limit: PAGE });
      // A reset that came meanwhile has emptied the room: the page is of the past.
      if (room.loading === turn) take(page);
    } catch (refusal) {
      if (refusal.code !== 'closed') room.trouble = refusal;
    }
    if (room.loading === turn) room.loading = false;
    this.#changed('room', room_id);
  }

  async #fill(room_id) {
    const room = this.rooms.get(room_id);
    if (!room || room.filling) return;
    room.filling = true;
    try {
      while (room.hasHole) {
        room.fill(await this.#link.request('history.get', { room_id, after: room.top, limit: HOLE_PAGE }));
      }
    } catch { /* the next connection resumes from `top`, below the hole */ }
    room.filling = false;
    this.#changed('room', room_id);
  }

  /** Reads who is in the room and how they are, once for many causes. */
  #membersOf(room_id) {
    this.#link.soon(`members ${room_id}`, 0, async () => {
      const room = this.rooms.get(room_id);
      if (!room) return;
      try {
        const { members, next } = await this.#link.request('room.members', { room_id, limit: 200 });
        room.members = members;
        room.moreMembers = Boolean(next);
        this.#changed('members', room_id);
        const user_ids = members.map((m) => m.user_id).filter((id) => id !== this.user).slice(0, WATCH_MAX);
        if (user_ids.length === 0) return;
        const watched = await this.#link.request('presence.watch', { user_ids });
        for (const { user_id, status } of watched.presence ?? []) this.presence.set(user_id, status);
        this.#changed('presence');
      } catch { /* the room works without */ }
    });
  }

  /** Notes that everything up to `seq` was seen. */
  seen(room_id, seq) {
    const room = this.rooms.get(room_id);
    if (!room || seq <= Math.max(room.info.read, room.wantRead)) return;
    room.wantRead = seq;
    this.#sendReceipts(room_id);
  }

  #sendReceipts(room_id) {
    const room = this.rooms.get(room_id);
    if (!this.#link.online || !room?.info.role) return;
    if (room.wantRead > room.info.read) {
      this.#link.soon(`read ${room_id}`, READ_DELAY_MS, async () => {
        const { seq } = await this.#link.request('receipt.read', { room_id, seq: room.wantRead }).catch(() => ({}));
        if (seq && room.readTo(seq, this.user)) this.#recount(room_id);
        this.#changed('room', room_id);
      });
    }
    if (room.wantDelivered > Math.max(room.wantRead, room.info.delivered ?? 0)) {
      this.#link.soon(`delivered ${room_id}`, DELIVERED_DELAY_MS, async () => {
        const asked = { room_id, seq: room.wantDelivered };
        const { seq } = await this.#link.request('receipt.delivered', asked).catch(() => ({}));
        if (seq) room.info.delivered = seq;
      });
    }
  }

  // Messages

  /** Tells the room that something is being typed, or no longer. */
  typed(room_id, text) {
    const now = Date.now();
    if (text && now - this.#typedAt >= TYPING_EVERY_MS) {
      this.#typedAt = now;
      this.#link.tell('typing.start', { room_id });
    } else if (!text && this.#typedAt) {
      this.#typedAt = 0;
      this.#link.tell('typing.stop', { room_id });
    }
  }

  /** Puts a message into the outbox, from where it goes out when it can. */
  send(room_id, text) {
    this.outbox.send(room_id, text);
  }
}
