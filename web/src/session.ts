/**
 * One login of this page: the client, the rooms, and what a person may wish of them. Views read it and call it.
 *
 * S-1  what the client tells goes into the pure states of `state/`, and a view is told at the next frame;
 * S-2  what a person does is shown at once, before the server has heard of it.
 *
 * Absent: pages of history (`history.ts`), names and presence (`people.ts`), elements (`view/`).
 */
import { computed, effect, signal } from '@preact/signals';
import {
  Accounts, BrowserLoginStore, LoginTokens, ParlorError, connect,
  type AppendType, type Client, type ConnectionState, type Entry, type EventFrame, type Login, type NoticeFrame, type PayloadOf, type Received,
  type ReplyTo, type RoomId, type Seq, type Sending as Outgoing, type UserId,
} from 'parlor-client';
import { History } from './history.js';
import { LOGIN_KEY, keep, type Status } from './keep.js';
import { notify, title } from './notify.js';
import { Painter, changes } from './paint.js';
import { People } from './people.js';
import { Room } from './state/room.js';
import type { MessageEvent } from './state/rows.js';
import { Sendings, type MessageEntry } from './state/sendings.js';
import { flat } from './text/nodes.js';
import { mentionsIn } from './text/links.js';
import { understand } from './text/markdown.js';
import { goTo } from './route.js';
import { titleOf, troubleOf } from './words.js';

/** Rooms of which the newest message is read for the list. */
const PREVIEWS_MAX = 60;
const PREVIEWS_AT_ONCE = 4;
const ROOMS_MAX = 3_000;
const MEMBERS_MAX = 1_000;
const RECEIPT_ROOMS_MAX = 60;
const FAILED_MAX = 50;
const KEEP_EVERY_MS = 2_000;
const ASK_COUNTS_MS = 400;

export class Session {
  readonly me: UserId;
  readonly rooms = new Map<RoomId, Room>();
  readonly sendings = new Sendings();
  readonly people: People;
  readonly painter = new Painter();
  readonly history: History;
  /** Changes of the list of rooms, and of the room that is open. */
  readonly listed = changes();
  readonly shown = changes();
  readonly connection = signal<ConnectionState>({ name: 'idle' });
  /** When the next attempt is made, in milliseconds since 1970. */
  readonly retryAt = signal(0);
  readonly online = computed(() => this.connection.value.name === 'online');
  readonly openId = signal<RoomId | undefined>(undefined);
  readonly ready = signal(false);
  readonly status = signal<Status>(keep.status());
  /** Something a person should hear of, for a moment. */
  readonly toast = signal('');
  /** The message that has come last in the open room, for those who hear the page. */
  heard: MessageEvent | undefined;
  readonly client: Client;
  readonly #accounts: Accounts;
  readonly #store: BrowserLoginStore;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #receipts: ReturnType<typeof keep.receipts>;
  readonly #untitle: () => void;
  #asking: ReturnType<typeof setTimeout> | undefined;

