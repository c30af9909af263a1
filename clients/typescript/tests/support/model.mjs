/**
 * A model of the server for one client and one room, that does what the protocol allows, and some of what it does not: it cuts, loses
 * replies, says `gap`, repeats events, leaves events out, refuses for now, and stores without saying so.
 *
 * Time is virtual: `run` goes from one deadline to the next.
 */
import { ClientState } from '../../dist/state.js';

export const ROOM = '0191f0c2-7b00-7000-8000-000000000001';

/** Settings of a client in tests. */
export const SETTINGS = {
  device: { id: 'd' }, rooms: 'all', presence: 'online', positions: {}, user_id: 'ana', outbox_max: 1_000, delivered_receipts: true, reply_ms: 15_000,
};

/** Ids in order, for chance in tests. */
export function ids() {
  let last = 0;
  return () => `id-${String(last += 1).padStart(6, '0')}`;
}

export function eventFrame(seq, more = {}, room_id = ROOM) {
  return { type: 'message', msg_id: `e-${seq}`, payload: { room_id, seq, sender: 'bo', sent_at: '2026-01-01T00:00:00.000Z', body: { text: `${seq}` }, ...more } };
}

export function welcomeFrame(rooms = [], more = {}) {
  return {
    type: 'welcome',
    payload: {
      session_id: 's', user_id: 'ana', device_id: 'd', node: 'n', server_time: '2026-01-01T00:00:00.000Z', expires_at: '2026-01-01T01:00:00.000Z',
      heartbeat_ms: 25_000, cursor: 'c', limits: { frame_bytes: 65_536, body_bytes: 32_768, history_limit: 200, sends_per_s: 20, burst: 40 }, rooms, ...more,
    },
  };
}

export class Model {
  #dice;
  #link = false;
  /** The next position to deliver on this connection. */
  #next = 1;
  #wire = [];
  now = 0;
  timeline = [];
  first = 1;
  delivered = [];
  settled = new Map();
  faults = { cut: 0, gap: 0, repeat: 0, omit: 0, refuse: 0, lost: 0, retention: 0 };

  constructor(dice, settings = {}) {
    this.#dice = dice;
    this.state = new ClientState({ ...SETTINGS, positions: { [ROOM]: 0 }, ...settings }, { random: dice.next, id: ids() });
    this.state.start(0);
    this.#perform();
  }

  /** What somebody else says. */
  post() {
    this.#store('bo', undefined);
  }

  send(msg_id) {
    this.state.append(this.now, { msg_id, type: 'message.send', payload: { room_id: ROOM, body: { text: msg_id } } });
    this.#perform();
  }

