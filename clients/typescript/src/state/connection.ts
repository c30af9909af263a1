/**
 * The connection as a state machine: what happens and the time go in, effects come out. No socket, no clock, no timer.
 *
 * ```text
 *               start                token                  open                  welcome
 *     idle ───────────► authorizing ─────────► connecting ─────────► greeting ─────────────► online
 *                        ▲   ▲    │                │                    │                       │
 *             time is up │   │    │ no token       │ not to be had      │ lost, no welcome      │ lost, silent, 45xx
 *             or hurry   │   │    ▼                ▼                    ▼                       │
 *                        └───┼─ waiting ◄──────────┴────────────────────┴───────────────────────┤
 *                            │                                                                  │
 *                            └─────────── 4401, once with a fresh token; goaway, at its moment ─┘
 *
 *     stop, other 44xx, 4401 again, HTTP 4xx, a token source that refuses for good: stopped, until `start`.
 * ```
 *
 * C-1  a link is open in `greeting` and `online` only, and being opened in `connecting` only;
 * C-2  at most one question to the token source is open;
 * C-3  the wait is full jitter from 100 ms doubling to 30 s, and at least what the server asked for; it begins anew once a
 *      connection has lasted `STABLE_MS`;
 * C-4  a close code 44xx is never answered by coming back unchanged.
 *
 * Absent: what goes over the connection. `client.ts` reads frames, and tells this state what they say about it.
 * Source: PROTOCOL, sections 2 and 8.
 */
import type { ParlorError } from '../wire/refusal.js';
import { Backoff, type Random } from './backoff.js';
import { least } from './outbox.js';

/** For the link to open, and for `welcome` after it. */
export const CONNECT_MS = 10_000;
/** For the close that follows a refused `hello`. */
const CLOSE_MS = 1_000;
/** A connection that lasted this long was a success. */
export const STABLE_MS = 5_000;
/** For the answer to a `ping` when nothing else was heard. */
export const PONG_MS = 10_000;
/** What must be left of a token for an attempt to replace it over the connection. */
const RENEW_MIN_MS = 250;
/** However long the server asks to stay away. */
const STAY_AWAY_MAX_MS = 300_000;

/** What a token is wanted for: any that may hold; a fresh one, because this one ends soon; a fresh one, because it was refused. */
export type TokenNeed = 'connect' | 'expiring' | 'rejected';

/** Why a client has stopped. */
export type StopReason =
  /** It was told to. */
  | { readonly why: 'stopped' }
  /** The token does not hold, and no better one is to be had: a person has to log in. */
  | { readonly why: 'unauthorized'; readonly message: string }
  /** The server closed with a code after which coming back is no use. */
  | { readonly why: 'closed'; readonly code: number; readonly message: string }
  /** The server refused the connection or `hello` for good. */
  | { readonly why: 'refused'; readonly message: string };

/** Where the connection stands, as the application sees it. */
export type ConnectionState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting' }
  | { readonly name: 'online' }
  /** The next attempt is `wait_ms` after this was said. */
  | { readonly name: 'waiting'; readonly wait_ms: number; readonly message: string }
  | { readonly name: 'stopped'; readonly reason: StopReason };

/** How a link ended, or why it did not open; what is not known is left out. */
export interface LinkEnd {
  /** The close code of RFC 6455. */
  readonly code?: number;
  /** The HTTP status that refused it. */
  readonly status?: number;
  readonly reason?: string;
  readonly retry_after_ms?: number;
}

/** What the shell is to do. */
export type ConnectionEffect =
  | { readonly do: 'ask_token'; readonly need: TokenNeed }
  | { readonly do: 'open' }
  /** Say `hello` with this token. */
  | { readonly do: 'greet'; readonly token: string }
  /** Say `auth.refresh` with it. */
  | { readonly do: 'refresh'; readonly token: string }
  | { readonly do: 'ping' }
  /** Let go of the link, and hear nothing of it any more; `code` is what to tell the other end. */
  | { readonly do: 'drop'; readonly code?: number }
  /** The connection is lost: nothing that was in flight is answered. */
  | { readonly do: 'down' }
  | { readonly do: 'state'; readonly state: ConnectionState };

type Phase =
  | { readonly name: 'idle' | 'authorizing' }
  | { readonly name: 'connecting'; readonly until: number }
  | { readonly name: 'greeting'; readonly until: number; readonly refused?: ParlorError }
  | Online
  | { readonly name: 'waiting'; readonly until: number }
  | { readonly name: 'stopped' };

interface Online {
  readonly name: 'online';
  readonly since: number;
  readonly heartbeat_ms: number;
  heard: number;
  pinged: boolean;
  /** When the token is taken to end, once that is near. */
  ends_at?: number;
  /** When to ask for a fresh one. */
  renew_at?: number;
  /** When to leave a node that drains. */
  leave_at?: number;
}

export class Connection {
  readonly #random: Random;
  #phase: Phase = { name: 'idle' };
  readonly #backoff = new Backoff();
  #effects: ConnectionEffect[] = [];
  #token = '';
  #need: TokenNeed = 'connect';
  #asking: TokenNeed | undefined;
  /** Whether a fresh token was asked for since the last `welcome`. */
  #renewed = false;