  constructor(login: Login) {
    this.me = login.user_id;
    this.#accounts = new Accounts(location.origin);
    this.#store = new BrowserLoginStore(LOGIN_KEY);
    this.#receipts = keep.receipts(this.me);
    this.client = connect({
      tokens: new LoginTokens(this.#accounts, this.#store), user_id: this.me,
      device: { id: keep.device(), name: 'Browser', platform: 'web' },
      presence: this.status.value,
    });
    this.people = new People(this.client, this.painter);
    this.history = new History(this.client, (room) => this.#changed(room));
    this.#listen();
    void this.client.start().then(() => this.#loadOutbox());
    this.#timers.push(setInterval(() => this.#keepReceipts(), KEEP_EVERY_MS), setInterval(() => this.#quiet(), 1_000));
    addEventListener('pagehide', () => this.#keepReceipts());
    this.#untitle = effect(() => this.#titled());
    for (const { entry, at_ms, why } of keep.failed(this.me)) this.sendings.put({ entry, at_ms, why, state: 'failed' });
  }

  get room(): Room | undefined {
    const id = this.openId.value;
    return id === undefined ? undefined : this.rooms.get(id);
  }

  nameOf = (user: UserId): string => this.people.name(user);

  /** The rooms, those where something happened last first. */
  ordered(): Room[] {
    void this.listed.value;
    return [...this.rooms.values()].sort((a, b) => b.activity - a.activity || a.id.localeCompare(b.id));
  }

  // What a person wishes

  /** Shows a room, or none. */
  open(room_id: RoomId | undefined): void {
    if (this.openId.peek() === room_id) return;
    const before = this.openId.peek();
    if (before !== undefined) {
      this.rooms.get(before)?.leave();
      this.client.typingStopped(before);
    }
    this.openId.value = room_id;
    this.#enter();
  }

  send(room: Room, text: string): void {
    const people = new Set(room.members?.keys() ?? []);
    if (room.info.peer) people.add(room.info.peer);
    const mentions = mentionsIn(text, people);
    const payload: PayloadOf<'message.send'> = {
      room_id: room.id, body: { text, format: 'markdown' },
      ...(mentions.length > 0 && { mentions }), ...(room.replyTo && { reply_to: room.replyTo.payload.seq }),
    };
    this.#written(payload, this.client.append('message.send', payload));
    room.replyTo = undefined;
    room.divider = undefined;
    room.following = true;
    this.client.typingStopped(room.id);
    void this.history.end(room);
    this.painter.now(this.shown);
  }

  /** Sends a refused message again, under the same id: whatever became of it, it takes effect once. */
  retry({ msg_id, payload }: MessageEntry): void {
    this.#written(payload, this.client.append('message.send', payload, msg_id));
    this.#keepFailed();
    this.painter.now(this.shown);
  }

  #written(payload: PayloadOf<'message.send'>, { msg_id, kept, done }: Outgoing<'message.send'>): void {
    const entry: MessageEntry = { msg_id, type: 'message.send', payload };
    this.sendings.put({ entry, at_ms: Date.now(), state: 'written' });
    void kept.then((is) => {
      if (!is) return;
      this.sendings.kept(entry);
      this.painter.now(this.shown);
    });
    // Told by `settled`, all but a message the outbox had no place for.
    done.catch((error: ParlorError) => { if (error.code === 'full') this.#failed(entry, error); });
  }

  discard({ msg_id, payload: { room_id } }: MessageEntry): void {
    this.client.discard(msg_id);
    this.sendings.drop(room_id, msg_id);
    this.#keepFailed();
    this.painter.now(this.shown);
  }

  /** Everything up to `seq` was on the screen while somebody looked. */
  seen(room: Room, seq: Seq): void {
    if (!room.readTo(seq)) return;
    this.client.read(room.id, room.read);
    this.#counted(room);
  }

  /** Appends something else than a message; throws a sentence. */
  async act<T extends AppendType>(type: T, payload: PayloadOf<T>): Promise<ReplyTo<T>> {
    try {
      return await this.client.append(type, payload).done;
    } catch (error) {
      throw error instanceof ParlorError ? error : new ParlorError('internal', String(error));
    }
  }

  async create(payload: PayloadOf<'room.create'>): Promise<RoomId> {
    const { room } = await this.act('room.create', payload);
    this.#add(room);
    return room.room_id;
  }

  async join(info: Received.Room): Promise<void> {
    if (!this.rooms.has(info.room_id)) await this.act('room.join', { room_id: info.room_id });
  }

  async setName(name: string): Promise<void> {
    const { user } = await this.client.request('user.update', { name: name || null });
    this.people.setName(this.me, user.name ?? '');
  }

  setStatus(status: Status): void {
    this.status.value = status;
    keep.setStatus(status);
    if (this.online.value) void this.client.request('presence.set', { status }).catch(() => undefined);
  }

  say(text: string): void { this.toast.value = text; }

  complain(error: unknown): void { this.say(error instanceof ParlorError ? troubleOf(error) : String(error)); }

  /** Ends the login here, and on the server where that can be reached. */
  async signOut(): Promise<void> {
    const login = this.#store.read();
    this.#store.write(undefined);
    this.end();
    if (login) await this.#accounts.logout(login).catch(() => undefined);
  }

  /** Lets go of everything. */
  end(): void {
    this.#keepReceipts();
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#asking);
    this.#untitle();
    this.client.stop();
    title(undefined, 0);
  }

  // What the client tells

  #listen(): void {
    const { client } = this;
    client.on('state', (state) => {
      this.connection.value = state;
      if (state.name !== 'online') this.people.lost();
      if (state.name === 'waiting') this.retryAt.value = Date.now() + state.wait_ms;
    });
    client.on('welcome', (welcome) => void this.#welcomed(welcome));
    client.on('event', (event) => this.#event(event));
    client.on('gap', ({ room_id, from, to }) => {
      this.rooms.get(room_id)?.gap(from, to);
      this.painter.soon(this.listed, this.shown);
    });
    client.on('reset', ({ room_id, head }) => {
      const room = this.rooms.get(room_id);
      if (!room) return;
      room.reset(head);
      this.#askCounts();
      if (room.open) void this.history.end(room);
    });
    client.on('settled', ({ entry, ack, error }) => {
      if (entry.type !== 'message.send') return;
      const message = entry as MessageEntry;
      if (error) {
        this.#failed(message, error);
        return;
      }
      const { seq } = ack as Received.SentAck;
      const room = this.rooms.get(message.payload.room_id);
      this.sendings.sent(message, seq, !room || room.window.covers(seq) || seq < room.window.low);
      this.painter.soon(this.shown);
    });
    client.on('notice', (frame) => this.#notice(frame));
  }

  async #welcomed(welcome: Received.Welcome): Promise<void> {
    const there = new Set<RoomId>();
    const take = (rooms: readonly Received.Room[]): void => {
      for (const info of rooms) {
        there.add(info.room_id);
        const room = this.rooms.get(info.room_id);
        if (room) room.describe(info);
        else this.#add(info);
      }
    };
    take(welcome.rooms);
    let { next } = welcome;
    try {
      while (next && there.size < ROOMS_MAX) {
        const page: Received.RoomsAck = await this.client.request('room.list', { after: next, limit: 200 });
        take(page.rooms);
        next = page.next;
      }
    } catch {
      // The next connection begins anew.
    }
    if (!next) for (const id of this.rooms.keys()) if (!there.has(id)) this.#gone(id);
    this.ready.value = true;
    this.people.welcome();
    this.people.watch(this.#peers(), new Set(this.#peers()));
    this.#enter();
    this.painter.soon(this.listed, this.shown);
    void this.#previews();
  }

  #event(event: EventFrame): void {
    const { room_id, sender } = event.payload;
    this.sendings.event(event);
    const room = this.rooms.get(room_id);
    if (!room) return;
    const looking = room.open && document.visibilityState === 'visible' && document.hasFocus();
    const said = event.type === 'message' && sender !== this.me;
    // Nobody is looking: what comes now is new when somebody does.
    if (room.open && said && !looking && (room.divider === undefined || room.read > room.divider)) room.divider = Math.max(room.read, event.payload.seq - 1);
    room.event(event);
    if (event.type === 'message' && said) this.#announce(room, event);
    this.painter.soon(this.listed);
    if (room.open) this.painter.soon(this.shown);
  }

  #announce(room: Room, event: MessageEvent): void {
    const { sender, sent_at, body, mentions } = event.payload;
    const named = mentions?.some((name) => name === this.me || name === '@room') ?? false;
    // A page that is looked at needs no notice, and a burst of messages no reading aloud.
    if (!room.open && !document.hidden) return;
    if (room.open) this.heard = event;
    if (!document.hidden || this.status.value === 'dnd' || !(named || room.info.kind !== 'channel')) return;
    const name = this.people.peekName(sender);
    const where = titleOf(room, (user) => this.people.peekName(user));
    notify(room.info.kind === 'direct' ? name : `${name} in ${where}`, () => previewOf(body, 140), room.id, sent_at, () => goTo(room.id));
  }

  #notice(frame: NoticeFrame): void {
    const now_ms = Date.now();
    switch (frame.type) {
      case 'room.added': this.#add(frame.payload.room); break;
      case 'room.removed': this.#removed(frame.payload); break;
      case 'receipt': {
        const { room_id, user_id, delivered, read } = frame.payload;
        const room = this.rooms.get(room_id);
        if (!room) break;
        if (user_id !== this.me) room.seen.note(user_id, delivered ?? 0, read ?? 0);
        else if (typeof read === 'number' && room.readTo(read)) this.#counted(room);
        if (room.open) this.painter.soon(this.shown);
        break;
      }
      case 'typing': {
        const { room_id, user_id, state, expires_in_ms } = frame.payload;
        const room = this.rooms.get(room_id);
        room?.types(user_id, state === 'start' ? now_ms + (expires_in_ms ?? 6_000) : undefined, now_ms);
        if (room?.open) this.painter.soon(this.shown);
        this.painter.soon(this.listed);
        break;
      }
      case 'presence': this.people.heard(frame.payload); break;
      default: break;
    }
  }

  #add(info: Received.Room): void {
    const known = this.rooms.get(info.room_id);
    if (known) {
      known.describe(info);
    } else {
      const room = new Room(info, this.me);
      for (const [user, delivered, read] of this.#receipts[info.room_id] ?? []) room.seen.note(user, delivered, read);
      this.rooms.set(info.room_id, room);
      if (this.ready.peek()) room.activity = Date.now();
      if (info.peer) this.people.watch([info.peer], new Set(this.#peers()));
    }
    if (this.openId.peek() === info.room_id) this.#enter();
    this.painter.soon(this.listed, this.shown);
  }

  #removed({ room_id, reason }: Received.RoomRemoved): void {
    const room = this.rooms.get(room_id);
    if (!room) return;
    if (room.open && reason !== 'left') this.say(reason === 'banned' ? 'You were banned from this room.' : 'You are no longer in this room.');
    this.#gone(room_id);
  }

  #gone(room_id: RoomId): void {
    this.rooms.delete(room_id);
    if (this.openId.peek() === room_id) this.openId.value = undefined;
    this.painter.soon(this.listed, this.shown);
  }

  /** Sees that the room that is to be shown has what it needs. */
  #enter(): void {
    const { room } = this;
    if (!room || !this.ready.peek()) return;
    if (!room.open) room.enter();
    room.trouble = undefined;
    void this.history.enter(room);
    void this.#members(room);
    this.painter.soon(this.shown, this.listed);
  }

  async #members(room: Room): Promise<void> {
    if (!room.members) {
      const members = new Map<UserId, Received.Member>();
      try {
        let after: string | null | undefined;
        do {
          const page: Received.MembersAck = await this.client.request('room.members', { room_id: room.id, limit: 200, ...(after && { after }) });
          for (const member of page.members) members.set(member.user_id, member);
          after = page.next;
        } while (after && members.size < MEMBERS_MAX);
      } catch {
        return;
      }
      room.members = members;
      this.painter.soon(this.shown);
    }
    if (room.open) this.people.watch([...room.members.keys()].filter((user) => user !== this.me), new Set(this.#peers()));
  }

  async #previews(): Promise<void> {
    const without = this.ordered().filter((room) => !room.last).sort((a, b) => b.unread - a.unread).slice(0, PREVIEWS_MAX);
    const next = async (): Promise<void> => {
      for (let room = without.shift(); room; room = without.shift()) {
        const { events } = await this.client.request('history.get', { room_id: room.id, limit: 5 });
        room.last ??= events.findLast((event): event is MessageEvent => event.type === 'message');
        const newest = events.at(-1);
        if (newest) {
          room.activity = Math.max(room.activity, Date.parse(newest.payload.sent_at) || 0);
          // What came while no page was open is here now: its senders see that.
          if (room.unread > 0) this.client.delivered(room.id, newest.payload.seq);
        }
        this.painter.soon(this.listed);
      }
    };
    await Promise.all(Array.from({ length: PREVIEWS_AT_ONCE }, next)).catch(() => undefined);
  }

  #loadOutbox(): void {
    for (const entry of this.client.outbox() as Entry[]) {
      if (entry.type === 'message.send') this.sendings.put({ entry: entry as MessageEntry, at_ms: 0, state: 'pending' });
    }
    this.painter.soon(this.shown);
  }

  #failed(entry: MessageEntry, error: ParlorError): void {
    this.sendings.failed_because(entry, troubleOf(error));
    this.#keepFailed();
    this.painter.soon(this.shown);
  }

  #keepFailed(): void {
    keep.setFailed(this.me, this.sendings.failed().slice(-FAILED_MAX).map(({ entry, at_ms, why }) => ({ entry, at_ms, why: why ?? '' })));
  }

