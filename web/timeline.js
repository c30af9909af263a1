/**
 * One room as this page knows it: a pure projection of the room's events, fed by frames, asking for nothing.
 *
 * Owns: the events held, the contiguous range `low..top`, unread counts, the receipts and typing of others.
 *
 * T-1  every seq in `low..top` that the server keeps is held, so `top` is a safe resume position;
 * T-2  an event is held once per seq, whichever way it came (live, resume, history, own acknowledgement);
 * T-3  `read` only moves forward.
 *
 * Absent: sockets, storage, the document.
 */

const KEEP_WHEN_CLOSED = 200;
const TRIM_ABOVE = 500;
const UNREAD_CAP = 1000;

/** Turns a timeline frame into the flat event that the room keeps. */
function eventOf(frame) {
  return { type: frame.type, id: frame.msg_id, rev: 0, ...frame.payload };
}

export class Room {
  constructor(info) {
    this.info = { head: 0, read: 0, unread: 0, mentions: 0, ...info };
    this.activity = Date.parse(info.created_at) || 0;
    this.wantRead = 0;
    this.wantDelivered = 0;
    this.reads = new Map();
    this.typing = new Map();
    this.members = null;
    this.clear();
  }

  /** Forgets the events, as before the first history page. */
  clear() {
    this.events = new Map();
    this.loaded = false;
    this.loading = false;
    this.low = 0;
    this.top = 0;
    this.max = 0;
    this.first = 1;
  }

  /** The title a person sees. */
  get title() {
    if (this.info.name) return this.info.name;
    if (this.info.peer) return this.info.peer;
    return this.info.kind === 'direct' ? 'Direct conversation' : 'Unnamed room';
  }

  /** The highest contiguous seq held, or null while no history is loaded. */
  get position() {
    return this.loaded ? this.top : null;
  }

  /** Whether older kept events exist below `low`. */
  get hasOlder() {
    return this.loaded && this.low > Math.max(1, this.first);
  }

  /** Whether events between `top` and the highest seq heard of are missing. */
  get hasHole() {
    return this.loaded && this.max > this.top;
  }

  /** Takes the server's newer description of the room. */
  update(info) {
    const read = Math.max(this.info.read ?? 0, info.read ?? 0);
    this.info = { ...this.info, ...info, read };
  }

  /** The events held, in order. */
  list() {
    const out = [];
    if (!this.loaded) return out;
    for (let seq = this.low; seq <= this.max; seq += 1) {
      const event = this.events.get(seq);
      if (event) out.push(event);
    }
    return out;
  }

  /** Takes one event from the socket. */
  live(frame, me) {
    const event = eventOf(frame);
    const { seq } = event;
    const fresh = seq > this.info.head;
    if (fresh) {
      this.info.head = seq;
      if (event.type === 'message' && event.sender !== me) {
        this.info.unread = Math.min(UNREAD_CAP, (this.info.unread ?? 0) + 1);
        const named = event.mentions?.some((name) => name === me || name === '@room');
        if (named) this.info.mentions = Math.min(UNREAD_CAP, (this.info.mentions ?? 0) + 1);
      }
    }
    this.activity = Math.max(this.activity, Date.parse(event.sent_at) || 0);
    if (event.type === 'message') {
      this.typing.delete(event.sender);
      if (event.sender !== me) this.wantDelivered = Math.max(this.wantDelivered, seq);
    }
    if (event.type === 'room.updated') this.#describe(event);
    if (this.loaded || this.loading) this.#hold(event);
    this.#advance();
  }

  /** Takes the newest page: what it ends with is the head, so `top` may start there. */
  newest(reply) {
    const waiting = [...this.events.values()];
    this.clear();
    for (const frame of reply.events) this.#hold(eventOf(frame));
    this.low = reply.events[0]?.payload.seq ?? reply.head + 1;
    this.top = reply.events.at(-1)?.payload.seq ?? reply.head;
    this.max = Math.max(this.max, this.top);
    this.first = reply.first ?? 1;
    this.loaded = true;
    for (const event of waiting) if (event.seq >= this.low && !this.events.has(event.seq)) this.#hold(event);
    this.info.head = Math.max(this.info.head, reply.head ?? 0);
    this.#advance();
  }

