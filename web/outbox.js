/**
 * The messages of one user that are not acknowledged yet: kept over reloads, sent when there is a connection.
 *
 * Owns: the storage keys `parlor.outbox/<user>/<msg_id>` (one each, so that tabs do not overwrite one another),
 * and which of the messages are in flight.
 *
 * O-1  a message is stored before it is sent, and leaves only when acknowledged or thrown away;
 * O-2  one message per room is in flight, so a refused one cannot be overtaken;
 * O-3  a resend carries the same `msg_id`.
 *
 * Absent: the rooms; the owner hears `acknowledged` and `changed`.
 */
import { jitter } from './connection.js';
import { REPLY_MS, Refusal, newId } from './wire.js';

const RETRY_LEAST_MS = 100;
/** Refusals after which the same message may still get through. */
const TEMPORARY = new Set(['rate_limited', 'unavailable', 'unknown_outcome', 'internal']);

export class Outbox {
  /** In the order in which they were typed. */
  entries;

  #prefix;
  #link;
  #owner;
  #bodyBytes = Infinity;
  #inflight = new Map();
  #interrupted = [];

  constructor(user, link, owner) {
    this.#link = link;
    this.#owner = owner;
    this.#prefix = `parlor.outbox/${user}/`;
    this.entries = Object.keys(localStorage)
      .filter((key) => key.startsWith(this.#prefix))
      .flatMap((key) => { try { return [JSON.parse(localStorage.getItem(key))]; } catch { return []; } })
      .sort((a, b) => a.order - b.order);
  }

  /** The messages of one room. */
  of(room_id) {
    return this.entries.filter((entry) => entry.room_id === room_id);
  }

  /** Takes a message in, and sends it as soon as its turn comes. */
  send(room_id, text) {
    const order = Math.max(Date.now(), (this.entries.at(-1)?.order ?? 0) + 1);
    const entry = { msg_id: newId(), room_id, text, order, typed_at: new Date().toISOString() };
    this.entries.push(entry);
    this.#save(entry);
    this.#pump(room_id);
    this.#owner.changed(room_id);
  }

  /** Sends a refused message again. */
  resend(msg_id) {
    const entry = this.#find(msg_id);
    if (!entry?.failed) return;
    if (entry.failed.code === 'conflict') {
      // The id belongs to another message for good.
      this.#remove(msg_id);
      this.send(entry.room_id, entry.text);
      return;
    }
    delete entry.failed;
    this.#save(entry);
    this.#pump(entry.room_id);
    this.#owner.changed(entry.room_id);
  }

  /** Lets go of a message: it is acknowledged, or not wanted any more. */
  settle(msg_id) {
    const entry = this.#find(msg_id);
    if (!entry) return;
    this.#remove(msg_id);
    this.#owner.changed(entry.room_id);
  }

  /** Throws away what is unsent, of one room or of all. */
  empty(room_id) {
    for (const entry of room_id ? this.of(room_id) : this.entries) this.#remove(entry.msg_id);
    if (room_id) this.#inflight.delete(room_id);
  }

  /** Goes on with everything, on a new connection. */
  resume(bodyBytes) {
    this.#bodyBytes = bodyBytes ?? Infinity;
    for (const room_id of new Set(this.entries.map((entry) => entry.room_id))) this.#pump(room_id);
  }

  /** Notes that the connection is gone, and with it what was in flight. */
  dropped() {
    this.#interrupted = [...this.#inflight.values()];
    this.#inflight.clear();
  }

  /** Gives up what was in flight when the server found a frame too large. Returns whether there was something. */
  tooLarge() {
    for (const msg_id of this.#interrupted) this.#fail(msg_id, new Refusal('too_large', 'The message is too long.'));
    return this.#interrupted.length > 0;
  }

  /** Drops what another tab has delivered. */
  otherTab(event) {
    if (event.newValue === null && event.key?.startsWith(this.#prefix)) this.settle(event.key.slice(this.#prefix.length));
  }

  async #pump(room_id) {
    if (!this.#link.online || this.#inflight.has(room_id)) return;
    const entry = this.of(room_id).find((e) => !e.failed);
    if (!entry) return;
    const body = { text: entry.text };
    if (new TextEncoder().encode(JSON.stringify(body)).length > this.#bodyBytes) {
      this.#fail(entry.msg_id, new Refusal('too_large', 'The message is too long.'));
      this.#pump(room_id);
      return;
    }
    this.#inflight.set(room_id, entry.msg_id);
    const { epoch } = this.#link;
    try {
      const ack = await this.#link.request('message.send', { room_id, body }, REPLY_MS, entry.msg_id);
      this.#owner.acknowledged(entry, ack);
      this.settle(entry.msg_id);
    } catch (refusal) {
      if (epoch !== this.#link.epoch || refusal.code === 'unauthorized') return;
      if (refusal.code === 'timeout') { this.#link.lost(); return; }
      if (TEMPORARY.has(refusal.code)) { this.#later(entry, refusal); return; }
      this.#fail(entry.msg_id, refusal);
    }
    if (epoch !== this.#link.epoch) return;
    this.#inflight.delete(room_id);
    this.#pump(room_id);
  }

  /** Tries the same message again after a while; the room's later messages wait behind it. */
  #later(entry, refusal) {
    entry.tries = (entry.tries ?? 0) + 1;
    const delay = Math.max(refusal.retry_after_ms ?? 0, RETRY_LEAST_MS) + jitter(entry.tries);
    this.#link.after(`send ${entry.room_id}`, delay, () => {
      this.#inflight.delete(entry.room_id);
      this.#pump(entry.room_id);
    });
  }

  #fail(msg_id, refusal) {
    const entry = this.#find(msg_id);
    if (!entry) return;
    entry.failed = { code: refusal.code, message: refusal.message };
    this.#save(entry);
    this.#owner.changed(entry.room_id);
  }

  #find(msg_id) {
    return this.entries.find((entry) => entry.msg_id === msg_id);
  }

  #save(entry) {
    // A full or forbidden storage must not stop the sending; the message then lives as long as the page.
    try { localStorage.setItem(this.#prefix + entry.msg_id, JSON.stringify(entry)); } catch { /* kept in memory */ }
  }

  #remove(msg_id) {
    localStorage.removeItem(this.#prefix + msg_id);
    this.entries = this.entries.filter((entry) => entry.msg_id !== msg_id);
  }
}
