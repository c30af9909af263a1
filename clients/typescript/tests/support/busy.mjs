/**
 * A busy room: people who write all the time, and everything each of them was given, to be compared with the timeline.
 */
import assert from 'node:assert/strict';
import { pass, until } from './server.mjs';

const IN_HAND = 5;

export class BusyRoom {
  /** Those who write; the first made the room. */
  people = [];
  #received = new Map();
  #trouble = [];
  #sent = 0;
  #settled = new Map();
  #stopped = false;
  room_id;

  /** Makes a room of these clients, by user id; the first of them makes it. */
  static async make(clients) {
    const room = new BusyRoom();
    room.people = Object.entries(clients);
    for (const [user, client] of room.people) room.#watch(user, client);
    const [[, maker]] = room.people;
    const { room: made } = await maker.append('room.create', { kind: 'group', name: 'Busy', members: Object.keys(clients).slice(1) }).done;
    room.room_id = made.room_id;
    for (const [, client] of room.people) await until(client, () => client.positions()[made.room_id] >= 1, 'the room has begun');
    return room;
  }

  #watch(user, client) {
    this.#received.set(user, []);
    client.on('event', (event) => this.#received.get(user).push(event));
    for (const name of ['gap', 'reset']) client.on(name, (value) => this.#trouble.push({ user, name, value }));
    client.on('settled', ({ entry, error }) => {
      if (error) this.#trouble.push({ user, name: 'refused', value: error });
      this.#settled.set(entry.msg_id, (this.#settled.get(entry.msg_id) ?? 0) + 1);
    });
  }

  get sent() { return this.#sent; }

  /** Lets everybody write until `stop`, each with a few messages in hand, one every `every_ms` at most. */
  async talk(every_ms) {
    const turns = this.people.map(async ([user, client]) => {
      for (let count = 0; !this.#stopped; count += 1) {
        while (client.outbox().length >= IN_HAND && !this.#stopped) await pass(1);
        client.send(this.room_id, { text: `${user} ${count}`, data: { filling: 'x'.repeat(count % 7 * 100) } });
        this.#sent += 1;
        await pass(every_ms);
      }
    });
    await Promise.all(turns);
  }

  /** Ends the talk and waits until everything has arrived everywhere. */
  async quiet(ms = 40_000) {
    this.#stopped = true;
    for (const [user, client] of this.people) {
      await until(client, () => client.outbox().length === 0, `all that ${user} wrote is acknowledged`, ms);
    }
    const [[, first]] = this.people;
    const { room } = await first.request('room.get', { room_id: this.room_id });
    for (const [user, client] of this.people) {
      await until(client, () => client.positions()[this.room_id] >= room.head, `${user} is level`, ms);
    }
  }

  /** None lost, none doubled, order kept: for what was written, and for what each was given. `others` are frames that append beside the messages. */
  async check(others = 1) {
    assert.deepEqual(this.#trouble, []);
    const timeline = await this.#timeline();
    assert.deepEqual(timeline.map((event) => event.payload.seq), timeline.map((_, at) => at + 1), 'without holes');
    const messages = timeline.filter((event) => event.type === 'message');
    assert.equal(messages.length, this.#sent, 'as many as were written');
    assert.equal(this.#settled.size, this.#sent + others, 'each was acknowledged');
    assert.ok([...this.#settled.values()].every((times) => times === 1), 'once');
    for (const [user] of this.people) {
      const own = messages.filter((event) => event.payload.sender === user).map((event) => event.payload.body.text);
      assert.deepEqual(own, own.map((_, at) => `${user} ${at}`), `what ${user} wrote, once and in order`);
      const given = this.#received.get(user).map((event) => [event.payload.seq, event.msg_id]);
      assert.deepEqual(given, timeline.map((event) => [event.payload.seq, event.msg_id]), `what ${user} was given`);
    }
    return { events: timeline.length, given: timeline.length * this.people.length };
  }

  async #timeline() {
    const [[, client]] = this.people;
    const events = [];
    for (let complete = false; !complete;) {
      const after = events.at(-1)?.payload.seq ?? 0;
      const page = await client.request('history.get', { room_id: this.room_id, after, limit: 200 });
      events.push(...page.events);
      ({ complete } = page);
    }
    return events;
  }
}
