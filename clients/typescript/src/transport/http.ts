/**
 * Frames over HTTP: `hello` becomes a call that turns positions into a cursor, then server-sent events or long poll bring what the
 * server says, and `POST /v1/frames` takes what the client says.
 *
 * H-1  the cursor moves when everything before it was handed out, and never otherwise: a cut loses nothing;
 * H-2  one call with frames is under way, with those that came first, so that they take effect in order and the outbox's once;
 * H-3  at most `QUEUE_MAX` frames wait for it. When full, a frame is lost, which the client notices by the missing reply.
 *
 * Absent: frames that only a socket can carry, which are refused `socket_only`; and when to come here (`fallback.ts`).
 * Source: PROTOCOL, section "HTTP".
 */
import type { Carriers, Way } from '../state/carriers.js';
import type { LinkEnd } from '../state/connection.js';
import type { Link, LinkEvents } from '../transport.js';
import { bytesOf, read } from '../wire/frame.js';
import type { MsgId } from '../wire/generated/both.js';
import type { Hello } from '../wire/generated/client.js';
import type { LocalCode } from '../wire/refusal.js';
import { StreamReader } from './sse.js';

/** What a link over HTTP is made with. */
export interface HttpPorts {
  readonly server: string;
  readonly carriers: Carriers;
  /** Milliseconds since anything, never going back. */
  readonly now: () => number;
  readonly times: HttpTimes;
}

/** How long things may take, in milliseconds. */
export interface HttpTimes {
  /** The first answer; the attempt at a socket after it has to fit into what is left for `welcome`. */
  readonly first: number;
  /** An answer to frames. */
  readonly reply: number;
  /** What a poll asks the server to wait: less than after what the client asks whether it is there. */
  readonly poll: number;
  /** Silence of a stream, which has a comment every 15 s; after it another is opened from the same cursor. */
  readonly silence: number;
  /** A stream that lasted this long was a success. */
  readonly stable: number;
  /** Between two polls that were answered empty at once. */
  readonly pace: number;
}

export const HTTP_TIMES: HttpTimes = { first: 5_000, reply: 15_000, poll: 20_000, silence: 20_000, stable: 5_000, pace: 1_000 };

/** Events of one answer. */
const EVENTS_MAX = 200;
const QUEUE_MAX = 2_000;
/** How long no stream is tried after one of which nothing came, in milliseconds. */
const WITHHELD_MS = 6 * 3_600_000;
/** Of one call; the server takes no more, and no more than 1 MiB. */
const BATCH_FRAMES = 100;
const BATCH_BYTES = 64 * 1024;
/** Streams in a row that were cut at once, after which there are none to be had. */
const SHORT_MAX = 2;

const SOCKET_ONLY = new Set(['room.subscribe', 'room.unsubscribe', 'presence.watch', 'presence.unwatch']);

interface Frame {
  readonly type: string;
  readonly msg_id?: MsgId;
  readonly payload?: { readonly room_id?: string } & Record<string, unknown>;
}

interface Polled {
  readonly events: Frame[];
  readonly cursor: string;
  readonly more?: boolean;
}

/** An answer that is no success. */
class Refused extends Error {
  constructor(readonly status: number, message: string, readonly code?: string, readonly retry_after_ms?: number) {
    super(message);
  }

  /** Whether the server does not have what was asked for, as opposed to not now. */
  get absent(): boolean {
    if (this.status === 503) return this.retry_after_ms === undefined;
    return this.status === 501 || (this.status < 500 && ![401, 408, 425, 429].includes(this.status));
  }
}

/** Nothing came in time. */
class Silence extends Error {}

/** How a link over HTTP ended; `answered` when another way would end the same. */
export type HttpEnd = LinkEnd & { readonly answered: boolean };

/** What happens to a link over HTTP; it is open from the start. */
export interface HttpEvents extends Pick<LinkEvents, 'text' | 'alive'> {
  /** Comes before the frame `welcome`. */
  welcomed(): void;
  closed(end: HttpEnd): void;
}

export class HttpLink implements Link {
  readonly #ports: HttpPorts;
  readonly #events: HttpEvents;
  readonly #calls = new Set<AbortController>();
  #over = false;
  #welcomed = false;
  #token = '';
  #device: string | undefined;
  #cursor = '';
  /** Rooms to deliver; undefined for all. */
  #wanted: Set<string> | undefined;
  #queue: { text: string; msg_id: MsgId | undefined }[] = [];
  #posting: Promise<void> | undefined;
  /** Whether a stream has carried anything. */
  #streamed = false;
  /** Streams in a row that ended at once. */
  #short = 0;

  constructor(ports: HttpPorts, events: HttpEvents) {
    this.#ports = ports;
    this.#events = events;
  }

