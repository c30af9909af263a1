/**
 * The whole client as a state machine: frames, wishes and the time go in, effects come out. No I/O, no clock, no chance of its own.
 *
 * Owns the parts, and which of them a frame concerns: `Connection`, `Timelines`, `Outbox`, `Requests`, `Receipts`, `Typing`.
 *
 * K-1  nothing is sent but `hello` before `welcome`, and nothing at all without a link;
 * K-2  who asked is answered once, and an entry of the outbox is settled once;
 * K-3  after `stopped` nothing of the server is delivered.
 *
 * Absent: the link, the timers and the storage (`shell.ts`), and who waits for an answer (`client.ts`).
 */
import { bytesOf, isEvent, read, write, type AppendType, type AskType, type EventFrame, type OtherFrame, type PayloadOf } from '../wire/frame.js';
import type { MsgId, RoomId, Seq } from '../wire/generated/both.js';
import type { Hello, RoomSubscribe } from '../wire/generated/client.js';
import type { HistoryAck, Room, SubscribedAck, Welcome, WelcomeLimits } from '../wire/generated/server.js';
import { ParlorError } from '../wire/refusal.js';
import type { Random } from './backoff.js';
import { Connection, type ConnectionEffect, type LinkEnd } from './connection.js';
import type { Effect, Notice, Settings, Stats } from './notices.js';
import { Outbox, least, type Entry } from './outbox.js';
import { Receipts, type ReceiptKind } from './receipts.js';
import { Requests, type Purpose, type Request } from './requests.js';
import { Timelines, type Delivery } from './timelines.js';
import { Typing } from './typing.js';

/** Pages of history asked for at once. */
const PAGES_MAX = 8;
/** Events of one page; the server gives no more. */
const PAGE_EVENTS = 200;
/** The frame size of a server that has not told another. */
const FRAME_BYTES = 65_536;
/** What is left free in `hello`. */
const HELLO_SPARE_BYTES = 256;

/** What is random: the waits, and ids of frames as UUIDs. */
export interface Chance {
  readonly random: Random;
  readonly id: () => MsgId;
}

export class ClientState {
  readonly stats: Stats = { connects: 0, repeated: 0, pages: 0, resent: 0, unreadable: 0 };
  readonly #settings: Settings;
  readonly #chance: Chance;
  readonly #connection: Connection;
  readonly #timelines: Timelines;
  readonly #outbox: Outbox;
  readonly #requests = new Requests();
  readonly #receipts = new Receipts();
  readonly #typing = new Typing();
  #effects: Effect[] = [];
  /** How many positions went with `hello`. */
  #resumed = 0;
  #device_id: string | undefined;
  #user_id: string | undefined;
  #limits: WelcomeLimits | undefined;
  /** The server's clock, in milliseconds since 1970, less this client's. */
  #server_ahead_ms = 0;

  constructor(settings: Settings, chance: Chance) {
    this.#settings = settings;
    this.#chance = chance;
    this.#connection = new Connection(chance.random);
    this.#timelines = new Timelines(settings.positions);
    this.#outbox = new Outbox(settings.outbox_max);
    this.#device_id = settings.device.id ?? undefined;
    this.#user_id = settings.user_id;
  }