  /** One step of chance; `faults` is how likely something goes wrong. */
  step(faults) {
    this.now += this.#dice.below(40);
    const deadline = this.state.deadline();
    if (deadline !== undefined && deadline <= this.now) this.state.tick(this.now);
    this.#perform();
    if (this.#link && this.#dice.next() < faults / 4) this.#cut();
    if (this.#link) this.#deliver(faults);
    for (const text of this.#wire.splice(0, 1 + this.#dice.below(4))) {
      this.state.text(this.now, text);
      this.#perform();
    }
    this.state.checkInvariants();
  }

  /** Lets all but the newest few events go. */
  retain() {
    this.faults.retention += 1;
    this.first = Math.max(this.first, this.timeline.length - this.#dice.below(3));
  }

  #cut() {
    this.faults.cut += 1;
    this.#link = false;
    this.#wire = [];
    this.state.closed(this.now, {});
    this.#perform();
  }

  #deliver(faults) {
    for (let count = this.#dice.below(5); count > 0 && this.#next <= this.timeline.length; count -= 1) {
      const chance = this.#dice.next();
      const head = this.timeline.length;
      if (this.#next < this.first || chance < faults) {
        this.faults.gap += 1;
        const to = Math.max(this.first - 1, Math.min(head, this.#next + this.#dice.below(30)));
        this.#say({ type: 'gap', payload: { room_id: ROOM, from: this.#next, to, head } });
        this.#next = to + 1;
      } else if (chance < 2 * faults) {
        this.faults.omit += 1;
        this.#next += 1;
        // A hole at the very end shows by `live`.
        if (this.#next > head) this.#say({ type: 'live', payload: { room_id: ROOM, seq: head } });
      } else {
        if (chance < 3 * faults && this.#next > 1) {
          this.faults.repeat += 1;
          this.#say(this.timeline[this.#dice.below(this.#next - 1)]);
        }
        this.#say(this.timeline[this.#next - 1]);
        this.#next += 1;
      }
    }
  }

  #perform() {
    for (let effects = this.state.take(); effects.length > 0; effects = this.state.take()) for (const effect of effects) this.#effect(effect);
  }

  #effect(effect) {
    switch (effect.do) {
      case 'ask_token': this.state.token(this.now, 'token'); break;
      case 'open':
        if (this.#dice.next() < 0.2) { this.state.closed(this.now, { reason: 'refused' }); break; }
        this.#link = true;
        this.state.opened(this.now);
        break;
      case 'drop': this.#link = false; this.#wire = []; break;
      case 'send': if (this.#link) this.#hear(JSON.parse(effect.text)); break;
      case 'tell':
        if (['event', 'gap', 'reset'].includes(effect.notice.name)) this.delivered.push(effect.notice);
        if (effect.notice.name === 'settled') {
          const { entry, error } = effect.notice.value;
          if (this.settled.has(entry.msg_id)) throw new Error(`settled twice: ${entry.msg_id}`);
          this.settled.set(entry.msg_id, error);
        }
        break;
      default: break;
    }
  }

  #hear({ type, msg_id, payload }) {
    switch (type) {
      case 'hello':
        this.#next = payload.resume.rooms[ROOM] + 1;
        this.#say(welcomeFrame());
        break;
      case 'message.send': this.#sent(msg_id); break;
      case 'history.get': {
        const from = Math.max(payload.after + 1, this.first);
        // Fewer than asked for, as an answer may.
        const events = this.timeline.slice(from - 1, from - 1 + Math.min(payload.limit, 1 + this.#dice.below(20)));
        const complete = from - 1 + events.length >= this.timeline.length;
        if (this.#dice.next() < 0.1) this.#refuse(msg_id, 'unavailable');
        else this.#reply(msg_id, { events, head: this.timeline.length, first: this.first, complete });
        break;
      }
      case 'ping': this.#say({ type: 'pong' }); break;
      default: if (msg_id) this.#reply(msg_id, { seq: payload.seq }); break;
    }
  }

  #sent(msg_id) {
    const held = this.timeline.find((event) => event.payload.client_msg_id === msg_id);
    const chance = this.#dice.next();
    if (chance < 0.1 && !held) { this.#refuse(msg_id, 'rate_limited', 50); return; }
    const event = held ?? this.#store('ana', msg_id);
    if (chance < 0.2) this.#refuse(msg_id, 'unknown_outcome');
    else if (chance < 0.22) this.faults.lost += 1;
    else this.#reply(msg_id, { room_id: ROOM, seq: event.payload.seq, id: event.msg_id, sent_at: event.payload.sent_at, duplicate: Boolean(held) });
  }

  #store(sender, client_msg_id) {
    const event = eventFrame(this.timeline.length + 1, { sender, client_msg_id });
    this.timeline.push(event);
    return event;
  }

  #refuse(msg_id, code, retry_after_ms) {
    this.faults.refuse += 1;
    this.#say({ type: 'error', msg_id, payload: { code, message: code, retry_after_ms } });
  }

  #reply(msg_id, payload) { this.#say({ type: 'ack', msg_id, payload }); }
  #say(frame) { this.#wire.push(JSON.stringify(frame)); }
}
