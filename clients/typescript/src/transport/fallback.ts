/**
 * The socket where it can be had, and HTTP where it cannot: one transport around another.
 *
 * ```text
 *              carried something
 *   socket ◄───────────────────────── HTTP, with the socket tried now and then beside it
 *      │                               ▲  │
 *      └── failed twice, or for good ──┘  └── the server does not have it: the socket after all
 * ```
 *
 * F-1  with a server that has no events over HTTP each link ends as its socket does, after one call in ten minutes;
 * F-2  what HTTP carried is resumed over the socket, and the other way round, from the positions of the client's next `hello`.
 *
 * Absent: which way is next (`state/carriers.ts`).
 */
import { systemNow } from '../chance.js';
import { Carriers } from '../state/carriers.js';
import { CONNECT_MS, type LinkEnd } from '../state/connection.js';
import type { Random } from '../state/backoff.js';
import type { Link, LinkEvents, Transport } from '../transport.js';
import { HTTP_TIMES, HttpLink, type HttpPorts, type HttpTimes } from './http.js';

/** What stands behind the transport; all may be left out. */
export interface FallbackPorts {
  readonly now?: () => number;
  readonly random?: Random;
  readonly times?: Partial<HttpTimes>;
}

interface Parts extends HttpPorts {
  readonly socket: Transport;
  readonly random: Random;
}

export class FallbackTransport implements Transport {
  readonly #parts: Parts;

  /** Goes to the server at this address, by `socket` where it can. */
  constructor(server: string, socket: Transport, { now = systemNow, random = Math.random, times = {} }: FallbackPorts = {}) {
    this.#parts = { server, socket, random, now, times: { ...HTTP_TIMES, ...times }, carriers: new Carriers() };
  }

  open(events: LinkEvents): Link {
    return new FallbackLink(this.#parts, events);
  }
}

class FallbackLink implements Link {
  readonly #parts: Parts;
  #events: LinkEvents | undefined;
  #link: Link | undefined;
  /** Whether the socket is the link, and has carried nothing yet. */
  #waiting = false;
  #opened = false;
  #hello: string | undefined;
  /** The socket that is tried beside HTTP, and when. */
  #beside: Link | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: Parts, events: LinkEvents) {
    this.#parts = parts;
    this.#events = events;
    if (parts.carriers.socketAway(parts.now())) this.#http(undefined);
    else this.#socket(true);
  }

  send(text: string): void {
    // The first frame is `hello`, and whatever becomes the link after the first says it again.
    this.#hello ??= text;
    this.#link?.send(text);
  }

  drop(code?: number): void {
    // Without a code it was given up as dead.
    if (this.#waiting && code === undefined) this.#parts.carriers.socketFailed({}, this.#parts.now());
    this.#waiting = false;
    this.#end();
    this.#link?.drop(code);
  }

  #socket(first: boolean): void {
    const { carriers, now, socket } = this.#parts;
    this.#waiting = true;
    this.#link = socket.open({
      opened: () => this.#open(),
      text: (text) => {
        if (this.#waiting) carriers.socketHad();
        this.#waiting = false;
        this.#events?.text(text);
      },
      alive: () => this.#events?.alive(),
      closed: (end) => {
        const away = this.#waiting && carriers.socketFailed(end, now()) && first;
        this.#waiting = false;
        if (away) this.#http(end);
        else this.#end()?.closed(end);
      },
    });
  }

  /** Goes by HTTP; `end` is how the socket has just ended, if it was tried. */
  #http(end: LinkEnd | undefined): void {
    const http = new HttpLink(this.#parts, {
      text: (text) => this.#events?.text(text),
      alive: () => this.#events?.alive(),
      welcomed: () => this.#plan(http),
      closed: ({ answered, ...ended }) => {
        if (answered) this.#end()?.closed(ended);
        else if (end) this.#end()?.closed(end);
        else this.#after();
      },
    });
    this.#link = http;
    // Not from within `open`, whose caller does not hold the link yet.
    queueMicrotask(() => { if (this.#link === http) this.#open(); });
  }

  /** Tries the socket after HTTP. */
  #after(): void {
    try {
      if (this.#events) this.#socket(false);
    } catch (error) {
      // A browser refuses some addresses outright.
      this.#end()?.closed({ reason: String(error) });
    }
  }

  #open(): void {
    if (this.#hello !== undefined) this.#link?.send(this.#hello);
    else if (!this.#opened) this.#events?.opened();
    this.#opened = true;
  }

  #plan(http: HttpLink): void {
    if (!this.#events) return;
    this.#timer = setTimeout(() => this.#try(http), this.#parts.carriers.retryIn(this.#parts.random));
  }

  /** Tries the socket beside HTTP. What carries both ways is let go of, and the client comes back over another. */
  #try(http: HttpLink): void {
    const { carriers, socket } = this.#parts;
    const failed = () => {
      clearTimeout(this.#timer);
      this.#beside = undefined;
      this.#plan(http);
    };
    this.#timer = setTimeout(() => {
      this.#beside?.drop();
      failed();
    }, CONNECT_MS);
    try {
      this.#beside = socket.open({
        opened: () => this.#beside?.send(knock(this.#hello ?? '{}', http.token)),
        text: () => {
          clearTimeout(this.#timer);
          this.#beside?.drop(1000);
          this.#beside = undefined;
          carriers.socketHad();
          void http.idle().then(() => {
            http.drop();
            this.#end()?.closed({ reason: 'the socket can be had again' });
          });
        },
        alive: () => undefined,
        closed: failed,
      });
    } catch {
      failed();
    }
  }

  /** Lets go of everything but the link; gives who is to be told. */
  #end(): LinkEvents | undefined {
    const events = this.#events;
    this.#events = undefined;
    clearTimeout(this.#timer);
    this.#beside?.drop();
    this.#beside = undefined;
    return events;
  }
}

/** A `hello` that delivers nothing: any answer shows that a socket carries both ways. */
function knock(hello: string, token: string): string {
  const { payload: { resume: _, ...payload }, ...frame } = JSON.parse(hello) as { payload: Record<string, unknown> };
  return JSON.stringify({ ...frame, payload: { ...payload, token, rooms: 'none' } });
}
