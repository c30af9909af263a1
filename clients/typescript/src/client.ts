/**
 * The client as an application uses it, and the thin shell around its state: performs the effects, keeps the one timer.
 *
 * S-1  effects are performed in order, also those of what a listener calls;
 * S-2  an entry is in the storage before it is sent; a storage that refuses stops nothing: the entry lives as long as the client;
 * S-3  of a link that was let go of nothing is heard.
 *
 * Absent: decisions; they are in `state/`.
 */
import { ClientState, type Chance } from './state/client.js';
import type { ConnectionState, LinkEnd, TokenNeed } from './state/connection.js';
import type { Effect, NoticeName, Notices, Settings, Stats } from './state/notices.js';
import type { Entry } from './state/outbox.js';
import type { OutboxStorage } from './storage.js';
import type { TokenSource } from './tokens.js';
import type { Link, Transport } from './transport.js';
import type { AppendType, AskType, PayloadOf } from './wire/frame.js';
import type { MessageBody, MsgId, RoomId, Seq } from './wire/generated/both.js';
import type { MessageSend } from './wire/generated/client.js';
import { ParlorError } from './wire/refusal.js';
import type { ReplyTo } from './wire/replies.js';

/** What a client may be told; all but `tokens` may be left out. */
export interface ClientOptions extends Partial<Settings> {
  readonly tokens: TokenSource;
}

/** What stands behind the client. */
export interface Ports {
  readonly transport: Transport;
  readonly storage: OutboxStorage;
  readonly chance: Chance;
  /** Milliseconds since anything, never going back. */
  readonly now: () => number;
}

/** A frame on its way to a timeline. */
export interface Sending<T extends AppendType> {
  /** What it is known by: in the outbox, and as `client_msg_id` of its event. */
  readonly msg_id: MsgId;
  /** Whether the storage has it, once it does or has refused it: then it outlives what the storage outlives. False where the outbox did not take it. */
  readonly kept: Promise<boolean>;
  /** Its ack, or a `ParlorError`; not to look at it is no fault. */
  readonly done: Promise<ReplyTo<T>>;
}

interface Waiter {
  readonly resolve: (ack: never) => void;
  readonly reject: (error: ParlorError) => void;
}

type Listeners = { [N in NoticeName]: Set<(value: Notices[N]) => void> };

