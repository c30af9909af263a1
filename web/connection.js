/**
 * The socket's state machine: signed-out → connecting → online → waiting → connecting …; `stopped` needs a person.
 *
 * Owns: the one socket, the requests in flight, the back-off, every timer that ends with the connection.
 *
 * S-1  after `drop` nothing of the old socket is heard, and every request on it has been refused `closed`;
 * S-2  a close code 44xx is not answered with the same connection again;
 * S-3  back-off is full jitter from 100 ms doubling to 30 s, from the bottom again once a connection has lasted.
 *
 * Absent: rooms and messages; the owner gives `hello`, and hears `onstate`, `onwelcome`, `onframe`, `ondrop`.
 */
import { REPLY_MS, Refusal, newId } from './wire.js';

const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 30_000;
const STABLE_MS = 5_000;
const PONG_MS = 10_000;
const REPLIES = new Set(['ack', 'error', 'welcome', 'pong']);

const STOPPED = {
  4400: 'The server refused what this page sent.',
  4408: 'The server waited too long for this page.',
  4413: 'The server refused a frame as too large.',
  4429: 'This account has too many connections open.',
};

/** Full jitter: anything from nothing to the bound of this attempt. */
export function jitter(attempt) {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 20));
}

export class Connection {
  state = { name: 'signed-out' };
  /** Rises with every drop; what began in another epoch has no say any more. */
  epoch = 0;

  #login;
  #owner;
  #socket = null;
  #used = null;
  #attempt = 0;
  #renewed = false;
  #requests = new Map();
  #timers = new Map();
  #heartbeat = 25_000;
  #heard = 0;