  /** Takes the page before `low`. */
  older(reply) {
    for (const frame of reply.events) this.#hold(eventOf(frame));
    this.low = reply.events[0]?.payload.seq ?? Math.max(1, reply.first ?? 1);
    this.first = reply.events.length === 0 ? this.low : (reply.first ?? 1);
  }

  /** Takes a page after `top`; what the server no longer keeps is stepped over. */
  fill(reply) {
    const before = this.top;
    for (const frame of reply.events) this.#hold(eventOf(frame));
    if ((reply.first ?? 1) > this.top + 1) this.top = reply.first - 1;
    this.#advance();
    // Nothing there although the server was asked for it: it is not kept, and asking again would not end.
    if (this.top === before && this.hasHole) {
      const next = [...this.events.keys()].filter((seq) => seq > this.top);
      this.top = next.length > 0 ? Math.min(...next) - 1 : this.max;
      this.#advance();
    }
  }

  /** Notes a `gap`: the hole up to `to` is to be fetched. */
  gap(to) {
    if (this.loaded) this.max = Math.max(this.max, to);
  }

  /** Takes one's own acknowledged message, which may come before its event. */
  acknowledged(entry, ack, me) {
    if (!(this.loaded || this.loading) || this.events.has(ack.seq)) return;
    if (this.loaded && ack.seq <= this.top) return;
    this.#hold({
      type: 'message', id: ack.id, rev: 0, seq: ack.seq, sender: me, sent_at: ack.sent_at,
      body: { text: entry.text }, client_msg_id: entry.msg_id,
    });
    this.#advance();
  }

  /** Moves one's own read position. Returns whether the counts have to be asked for. */
  readTo(seq, me) {
    if (seq <= this.info.read) return false;
    this.info.read = seq;
    if (seq >= this.info.head) {
      this.info.unread = 0;
      this.info.mentions = 0;
      return false;
    }
    if (!this.loaded || this.low > seq + 1 || this.hasHole) return true;
    const unread = this.list().filter((e) => e.seq > seq && e.type === 'message' && e.sender !== me && !e.deleted);
    this.info.unread = unread.length;
    this.info.mentions = unread.filter((e) => e.mentions?.some((name) => name === me || name === '@room')).length;
    return false;
  }

  /** Notes how far another member has read. */
  readBy(user, seq) {
    if (seq > (this.reads.get(user) ?? 0)) this.reads.set(user, seq);
  }

  /** Takes away what was said in the message at `seq`, for this page only. */
  hide(seq) {
    this.#strike(seq);
  }

  /** Lets go of old events of a room nobody looks at. */
  trim() {
    if (!this.loaded || this.loading || this.hasHole || this.top - this.low < TRIM_ABOVE) return;
    const low = this.top - KEEP_WHEN_CLOSED + 1;
    for (const seq of this.events.keys()) if (seq < low) this.events.delete(seq);
    this.low = low;
  }

  #hold(event) {
    const held = this.events.get(event.seq);
    if (held) event.rev = held.rev + 1;
    this.events.set(event.seq, event);
    this.max = Math.max(this.max, event.seq);
    if (event.type === 'message.deleted') this.#strike(event.target);
    if (event.type === 'message.edited' && event.body) {
      const target = this.events.get(event.target);
      if (target?.body && !(target.edited_at > event.sent_at)) {
        target.body = event.body;
        target.edited_at = event.sent_at;
        target.rev += 1;
      }
    }
  }

  #strike(seq) {
    const target = this.events.get(seq);
    if (!target) return;
    target.deleted = true;
    target.rev += 1;
    delete target.body;
  }

  #describe(event) {
    for (const key of ['name', 'topic', 'public', 'retention_ms']) {
      if (key in event) this.info[key] = event[key];
    }
  }

  #advance() {
    if (!this.loaded) return;
    while (this.events.has(this.top + 1)) this.top += 1;
  }
}