  #counted(room: Room): void {
    if (room.inexact) this.#askCounts();
    this.painter.soon(this.listed);
    if (room.open) this.painter.soon(this.shown);
  }

  /** Asks for the counts that could not be carried on, a little later: more of it may be read by then. */
  #askCounts(): void {
    this.#asking ??= setTimeout(() => {
      this.#asking = undefined;
      for (const room of this.rooms.values()) {
        if (!room.inexact) continue;
        this.client.request('room.get', { room_id: room.id }).then(({ room: info }) => {
          room.count(info);
          this.painter.soon(this.listed);
        }, () => undefined);
      }
    }, ASK_COUNTS_MS);
  }

  #quiet(): void {
    const now_ms = Date.now();
    let quieter = false;
    for (const room of this.rooms.values()) quieter = room.quiet(now_ms) || quieter;
    if (quieter) this.painter.soon(this.shown, this.listed);
  }

  #keepReceipts(): void {
    const rooms = [...this.rooms.values()].sort((a, b) => b.activity - a.activity).slice(0, RECEIPT_ROOMS_MAX);
    const kept = Object.fromEntries(rooms.map((room) => [room.id, room.seen.kept()] as const).filter(([, people]) => people.length > 0));
    if (JSON.stringify(kept) === JSON.stringify(this.#receipts)) return;
    this.#receipts = kept;
    keep.setReceipts(this.me, kept);
  }

  #changed(room: Room): void {
    if (room.open) this.painter.soon(this.shown);
  }

  #titled(): void {
    void this.listed.value;
    let unread = 0;
    for (const room of this.rooms.values()) unread += room.unread;
    title(this.room && titleOf(this.room, this.nameOf), unread);
  }

  #peers(): UserId[] {
    return [...this.rooms.values()].flatMap(({ info: { peer } }) => (peer ? [peer] : []));
  }
}

/** What a body says, in one line of at most so many characters. */
export function previewOf(body: { readonly text?: string | null; readonly format?: string | null }, most: number): string {
  if (!body.text) return 'Something this page cannot show';
  return flat(understand(body.text.slice(0, most * 2), body.format === 'markdown' ? 'markdown' : 'plain', [])).slice(0, most);
}