  constructor(login, owner) {
    this.#login = login;
    this.#owner = owner;
    addEventListener('online', () => this.#hurry());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#hurry();
    });
  }

  get online() {
    return this.state.name === 'online';
  }

  /** Connects at once, whatever was waited for. */
  async connect() {
    this.drop();
    const { epoch } = this;
    this.#set({ name: 'connecting' });
    let token;
    try {
      token = await this.#login.token();
    } catch (refusal) {
      if (epoch === this.epoch) this.#refused(refusal);
      return;
    }
    if (epoch !== this.epoch) return;
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/v1/ws`, 'parlor.v1');
    this.#socket = socket;
    this.#used = token;
    this.after('open', REPLY_MS, () => this.#closed(0, ''));
    socket.onopen = () => this.#hello(token);
    socket.onmessage = (message) => this.#received(message.data);
    socket.onclose = (close) => this.#closed(close.code, close.reason);
  }

  /** Leaves for good. */
  leave(reason) {
    this.drop();
    this.#renewed = false;
    this.#attempt = 0;
    this.#set({ name: 'signed-out', reason });
  }

  /** Gives the connection up as dead and makes another one. */
  lost() {
    this.#closed(0, '');
  }

  /** Sends a frame that wants a reply; resolves with its payload, or throws a `Refusal`. */
  request(type, payload, within = REPLY_MS, msg_id = newId()) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new Refusal('closed', 'Not connected.'));
        return;
      }
      const timer = setTimeout(() => {
        this.#requests.delete(msg_id);
        reject(new Refusal('timeout', 'The server did not answer.'));
      }, within);
      this.#requests.set(msg_id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type, msg_id, payload }));
    });
  }

  /** Sends a frame that wants no reply, if there is a connection. */
  tell(type, payload) {
    if (this.online) this.#socket.send(JSON.stringify({ type, payload }));
  }

  /** Runs something later on this connection; the same name replaces what was planned. */
  after(name, ms, run) {
    this.cancel(name);
    this.#timers.set(name, setTimeout(() => { this.#timers.delete(name); run(); }, ms));
  }

  /** The same, but what is planned already stays. */
  soon(name, ms, run) {
    if (!this.#timers.has(name)) this.after(name, ms, run);
  }

  cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  drop() {
    this.epoch += 1;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    if (this.#socket) {
      Object.assign(this.#socket, { onopen: null, onmessage: null, onclose: null });
      this.#socket.close();
      this.#socket = null;
    }
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const { reject, timer } of requests) {
      clearTimeout(timer);
      reject(new Refusal('closed', 'The connection was lost.'));
    }
    this.#owner.ondrop();
  }

  async #hello(token) {
    const { epoch } = this;
    try {
      const welcome = await this.request('hello', { token, ...this.#owner.hello() });
      this.#welcomed(welcome);
    } catch (refusal) {
      // An error is followed by the close that says what to do; silence is not.
      if (epoch === this.epoch && refusal.code === 'timeout') this.lost();
    }
  }

  #welcomed(welcome) {
    this.cancel('open');
    this.#renewed = false;
    this.#heartbeat = welcome.heartbeat_ms ?? this.#heartbeat;
    this.after('stable', STABLE_MS, () => { this.#attempt = 0; });
    this.#beat();
    this.state = { name: 'online' };
    this.#owner.onwelcome(welcome);
    this.#owner.onstate();
  }

  #received(text) {
    this.#heard = Date.now();
    let frame;
    try { frame = JSON.parse(text); } catch { return; }
    const payload = frame.payload ?? {};
    if (REPLIES.has(frame.type)) {
      const asked = this.#requests.get(frame.msg_id);
      if (!asked) return;
      clearTimeout(asked.timer);
      this.#requests.delete(frame.msg_id);
      if (frame.type === 'error') asked.reject(new Refusal(payload.code, payload.message, { ...payload }));
      else asked.resolve(payload);
    } else if (frame.type === 'goaway') {
      this.after('goaway', payload.reconnect_in_ms ?? 0, () => this.lost());
    } else if (frame.type === 'auth.expiring') {
      this.#expiring(payload.expires_at);
    } else {
      this.#owner.onframe({ ...frame, payload });
    }
  }

  #closed(code, reason) {
    this.drop();
    if (code === 4401) { this.#renew(); return; }
    if (code === 4403) { this.#owner.onrefused('This login was ended.'); return; }
    if (code === 4413 && this.#owner.ontoolarge()) { this.#wait(0); return; }
    if (code >= 4400 && code < 4500) {
      this.#set({ name: 'stopped', reason: STOPPED[code] ?? `The server closed the connection (${code}).` });
      return;
    }
    this.#wait(Number(/retry_after_ms=(\d+)/.exec(reason)?.[1] ?? 0));
  }

  /** After 4401: one renewal, then one more try, then a person has to sign in. */
  async #renew() {
    const { epoch } = this;
    this.#set({ name: 'connecting' });
    if (this.#renewed) { this.#owner.onrefused('Please sign in again.'); return; }
    try {
      await this.#login.renewed(this.#used);
    } catch (refusal) {
      if (epoch === this.epoch) this.#refused(refusal);
      return;
    }
    if (epoch !== this.epoch) return;
    this.#renewed = true;
    this.connect();
  }

  #refused(refusal) {
    const final = refusal.status >= 400 && refusal.status < 500 && refusal.status !== 429;
    if (final) this.#owner.onrefused('Please sign in again.');
    else this.#wait(refusal.retry_after_ms ?? 0);
  }

  #wait(least) {
    const delay = least + jitter(this.#attempt);
    this.#attempt += 1;
    this.#set({ name: 'waiting', until: Date.now() + delay });
    this.after('connect', delay, () => this.connect());
  }

  #hurry() {
    if (this.state.name === 'waiting') this.connect();
  }

  /** A browser cannot see the server's Pings, so a quiet connection is asked. */
  #beat() {
    this.after('beat', this.#heartbeat, () => {
      if (Date.now() - this.#heard >= this.#heartbeat) {
        this.request('ping', {}, PONG_MS).catch((refusal) => { if (refusal.code === 'timeout') this.lost(); });
      }
      this.#beat();
    });
  }

  /** Renews in the second half of what is left, so that a token of a few seconds does not make a loop. */
  #expiring(expires_at) {
    const left = Math.max(1_000, Math.min(60_000, Date.parse(expires_at) - Date.now()));
    this.after('expiring', left * (0.5 + Math.random() * 0.25), async () => {
      const { epoch } = this;
      try {
        const token = await this.#login.renewed(this.#used);
        if (epoch !== this.epoch) return;
        await this.request('auth.refresh', { token });
        this.#used = token;
      } catch { /* the server closes 4401 at expiry, and that path decides */ }
    });
  }

  #set(state) {
    this.state = state;
    this.#owner.onstate();
  }
}