  get token(): string { return this.#token; }

  /** Resolves when no frame waits for an answer. */
  idle(): Promise<void> { return this.#posting ?? Promise.resolve(); }

  send(text: string): void {
    const { type, msg_id, payload } = JSON.parse(text) as Frame;
    if (type === 'hello') {
      void this.#run(payload as Hello);
    } else if (type === 'auth.refresh') {
      // Each call has the token with it: there is nothing to be told to the server.
      this.#token = String(payload?.token);
      this.#answer({ type: 'ack', msg_id, payload: {} });
    } else if (SOCKET_ONLY.has(type)) {
      const code: LocalCode = 'socket_only';
      this.#answer({ type: 'error', msg_id, payload: { code, message: `${type} needs a socket, and there is none now` } });
    } else if (this.#queue.length < QUEUE_MAX) {
      this.#queue.push({ text, msg_id });
      this.#posting ??= this.#post();
    }
  }

  drop(): void {
    this.#over = true;
    this.#calls.forEach((call) => call.abort());
  }

  async #run({ token, device, rooms, resume }: Hello): Promise<void> {
    this.#token = token ?? '';
    this.#device = device?.id ?? undefined;
    // These calls deliver every room of the user.
    if (rooms && rooms !== 'all') this.#wanted = new Set([...(rooms === 'none' ? [] : rooms), ...Object.keys(resume?.rooms ?? {})]);
    try {
      const first = await this.#ask({ resume, wait_ms: 0 }, this.#ports.times.first);
      if (!first.events.some(({ type }) => type === 'welcome')) throw new Refused(501, 'no welcome came');
      this.#take(first);
      while (!this.#over) {
        if (this.#usable('stream')) await this.#stream();
        else await this.#poll();
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  // What the server says

  async #poll(): Promise<void> {
    const { now, times } = this.#ports;
    const asked = now();
    const polled = await this.#ask({ cursor: this.#cursor, wait_ms: times.poll }, times.poll + times.reply);
    this.#take(polled);
    if (polled.events.length > 0 || polled.more) return;
    const early = times.pace - (now() - asked);
    if (early > 0) await new Promise((done) => { setTimeout(done, early); });
  }

  async #ask(body: object, within_ms: number): Promise<Polled> {
    const polled = await this.#call('/v1/events', within_ms, JSON.stringify({ ...body, limit: EVENTS_MAX })) as Polled;
    if (!Array.isArray(polled?.events) || typeof polled.cursor !== 'string') throw new Refused(501, 'the answer is no list of events');
    return polled;
  }

  #take({ events, cursor }: Polled): void {
    this.#events.alive();
    for (const frame of events) this.#hand(frame, JSON.stringify(frame));
    if (!this.#over) this.#cursor = cursor;
  }

  /** Reads a stream until it ends. Returns when another may follow, or polling. */
  async #stream(): Promise<void> {
    const { carriers, now, times } = this.#ports;
    const began = now();
    const from = this.#cursor;
    let bytes = -1;
    try {
      await this.#bounded(times.silence, async (signal, touch) => {
        const reader = await this.#openStream(signal);
        bytes = 0;
        await this.#read(reader, (length) => {
          bytes += length;
          touch();
        });
      });
    } catch (error) {
      if (this.#over) return;
      // Something on the way keeps it to itself: each try holds the events up for a while, so there are few.
      if (error instanceof Silence && bytes <= 0) carriers.bar('stream', now(), WITHHELD_MS);
      else if (error instanceof Refused && error.absent && !(this.#streamed && error.status === 503)) carriers.bar('stream', now());
      else if (error instanceof Refused || bytes < 0) throw error;
    }
    if (bytes > 0) this.#streamed = true;
    // One that brings nothing new and ends at once would be asked for without end.
    this.#short = this.#cursor !== from || now() - began >= times.stable ? 0 : this.#short + 1;
    if (this.#short >= SHORT_MAX) {
      this.#short = 0;
      carriers.bar('stream', now());
    }
  }

  async #openStream(signal: AbortSignal): Promise<ReadableStreamDefaultReader<Uint8Array>> {
    const response = await this.#fetch('/v1/events/stream', { headers: { accept: 'text/event-stream', 'last-event-id': this.#cursor }, signal });
    if (!response.ok) throw await refusal(response);
    const stream = response.headers.get('content-type')?.startsWith('text/event-stream') ? response.body : undefined;
    if (!stream) throw new Refused(501, 'the answer is no stream');
    return stream.getReader();
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>, came: (bytes: number) => void): Promise<void> {
    const events = new StreamReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#over) return;
      came(value.length);
      this.#events.alive();
      for (const { data, id } of events.push(decoder.decode(value, { stream: true }))) {
        this.#hand(read(data) as Frame | undefined, data);
        if (this.#over) return;
        if (id !== undefined) this.#cursor = id;
      }
    }
  }

  #hand(frame: Frame | undefined, text: string): void {
    if (this.#over) return;
    if (frame?.type === 'welcome') {
      if (this.#welcomed) return;
      this.#welcomed = true;
      this.#events.welcomed();
    }
    const room_id = frame?.payload?.room_id;
    const wanted = room_id === undefined || frame?.type === 'room.removed' || this.#wanted?.has(room_id) !== false;
    if (wanted) this.#events.text(text);
  }

  // What the client says

  async #post(): Promise<void> {
    // What is said in one go goes in one call.
    await Promise.resolve();
    while (this.#queue.length > 0 && !this.#over) {
      const batch = this.#batch();
      try {
        const replies = await this.#call('/v1/frames', this.#ports.times.reply, `[${batch.map(({ text }) => text).join()}]`) as Frame[];
        for (const reply of replies) if (!this.#over) this.#events.text(JSON.stringify(reply));
      } catch (error) {
        if (this.#over) return;
        // Only what was refused for now says nothing about the call itself, and of one frame that it is too large.
        const about = error instanceof Refused && (error.status === 429 || error.status === 503 || (error.status === 413 && batch.length === 1));
        if (!about || error.code === undefined) {
          this.#failed(error);
          return;
        }
        const { code, message, retry_after_ms } = error;
        for (const { msg_id } of batch) this.#answer({ type: 'error', msg_id, payload: { code, message, retry_after_ms } });
      }
    }
    this.#posting = undefined;
  }

  #batch(): { text: string; msg_id: MsgId | undefined }[] {
    let bytes = 0;
    const over = this.#queue.findIndex(({ text }, at) => (bytes += bytesOf(text) + 1) > BATCH_BYTES && at > 0);
    return this.#queue.splice(0, Math.min(BATCH_FRAMES, over < 0 ? BATCH_FRAMES : over));
  }

  /** Answers what the server is not asked. */
  #answer(frame: Frame): void {
    if (frame.msg_id !== undefined) queueMicrotask(() => { if (!this.#over) this.#events.text(JSON.stringify(frame)); });
  }

  // Calls

  #usable(way: Way): boolean {
    return this.#ports.carriers.usable(way, this.#ports.now());
  }

  #failed(error: unknown): void {
    if (this.#over) return;
    this.drop();
    const reason = error instanceof Error ? error.message : String(error);
    if (!(error instanceof Refused)) {
      this.#events.closed({ reason, answered: this.#welcomed });
      return;
    }
    // What has carried is known to be there: a node that drains or has too much to do answers 503 as well.
    if (error.absent && !(this.#welcomed && error.status === 503)) this.#ports.carriers.bar('poll', this.#ports.now());
    const { status, retry_after_ms } = error;
    const plain = status === 401 || status === 429 || status >= 500;
    const answered = this.#welcomed || (!error.absent && status < 500);
    this.#events.closed({ reason, answered, ...(plain && { status }), ...(retry_after_ms !== undefined && { retry_after_ms }) });
  }

  #call(path: string, within_ms: number, body: string): Promise<unknown> {
    return this.#bounded(within_ms, async (signal) => {
      const response = await this.#fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal });
      if (!response.ok) throw await refusal(response);
      return response.json();
    });
  }

  #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...init.headers as Record<string, string>, authorization: `Bearer ${this.#token}`, ...(this.#device && { 'parlor-device': this.#device }) };
    return fetch(new URL(path, this.#ports.server), { ...init, headers, cache: 'no-store' });
  }

  /** Runs a call that is aborted with the link, or when nothing came for so long. */
  async #bounded<T>(silence_ms: number, run: (signal: AbortSignal, touch: () => void) => Promise<T>): Promise<T> {
    const call = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const touch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => call.abort(new Silence('no answer in time')), silence_ms);
    };
    touch();
    this.#calls.add(call);
    try {
      return await run(call.signal, touch);
    } finally {
      clearTimeout(timer);
      this.#calls.delete(call);
    }
  }
}

/** Reads a problem of RFC 9457, or whatever else refused. */
async function refusal(response: Response): Promise<Refused> {
  const problem = await response.json().catch(() => undefined) as { code?: string; detail?: string; title?: string; retry_after_ms?: number } | undefined;
  const seconds = response.headers.get('retry-after');
  const later = problem?.retry_after_ms ?? (seconds !== null && Number.isFinite(Number(seconds)) ? Number(seconds) * 1_000 : undefined);
  return new Refused(response.status, problem?.detail ?? problem?.title ?? `status ${response.status}`, problem?.code, later);
}
