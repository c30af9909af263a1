/**
 * What carries frames: the seam between the client and a socket, or whatever stands in for one.
 *
 * A WebSocket is one, of browsers or of Node. `transport/fallback.ts` is another, around one of them: it goes by server-sent events or long
 * poll when the socket cannot be had, and the state machine sees no difference.
 */
import type { LinkEnd } from './state/connection.js';

/** What happens to a link. None of it happens before `open` has returned, and nothing after `closed` or `drop`. */
export interface LinkEvents {
  /** Frames may be sent. */
  opened(): void;
  /** One frame came. */
  text(text: string): void;
  /** Something else came that shows that the server is there. */
  alive(): void;
  /** It has ended, or did not open. */
  closed(end: LinkEnd): void;
}

/** One connection. */
export interface Link {
  /** Sends one frame. On a link that is not open it is lost, as it may be on any other; `closed` follows. */
  send(text: string): void;
  /** Ends it, with a close code if there is one to give, and reports nothing more. */
  drop(code?: number): void;
}

/** A way to the server. */
export interface Transport {
  /** Begins to open a link. */
  open(events: LinkEvents): Link;
}

/** The address of the socket of a server, from the address of its pages. */
export function socketUrl(server: string): string {
  const url = new URL('/v1/ws', server);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