  get online(): boolean { return this.#connection.online; }
  get stopped(): boolean { return this.#connection.name === 'stopped'; }
  get user_id(): string | undefined { return this.#user_id; }
  get device_id(): string | undefined { return this.#device_id; }

  /** Per room the position up to which everything was delivered. */
  positions(): Record<RoomId, Seq> { return this.#timelines.positions(); }

  /** What waits for an ack, oldest first. */
  entries(): Entry[] { return this.#outbox.entries(); }

  /** How many entries wait for an ack. */
  get outbox_size(): number { return this.#outbox.size; }

  /** Whether an entry of the outbox has this id. */
  holds(msg_id: MsgId): boolean { return this.#outbox.has(msg_id); }

  /** Takes the effects since the last time, in order. */
  take(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When `tick` is to be called without anything happening. */
  deadline(): number | undefined {
    const times = [this.#connection.deadline(), this.#requests.deadline()];
    if (!this.online) return least(times);
    const sent_at = this.#outbox.sentAt();
    times.push(this.#outbox.heldUntil(), this.#timelines.deadline(), this.#receipts.deadline());
    return least([...times, sent_at === undefined ? undefined : sent_at + this.#settings.reply_ms]);
  }

  // What the application wishes

  start(now: number): void { this.#connection.start(); this.#after(now); }
  stop(now: number): void { this.#connection.stop(); this.#after(now); }
  hurry(now: number): void { this.#connection.hurry(); this.#after(now); }
  doubt(now: number): void { this.#connection.doubt(now); this.#after(now); }

  /** Takes an entry, which the storage has already. Returns whether there was room for it. */
  append(now: number, entry: Entry): boolean {
    const taken = this.#outbox.push(entry);
    this.#after(now);
    return taken;
  }

  /** Takes an entry out again, unanswered; what was sent of it may have been taken by the server. */
  discard(msg_id: MsgId): Entry | undefined {
    const entry = this.#outbox.remove(msg_id);
    if (!entry) return undefined;
    const error = new ParlorError('discarded', 'taken out of the outbox');
    this.#effects.push({ do: 'forget', msg_id }, { do: 'answer', msg_id, ack: undefined, error });
    return entry;
  }

  /** Asks something; the answer is an effect. */
  ask<T extends AskType | AppendType>(now: number, msg_id: MsgId, type: T, payload: PayloadOf<T>): void {
    const text = write(type, payload, msg_id);
    const most = this.#limits?.frame_bytes ?? FRAME_BYTES;
    let error: ParlorError | undefined;
    if (this.stopped) error = new ParlorError('stopped', 'the client has stopped');
    // The server would close the connection.
    else if (bytesOf(text) > most) error = new ParlorError('too_large', `the frame is above ${most} bytes`);
    else if (!this.#ask(now, text, { for: 'application', type, payload }, msg_id)) error = new ParlorError('full', 'too many requests wait');
    if (error) this.#effects.push({ do: 'answer', msg_id, ack: undefined, error });
    this.#after(now);
  }

  /** Tells something now, or never. */
  tell<T extends AskType>(type: T, payload: PayloadOf<T>): void {
    if (this.online) this.#send(write(type, payload));
  }

  receipt(now: number, kind: ReceiptKind, room_id: RoomId, seq: Seq): void {
    this.#receipts.note(kind, room_id, seq, now);
  }

  typing(now: number, room_id: RoomId, what: 'start' | 'stop'): void {
    if (this.online && this.#typing[what](room_id, now)) this.tell(`typing.${what}`, { room_id });
  }

  // What the shell reports

  token(now: number, answer: string | ParlorError): void { this.#connection.token(now, answer); this.#after(now); }
  opened(now: number): void { this.#connection.opened(now); this.#after(now); }
  closed(now: number, end: LinkEnd): void { this.#connection.closed(now, end); this.#after(now); }
  lost(now: number, why: string): void { this.#connection.lost(now, why); this.#after(now); }
  alive(now: number): void { this.#connection.heard(now); }

  tick(now: number): void {
    const sent_at = this.#outbox.sentAt();
    if (this.online && sent_at !== undefined && sent_at + this.#settings.reply_ms <= now) {
      this.#connection.lost(now, 'the server does not answer');
    }
    for (const request of this.#requests.late(now)) this.#refused(now, request, new ParlorError('timeout', 'no reply in time'));
    this.#connection.tick(now);
    this.#after(now);
  }

  text(now: number, text: string): void {
    const { name } = this.#connection;
    if (name !== 'greeting' && name !== 'online') return;
    this.#connection.heard(now);
    const frame = read(text);
    if (!frame) this.stats.unreadable += 1;
    else if (isEvent(frame)) this.#event(now, frame);
    else this.#other(now, frame);
    this.#after(now);
  }

  checkInvariants(): void {
    this.#outbox.checkInvariants();
    this.#requests.checkInvariants();
    this.#timelines.checkInvariants();
  }

  // Frames

  #event(now: number, event: EventFrame): void {
    const deliveries = this.#timelines.event(event);
    if (deliveries.length === 0) this.stats.repeated += 1;
    this.#deliver(now, deliveries);
  }

  #deliver(now: number, deliveries: Delivery[]): void {
    for (const delivery of deliveries) {
      if (delivery.kind !== 'event') {
        const { kind, ...value } = delivery;
        this.#tell({ name: kind, value } as Notice);
        continue;
      }
      const { event } = delivery;
      this.#tell({ name: 'event', value: event });
      const { room_id, seq, sender } = event.payload;
      const heard = this.#settings.delivered_receipts && event.type === 'message' && sender !== this.#user_id;
      if (heard) this.#receipts.note('delivered', room_id, seq, now);
    }
  }

  #other(now: number, frame: OtherFrame): void {
    switch (frame.type) {
      case 'welcome': this.#welcomed(now, frame.payload); break;
      case 'ack': case 'pong': case 'error': this.#reply(now, frame); break;
      case 'gap': this.#deliver(now, this.#timelines.gap(frame.payload)); break;
      case 'live': this.#timelines.live(frame.payload.room_id, frame.payload.seq); this.#tell({ name: 'notice', value: frame }); break;
      case 'auth.expiring': this.#connection.expiring(now, Date.parse(frame.payload.expires_at) - this.#server_ahead_ms - now); break;
      case 'goaway': this.#connection.goaway(now, frame.payload.reconnect_in_ms); break;
      case 'room.added':
        this.#roomAdded(frame.payload.room);
        this.#tell({ name: 'notice', value: frame });
        break;
      case 'room.removed':
        this.#timelines.forget(frame.payload.room_id);
        this.#receipts.forget(frame.payload.room_id);
        this.#tell({ name: 'notice', value: frame });
        break;
      case 'receipt':
        if (frame.payload.user_id === this.#user_id) this.#known(frame.payload.room_id, frame.payload);
        this.#tell({ name: 'notice', value: frame });
        break;
      case 'head': case 'typing': case 'presence': case 'message.hidden':
        this.#tell({ name: 'notice', value: frame });
        break;
      default: break; // of a newer server
    }
  }

  #roomAdded(room: Room): void {
    this.#receipts.forget(room.room_id);
    this.#known(room.room_id, room);
    if (this.#settings.rooms === 'all') this.#timelines.begin(room.room_id, room.head);
  }

  #known(room_id: RoomId, { read, delivered }: { read?: Seq | null; delivered?: Seq | null }): void {
    if (typeof read === 'number') this.#receipts.known('read', room_id, read);
    if (typeof delivered === 'number') this.#receipts.known('delivered', room_id, delivered);
  }

  #welcomed(now: number, welcome: Welcome): void {
    if (this.#connection.name !== 'greeting') return;
    if (this.#user_id !== undefined && this.#user_id !== welcome.user_id) {
      this.#connection.refuse(`the token is of ${welcome.user_id}, not of ${this.#user_id}`);
      return;
    }
    this.#user_id = welcome.user_id;
    this.#device_id = welcome.device_id;
    this.#limits = welcome.limits;
    this.#server_ahead_ms = Date.parse(welcome.server_time) - now;
    this.stats.connects += 1;
    const held = this.#timelines.positions();
    for (const room of welcome.rooms) {
      if (room.mode === 'active') this.#timelines.begin(room.room_id, room.head);
      this.#known(room.room_id, room);
    }
    this.#connection.welcomed(now, welcome.heartbeat_ms);
    this.#tell({ name: 'welcome', value: welcome });
    for (const [room_id, after] of Object.entries(held).slice(this.#resumed)) {
      const msg_id = this.#chance.id();
      this.#ask(now, write('room.subscribe', { room_id, after }, msg_id), { for: 'resume', room_id, after }, msg_id);
    }
  }

  // Replies

  #reply(now: number, frame: Extract<OtherFrame, { type: 'ack' | 'pong' | 'error' }>): void {
    const error = frame.type === 'error' ? ParlorError.of(frame.payload) : undefined;
    if (this.#connection.name === 'greeting') {
      // Before `welcome` nothing else was asked, and of an unreadable `hello` the id may not come back.
      if (error) this.#connection.helloRefused(now, error);
      return;
    }
    const { msg_id } = frame;
    if (msg_id === undefined) return;
    if (this.#outbox.has(msg_id)) {
      this.#entryAnswered(now, msg_id, frame.payload, error);
      return;
    }
    const request = this.#requests.settle(msg_id);
    if (!request) return;
    if (error) this.#refused(now, request, error);
    else this.#answered(now, request, frame.payload);
  }

  #entryAnswered(now: number, msg_id: MsgId, ack: unknown, error: ParlorError | undefined): void {
    if (error && this.#outbox.refused(msg_id, error, now, this.#chance.random)) return;
    this.#settle(msg_id, error ? undefined : ack, error);
  }

  #answered(now: number, { msg_id, purpose }: Request, ack: unknown): void {
    switch (purpose.for) {
      case 'application':
        if (purpose.type === 'room.subscribe') this.#subscribed(purpose.payload as RoomSubscribe, ack as SubscribedAck);
        if (purpose.type === 'room.unsubscribe') this.#timelines.forget((purpose.payload as RoomSubscribe).room_id);
        this.#effects.push({ do: 'answer', msg_id, ack, error: undefined });
        break;
      case 'page': this.#deliver(now, this.#timelines.page(purpose.page, ack as HistoryAck)); break;
      case 'receipt': this.#receipts.acked(purpose.receipt, now); break;
      case 'refresh': this.#connection.renewed(); break;
      case 'resume': break;
    }
  }

  #refused(now: number, { msg_id, purpose }: Request, error: ParlorError): void {
    switch (purpose.for) {
      case 'application': this.#effects.push({ do: 'answer', msg_id, ack: undefined, error }); break;
      case 'page':
        this.#deliver(now, this.#timelines.refused(purpose.page, error.temporary, now, this.#chance.random));
        break;
      case 'receipt': this.#receipts.refused(purpose.receipt, error.temporary, error.retry_after_ms ?? 0, now); break;
      case 'resume':
        // Its next event shows the hole, which is read back; over a socket it is resumed.
        if (error.code === 'socket_only') break;
        if (error.temporary) {
          this.#connection.lost(now, error.message);
        } else {
          this.#timelines.forget(purpose.room_id);
          this.#tell({ name: 'notice', value: { type: 'room.removed', payload: { room_id: purpose.room_id, reason: 'not_member' } } });
        }
        break;
      case 'refresh':
        if (error.temporary) this.#connection.notRenewed(now, error.retry_after_ms);
        break;
    }
  }

  /** What the server says of a passive room is no event, and with a position it would be active after a reconnect. */
  #subscribed({ room_id, after, mode }: RoomSubscribe, ack: SubscribedAck): void {
    if (mode === 'passive') this.#timelines.forget(room_id);
    else if (typeof after === 'number') this.#timelines.put(room_id, Math.min(after, ack.head));
    else this.#timelines.begin(room_id, ack.head);
  }

  // What goes out

  /** Does what the connection says, then sends what is due. */
  #after(now: number): void {
    for (let effects = this.#connection.take(); effects.length > 0; effects = this.#connection.take()) {
      for (const effect of effects) this.#connectionDoes(now, effect);
    }
    if (!this.online) return;
    for (const { room_id, after, turn } of this.#timelines.due(now, PAGES_MAX - this.#requests.count('page'))) {
      this.stats.pages += 1;
      const msg_id = this.#chance.id();
      this.#ask(now, write('history.get', { room_id, after, limit: PAGE_EVENTS }, msg_id), { for: 'page', page: { room_id, after, turn } }, msg_id);
    }
    for (const receipt of this.#receipts.due(now)) {
      const { kind, room_id, seq } = receipt;
      const msg_id = this.#chance.id();
      this.#ask(now, write(`receipt.${kind}`, { room_id, seq }, msg_id), { for: 'receipt', receipt }, msg_id);
    }
    this.#sendEntries(now);
    for (const request of this.#requests.due()) this.#send(request.text);
  }

  #sendEntries(now: number): void {
    const limits = this.#limits ?? { body_bytes: Infinity, frame_bytes: Infinity };
    for (const due of this.#outbox.due(now, limits)) {
      if ('error' in due) {
        this.#settled(due.entry, undefined, due.error);
        continue;
      }
      if (due.again) this.stats.resent += 1;
      this.#send(due.text);
    }
  }

  #connectionDoes(now: number, effect: ConnectionEffect): void {
    switch (effect.do) {
      case 'greet': this.#greet(effect.token); break;
      case 'refresh': {
        const msg_id = this.#chance.id();
        const taken = this.#ask(now, write('auth.refresh', { token: effect.token }, msg_id), { for: 'refresh' }, msg_id);
        if (!taken) this.#connection.notRenewed(now);
        break;
      }
      case 'ping': this.#send(write('ping', {})); break;
      case 'down': this.#down(now); break;
      case 'state':
        this.#tell({ name: 'state', value: effect.state });
        if (effect.state.name === 'stopped') this.#answerAll(new ParlorError('stopped', 'the client has stopped'));
        break;
      default: this.#effects.push(effect);
    }
  }

  /** Says `hello` with as many positions as a frame holds; the other rooms follow by `room.subscribe`. */
  #greet(token: string): void {
    const { device, rooms, presence } = this.#settings;
    const hello: Hello = { token, device: this.#device_id === undefined ? device : { ...device, id: this.#device_id }, rooms, presence };
    let spare = (this.#limits?.frame_bytes ?? FRAME_BYTES) - HELLO_SPARE_BYTES - bytesOf(JSON.stringify(hello));
    const held = Object.entries(this.#timelines.positions());
    const over = held.findIndex((entry) => (spare -= bytesOf(JSON.stringify(entry)) - 1) < 0);
    this.#resumed = over < 0 ? held.length : over;
    if (this.#resumed > 0) hello.resume = { rooms: Object.fromEntries(held.slice(0, this.#resumed)) };
    this.#send(write('hello', hello, this.#chance.id()));
  }

  #down(now: number): void {
    this.#outbox.connectionLost();
    this.#timelines.connectionLost();
    this.#receipts.connectionLost(now);
    this.#typing.connectionLost();
    for (const { msg_id, purpose } of this.#requests.connectionLost()) {
      if (purpose.for !== 'application') continue;
      const error = new ParlorError('disconnected', 'the connection was lost before the reply came');
      this.#effects.push({ do: 'answer', msg_id, ack: undefined, error });
    }
  }

  /** Answers who waits; what is in the outbox stays there. */
  #answerAll(error: ParlorError): void {
    for (const { msg_id } of this.#requests.clear()) this.#effects.push({ do: 'answer', msg_id, ack: undefined, error });
    for (const { msg_id } of this.#outbox.entries()) this.#effects.push({ do: 'answer', msg_id, ack: undefined, error });
  }

  #ask(now: number, text: string, purpose: Purpose, msg_id: MsgId): boolean {
    return this.#requests.push(msg_id, text, purpose, now + this.#settings.reply_ms);
  }

  #settle(msg_id: MsgId, ack: unknown, error: ParlorError | undefined): void {
    const entry = this.#outbox.remove(msg_id);
    if (entry) this.#settled(entry, ack, error);
  }

  #settled(entry: Entry, ack: unknown, error: ParlorError | undefined): void {
    const { msg_id } = entry;
    this.#effects.push({ do: 'forget', msg_id }, { do: 'answer', msg_id, ack, error });
    this.#tell({ name: 'settled', value: { entry, ack, error } });
  }

  #tell(notice: Notice): void { this.#effects.push({ do: 'tell', notice }); }
  #send(text: string): void { this.#effects.push({ do: 'send', text }); }
}