export class Client {
  readonly #state: ClientState;
  readonly #ports: Ports;
  readonly #tokens: TokenSource;
  readonly #outbox_max: number;
  readonly #listeners: Listeners = {
    state: new Set(), welcome: new Set(), event: new Set(), gap: new Set(), reset: new Set(), settled: new Set(), notice: new Set(),
  };
  readonly #waiters = new Map<MsgId, Waiter>();
  #link: Link | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #said: ConnectionState = { name: 'idle' };
  /** The storage is asked one thing at a time; first of all, what it has. */
  #stored: Promise<void>;
  /** Entries on their way into the storage. */
  readonly #storing = new Map<MsgId, Entry>();
  #unstored = 0;

  constructor(options: ClientOptions, ports: Ports) {
    const { tokens, ...settings } = options;
    this.#ports = ports;
    this.#tokens = tokens;
    this.#outbox_max = settings.outbox_max ?? 1_000;
    this.#state = new ClientState({
      device: {}, rooms: 'all', presence: 'online', positions: {}, user_id: undefined, delivered_receipts: true, reply_ms: 15_000,
      ...Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)), outbox_max: this.#outbox_max,
    }, ports.chance);
    this.#stored = this.#load();
  }

  /** Where the connection stands. */
  get state(): ConnectionState { return this.#said; }

  /** Whose client this is, once it is known. */
  get user_id(): string | undefined { return this.#state.user_id; }

  /** How often what happened; `unstored` counts what the storage refused. */
  get stats(): Readonly<Stats> & { readonly unstored: number } { return { ...this.#state.stats, unstored: this.#unstored }; }

  /** Hears notices of one name; returns how to end it. Listeners are called one after the other; what one throws is reported as uncaught. */
  on<N extends NoticeName>(name: N, listener: (value: Notices[N]) => void): () => void {
    this.#listeners[name].add(listener);
    return () => this.#listeners[name].delete(listener);
  }

  /** Begins to connect, from nothing or after an end. Resolves once what was kept of the outbox is in it. */
  async start(): Promise<void> {
    await this.#stored;
    this.#input((now) => this.#state.start(now));
  }

  /** Ends. What is in the outbox stays, here and in the storage; who waits for it is refused `stopped`. */
  stop(): void {
    this.#input((now) => this.#state.stop(now));
  }

  /** Connects now instead of at the end of the wait: the network is back, or a person asks. */
  hurry(): void {
    this.#input((now) => this.#state.hurry(now));
  }

  /** Asks the server for a sign of life, where it counts as connected: the network may have gone, or be another one. */
  doubt(): void {
    this.#input((now) => this.#state.doubt(now));
  }

  /** Sends a message; a text stands for a body with that text. */
  send(room_id: RoomId, body: MessageBody | string, more: Omit<MessageSend, 'room_id' | 'body'> = {}): Sending<'message.send'> {
    return this.append('message.send', { ...more, room_id, body: typeof body === 'string' ? { text: body } : body });
  }

  /**
   * Puts a frame that appends into the outbox, from where it goes out when it can. It is refused `full` when `outbox_max` entries
   * wait, and `conflict` when one of them has this `msg_id`.
   */
  append<T extends AppendType>(type: T, payload: PayloadOf<T>, msg_id: MsgId = this.#ports.chance.id()): Sending<T> {
    let kept = Promise.resolve(false);
    const done = new Promise<ReplyTo<T>>((resolve, reject) => {
      const taken = this.#state.outbox_size + this.#storing.size;
      if (this.#storing.has(msg_id) || this.#state.holds(msg_id)) reject(new ParlorError('conflict', 'the outbox has a frame with this msg_id'));
      else if (taken >= this.#outbox_max) reject(new ParlorError('full', `${taken} frames wait already`));
      else kept = this.#keep({ msg_id, type, payload } as Entry, { resolve, reject });
    });
    done.catch(() => undefined);
    return { msg_id, kept, done };
  }

  /** Asks the server. Without a connection the question waits for one. Throws a `ParlorError`. */
  request<T extends AskType>(type: T, payload: PayloadOf<T>): Promise<ReplyTo<T>> {
    const msg_id = this.#ports.chance.id();
    return new Promise((resolve, reject) => {
      this.#waiters.set(msg_id, { resolve, reject });
      this.#input((now) => this.#state.ask(now, msg_id, type, payload));
    });
  }

  /** Notes that the user has read everything up to `seq`; the server hears of many such notes once. */
  read(room_id: RoomId, seq: Seq): void {
    this.#input((now) => this.#state.receipt(now, 'read', room_id, seq));
  }

  /** Notes that everything up to `seq` was delivered; done by the client itself unless `delivered_receipts` is off. */
  delivered(room_id: RoomId, seq: Seq): void {
    this.#input((now) => this.#state.receipt(now, 'delivered', room_id, seq));
  }

  /** Notes a keystroke; to be called for each. */
  typing(room_id: RoomId): void {
    this.#input((now) => this.#state.typing(now, room_id, 'start'));
  }

  /** Notes that nothing is typed any more. */
  typingStopped(room_id: RoomId): void {
    this.#input((now) => this.#state.typing(now, room_id, 'stop'));
  }

  /** What waits for an ack, oldest first. */
  outbox(): Entry[] {
    return [...this.#state.entries(), ...this.#storing.values()];
  }

  /** Takes a frame out of the outbox. It may be in the timeline all the same, when it was sent. */
  discard(msg_id: MsgId): void {
    this.#later(async () => this.#input(() => this.#state.discard(msg_id)));
  }

  /** Per room the position up to which every event was handed to the listeners: what to give as `positions` the next time. */
  positions(): Record<RoomId, Seq> {
    return this.#state.positions();
  }

  async #load(): Promise<void> {
    let entries: Entry[] = [];
    try {
      entries = await this.#ports.storage.load();
    } catch {
      this.#unstored += 1;
    }
    for (const entry of entries) this.#input((now) => this.#state.append(now, entry));
  }

  #keep(entry: Entry, waiter: Waiter): Promise<boolean> {
    const { msg_id } = entry;
    let kept = false;
    this.#waiters.set(msg_id, waiter);
    this.#storing.set(msg_id, entry);
    this.#later(async () => {
      try {
        await this.#ports.storage.put(entry);
        kept = true;
      } catch {
        this.#unstored += 1;
      }
      this.#storing.delete(msg_id);
      this.#input((now) => this.#state.append(now, entry));
    });
    return this.#stored.then(() => kept);
  }

  #later(run: () => Promise<void>): void {
    this.#stored = this.#stored.then(run).catch(report);
  }

  /** Tells the state something, then does what it says. */
  #input(tell: (now: number) => void): void {
    tell(this.#ports.now());
    if (this.#running) return;
    this.#running = true;
    try {
      for (let effects = this.#state.take(); effects.length > 0; effects = this.#state.take()) {
        for (const effect of effects) this.#perform(effect);
      }
    } finally {
      this.#running = false;
    }
    clearTimeout(this.#timer);
    const deadline = this.#state.deadline();
    if (deadline === undefined) return;
    this.#timer = setTimeout(() => this.#input((now) => this.#state.tick(now)), Math.max(0, deadline - this.#ports.now()));
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case 'ask_token': this.#askToken(effect.need); break;
      case 'open': this.#open(); break;
      case 'send': this.#link?.send(effect.text); break;
      case 'drop':
        this.#link?.drop(effect.code);
        this.#link = undefined;
        break;
      case 'tell': {
        const { name, value } = effect.notice;
        if (name === 'state') this.#said = value;
        this.#tell(name, value as never);
        break;
      }
      case 'answer': {
        const waiter = this.#waiters.get(effect.msg_id);
        this.#waiters.delete(effect.msg_id);
        if (effect.error) waiter?.reject(effect.error);
        else waiter?.resolve(effect.ack as never);
        break;
      }
      case 'forget':
        this.#later(() => this.#ports.storage.remove(effect.msg_id).catch(() => { this.#unstored += 1; }));
        break;
    }
  }

  #tell<N extends NoticeName>(name: N, value: Notices[N]): void {
    for (const listener of [...this.#listeners[name]]) {
      try {
        listener(value);
      } catch (error) {
        report(error);
      }
    }
  }

  #askToken(need: TokenNeed): void {
    const answer = (token: string | ParlorError) => this.#input((now) => this.#state.token(now, token));
    this.#tokens.token(need).then(answer, (error: unknown) => {
      answer(error instanceof ParlorError ? error : new ParlorError('unauthorized', String(error)));
    });
  }

  #open(): void {
    let link: Link | undefined;
    const closed = (end: LinkEnd) => {
      if (this.#link !== link) return;
      this.#link = undefined;
      this.#input((now) => this.#state.closed(now, end));
    };
    try {
      link = this.#ports.transport.open({
        opened: () => { if (this.#link === link) this.#input((now) => this.#state.opened(now)); },
        text: (text) => { if (this.#link === link) this.#input((now) => this.#state.text(now, text)); },
        alive: () => { if (this.#link === link) this.#input((now) => this.#state.alive(now)); },
        closed,
      });
    } catch (error) {
      // A browser refuses some addresses outright.
      queueMicrotask(() => closed({ reason: String(error) }));
    }
    this.#link = link;
  }
}

/** Lets an error of the application end up where its uncaught errors do, without ending what called it. */
function report(error: unknown): void {
  queueMicrotask(() => { throw error; });
}