  constructor(random: Random) {
    this.#random = random;
  }

  get name(): Phase['name'] {
    return this.#phase.name;
  }

  get online(): boolean {
    return this.#phase.name === 'online';
  }

  /** Takes the effects since the last time, in order. */
  take(): ConnectionEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Begins, from nothing or after an end. */
  start(): void {
    if (this.#phase.name !== 'idle' && this.#phase.name !== 'stopped') return;
    this.#renewed = false;
    this.#need = 'connect';
    this.#backoff.reset();
    this.#authorize();
  }

  /** Ends the wait. */
  hurry(): void {
    if (this.#phase.name === 'waiting') this.#authorize();
  }

  /** Something may have happened to the network: a dead link is found out now, not at the end of a silence. */
  doubt(now: number): void {
    if (this.#phase.name === 'online' && !this.#phase.pinged) this.#ping(now, this.#phase);
  }

  stop(): void {
    this.#stop({ why: 'stopped' });
  }

  /** Stops because of what `welcome` says. */
  refuse(message: string): void {
    this.#stop({ why: 'refused', message });
  }

  /** Takes the token source's answer. */
  token(now: number, answer: string | ParlorError): void {
    const asked = this.#asking;
    this.#asking = undefined;
    if (this.#phase.name === 'online' && asked === 'expiring') {
      if (typeof answer === 'string') this.#do({ do: 'refresh', token: this.#token = answer });
      else if (answer.temporary) this.notRenewed(now, answer.retry_after_ms);
      return;
    }
    if (this.#phase.name !== 'authorizing') return;
    if (typeof answer === 'string') {
      this.#token = answer;
      this.#need = 'connect';
      this.#phase = { name: 'connecting', until: now + CONNECT_MS };
      this.#do({ do: 'open' });
    } else if (asked !== this.#need) {
      // It answers what an earlier connection asked.
      this.#ask(this.#need);
    } else if (answer.temporary) {
      this.#wait(now, answer.message, answer.retry_after_ms);
    } else {
      this.#stop({ why: 'unauthorized', message: answer.message });
    }
  }

  /** The link is open. */
  opened(now: number): void {
    if (this.#phase.name !== 'connecting') return;
    this.#phase = { name: 'greeting', until: now + CONNECT_MS };
    this.#do({ do: 'greet', token: this.#token });
  }

  welcomed(now: number, heartbeat_ms: number): void {
    if (this.#phase.name !== 'greeting') return;
    this.#renewed = false;
    this.#phase = { name: 'online', since: now, heartbeat_ms, heard: now, pinged: false };
    this.#do({ do: 'state', state: { name: 'online' } });
  }

  /** `hello` is refused; the close that follows says what to do. */
  helloRefused(now: number, refused: ParlorError): void {
    if (this.#phase.name === 'greeting') this.#phase = { name: 'greeting', until: now + CLOSE_MS, refused };
  }

  /** Something came over the link. */
  heard(now: number): void {
    if (this.#phase.name !== 'online') return;
    this.#phase.heard = now;
    this.#phase.pinged = false;
  }

  /** The token ends in `left_ms`. */
  expiring(now: number, left_ms: number): void {
    if (this.#phase.name !== 'online') return;
    this.#phase.ends_at = now + Math.min(60_000, Math.max(1_000, left_ms));
    this.#renew(now, this.#phase, this.#phase.ends_at);
  }

  /** The server took the fresh token. */
  renewed(): void {
    if (this.#phase.name === 'online') this.#phase.ends_at = this.#phase.renew_at = undefined;
  }

  /** A fresh token was not to be had, or not taken, for now: it is asked for again, not before `at_least_ms`, while the one in use holds. */
  notRenewed(now: number, at_least_ms = 0): void {
    const phase = this.#phase;
    if (phase.name === 'online' && phase.ends_at !== undefined) this.#renew(now, phase, phase.ends_at, at_least_ms);
  }

  /** The node drains, and gives this client its moment. */
  goaway(now: number, in_ms: number): void {
    if (this.#phase.name === 'online') this.#phase.leave_at = now + Math.min(in_ms, STAY_AWAY_MAX_MS);
  }

  /** The link has ended, or did not open. */
  closed(now: number, end: LinkEnd): void {
    const phase = this.#phase;
    if (phase.name !== 'connecting' && phase.name !== 'greeting' && phase.name !== 'online') return;
    this.#down(now);
    const refused = phase.name === 'greeting' ? phase.refused : undefined;
    if (end.code === 4401 || end.status === 401 || (end.code === undefined && refused?.code === 'unauthorized')) {
      this.#unauthorized(end.reason ?? 'the token does not hold');
    } else if (end.code !== undefined && end.code >= 4400 && end.code < 4500) {
      this.#stop({ why: 'closed', code: end.code, message: refused?.message ?? end.reason ?? '' });
    } else if (isFinal(end.status) || (refused && !refused.temporary)) {
      this.#stop({ why: 'refused', message: refused?.message ?? end.reason ?? `status ${end.status}` });
    } else {
      this.#wait(now, end.reason || refused?.message || 'the connection was lost', retryAfter(end) ?? refused?.retry_after_ms);
    }
  }

  /** Gives the link up as dead. */
  lost(now: number, why: string): void {
    if (!['connecting', 'greeting', 'online'].includes(this.#phase.name)) return;
    this.#do({ do: 'drop' });
    this.closed(now, { reason: why });
  }

  /** Time has gone by. */
  tick(now: number): void {
    const phase = this.#phase;
    if (phase.name === 'waiting' && phase.until <= now) this.#authorize();
    else if (phase.name === 'connecting' && phase.until <= now) this.lost(now, 'the connection took too long');
    else if (phase.name === 'greeting' && phase.until <= now) this.lost(now, 'no welcome in time');
    else if (phase.name === 'online') this.#tickOnline(now, phase);
  }

  /** When something is to be done without anything happening. */
  deadline(): number | undefined {
    const phase = this.#phase;
    if (phase.name === 'online') return least([this.#silence(phase), phase.renew_at, phase.leave_at]);
    return 'until' in phase ? phase.until : undefined;
  }

  #tickOnline(now: number, phase: Online): void {
    if (phase.leave_at !== undefined && phase.leave_at <= now) {
      this.#do({ do: 'drop', code: 1000 });
      this.#down(now);
      this.#backoff.reset();
      this.#authorize();
      return;
    }
    if (phase.renew_at !== undefined && phase.renew_at <= now) {
      phase.renew_at = undefined;
      this.#ask('expiring');
    }
    if (this.#silence(phase) > now) return;
    if (phase.pinged) this.lost(now, 'the server is silent');
    else this.#ping(now, phase);
  }

  /** Asks for a sign of life. The time for it begins now: where the machine slept, there were no timers before. */
  #ping(now: number, phase: Online): void {
    phase.heard = now - phase.heartbeat_ms;
    phase.pinged = true;
    this.#do({ do: 'ping' });
  }

  /**
   * Sets when a fresh token is asked for: in the second quarter of the time there is, so that a token of a few seconds makes no loop, and that something is left
   * for another attempt. Where too little is left for one the server closes 4401 in the end, and that way decides.
   */
  #renew(now: number, phase: Online, ends_at: number, at_least_ms = 0): void {
    const from = now + at_least_ms;
    const renew_at = from + (ends_at - from) * (0.25 + 0.25 * this.#random());
    phase.renew_at = ends_at - renew_at < RENEW_MIN_MS ? undefined : renew_at;
  }

  /** When silence asks for a `ping`, or after it for the end. */
  #silence(phase: Online): number {
    return phase.heard + phase.heartbeat_ms + (phase.pinged ? PONG_MS : 0);
  }

  #authorize(): void {
    this.#phase = { name: 'authorizing' };
    this.#do({ do: 'state', state: { name: 'connecting' } });
    this.#ask(this.#need);
  }

  #ask(need: TokenNeed): void {
    if (this.#asking !== undefined) return;
    this.#asking = need;
    this.#do({ do: 'ask_token', need });
  }

  #down(now: number): void {
    const phase = this.#phase;
    if (phase.name === 'online' && now - phase.since >= STABLE_MS) this.#backoff.reset();
    this.#phase = { name: 'idle' };
    if (phase.name === 'online') this.#do({ do: 'down' });
  }

  #unauthorized(message: string): void {
    if (this.#renewed) {
      this.#stop({ why: 'unauthorized', message });
      return;
    }
    this.#renewed = true;
    this.#need = 'rejected';
    this.#authorize();
  }

  #wait(now: number, message: string, at_least_ms = 0): void {
    const wait_ms = Math.min(at_least_ms, STAY_AWAY_MAX_MS) + this.#backoff.next(this.#random);
    this.#phase = { name: 'waiting', until: now + wait_ms };
    this.#do({ do: 'state', state: { name: 'waiting', wait_ms, message } });
  }

  #stop(reason: StopReason): void {
    const { name } = this.#phase;
    if (name === 'stopped') return;
    if (name === 'connecting' || name === 'greeting' || name === 'online') this.#do({ do: 'drop', code: 1000 });
    this.#phase = { name: 'stopped' };
    if (name === 'online') this.#do({ do: 'down' });
    this.#do({ do: 'state', state: { name: 'stopped', reason } });
  }

  #do(effect: ConnectionEffect): void {
    this.#effects.push(effect);
  }
}

/** Statuses after which the same connection is not worth another attempt. */
function isFinal(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status < 500 && ![408, 425, 429].includes(status);
}

/** Reads when to come back: from the answer, or from the `retry_after_ms=N` of a close reason. */
function retryAfter(end: LinkEnd): number | undefined {
  if (end.retry_after_ms !== undefined) return end.retry_after_ms;
  const digits = /retry_after_ms=(\d+)/.exec(end.reason ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}
