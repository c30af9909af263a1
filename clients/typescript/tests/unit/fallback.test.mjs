/**
 * What happens when the socket cannot be had. No server has events over HTTP yet: these tests run against one of their own
 * (`support/events.mjs`), which keeps what PROTOCOL says of them. What today's server answers is in `tests/server/fallback.test.mjs`.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Client, FallbackTransport, MemoryStorage, NodeSocketTransport, fixedToken, systemChance, systemNow } from '../../dist/node.js';
import { Carriers } from '../../dist/state.js';
import { StreamReader } from '../../dist/transport/sse.js';
import { Dice, seed } from '../support/dice.mjs';
import { EventsServer } from '../support/events.mjs';
import { ROOM } from '../support/model.mjs';
import { Proxy } from '../support/proxy.mjs';
import { heard, pass, until } from '../support/server.mjs';

const STEP = { timeout: 30_000 };

/** Runs with a server whose ways are these, and ends what was made. */
function withServer(ways, run) {
  return async () => {
    const server = await EventsServer.start(ways);
    const ends = [() => server.end()];
    const client = (options = {}, { url = server.url, ...ports } = {}) => {
      const made = new Client({ tokens: fixedToken('t1'), positions: { [ROOM]: 0 }, delivered_receipts: false, ...options }, {
        transport: new FallbackTransport(url, new NodeSocketTransport(url), { random: () => 0.999, ...ports }),
        storage: new MemoryStorage(), chance: systemChance, now: systemNow,
      });
      made.seqs = [];
      made.mine = [];
      made.states = [];
      made.on('event', ({ payload }) => { made.seqs.push(payload.seq); if (payload.client_msg_id) made.mine.push(payload.client_msg_id); });
      made.on('gap', () => made.seqs.push('gap'));
      made.on('state', ({ name }) => made.states.push(name));
      ends.push(() => made.stop());
      void made.start();
      return made;
    };
    try {
      await run({ server, client, later: (end) => ends.push(end) });
    } finally {
      for (const end of ends.reverse()) await end();
    }
  };
}

const upTo = (head) => Array.from({ length: head }, (_, at) => at + 1);
/** The client would put right what comes twice or not at all: nothing did. */
const exact = (client) => assert.deepEqual([client.stats.repeated, client.stats.pages], [0, 0]);
const level = (client, server) => until(client, () => client.seqs.length >= server.timeline.length, 'all events');

for (const [what, ways, call] of [
  ['server-sent events', {}, 'GET /v1/events/stream'],
  ['long poll, where a stream is not served', { stream: 501 }, 'POST /v1/events'],
  ['long poll, where something else answers', { stream: 'page' }, 'POST /v1/events'],
  ['long poll, where a proxy keeps the stream to itself', { stream: 'withheld' }, 'POST /v1/events'],
  ['server-sent events, after a refusal for good', { socket: 403 }, 'GET /v1/events/stream'],
]) {
  test(`a socket that cannot be had is replaced by ${what}`, STEP, withServer(ways, async ({ server, client }) => {
    for (let count = 0; count < 12; count += 1) server.post();
    const ana = client({ user_id: 'ana' }, { times: { silence: 300 } });
    const { seq } = await ana.send(ROOM, 'over HTTP').done;
    assert.equal(seq, 13);
    server.post();
    await level(ana, server);
    assert.deepEqual(ana.seqs, upTo(14));
    exact(ana);
    assert.deepEqual([server.calls['message.send'], server.calls.welcome], [1, 1]);
    assert.ok(server.calls[call] >= 1);
    assert.equal(server.calls.socket, ways.socket === 403 ? 1 : 2);
    assert.equal(server.headers.at(-1)['parlor-device'], undefined);
  }));
}

test('whether a frame is kept is known once the storage has it or has refused it, and not before', STEP, async () => {
  const held = [];
  let letGo;
  const storage = {
    load: async () => [],
    put: (entry) => new Promise((resolve, reject) => { letGo = { resolve: () => { held.push(entry.msg_id); resolve(); }, reject }; }),
    remove: async () => {},
  };
  const client = new Client({ tokens: fixedToken('t1'), outbox_max: 2 }, {
    transport: new NodeSocketTransport('ws://127.0.0.1:1/v1/ws'), storage, chance: systemChance, now: systemNow,
  });
  let known = 0;
  for (const [round, way] of [[1, 'resolve'], [2, 'reject']]) {
    const sending = client.send(ROOM, way);
    void sending.kept.then(() => { known += 1; });
    await pass(20);
    assert.equal(known, round - 1);
    letGo[way](new Error('full'));
    assert.equal(await sending.kept, way === 'resolve');
    assert.equal(client.outbox().at(-1).msg_id, sending.msg_id);
  }
  assert.equal(held.length, 1);
  assert.equal(client.stats.unstored, 1);
  // The outbox has its bound: nothing more comes in, nor what is in it already.
  for (const msg_id of [undefined, client.outbox()[0].msg_id]) {
    const sending = client.append('message.send', { room_id: ROOM, body: { text: 'more' } }, msg_id);
    assert.equal(await sending.kept, false);
    await assert.rejects(sending.done, { code: msg_id ? 'conflict' : 'full' });
  }
});

test('cuts in the middle of a stream, a poll and a reply lose nothing and double nothing', { timeout: 90_000 }, withServer({}, async ({ server, client, later }) => {
  const dice = new Dice(seed());
  const proxy = await Proxy.start(server.port);
  later(() => proxy.end());
  // Streams cut at once are opened again all the same.
  const ana = client({ user_id: 'ana' }, { url: proxy.url, times: { stable: 0 } });
  await until(ana, () => ana.state.name === 'online', 'online');
  const sent = [];
  const quiet = async () => {
    while (ana.state.name !== 'online' || ana.outbox().length > 0 || ana.seqs.length < server.timeline.length) { ana.hurry(); await pass(5); }
  };
  for (let cut = 0; cut < 60; cut += 1) {
    if (cut === 40) server.stream = 501;
    // Of two cuts one hits what brings events, the other whatever is under way.
    if (cut % 2 === 0) await quiet();
    else sent.push(ana.send(ROOM, `${cut}`), ana.send(ROOM, `${cut} again`));
    const hit = proxy.cutAfter(1 + dice.below(600), cut % 2 === 1 && dice.below(2) === 0 ? 'up' : 'down');
    server.losesReplies = dice.below(4) === 0;
    for (let count = 0; count < 3; count += 1) server.post();
    await Promise.race([hit, pass(100).then(() => proxy.cut())]);
    ana.hurry();
  }
  await quiet();
  const acks = await Promise.all(sent.map(({ done }) => done));
  await level(ana, server);
  assert.deepEqual(ana.seqs, upTo(server.timeline.length));
  assert.deepEqual(ana.mine, sent.map(({ msg_id }) => msg_id));
  assert.equal(new Set(acks.map(({ seq }) => seq)).size, 60);
  assert.equal(server.timeline.length, 240);
  assert.ok(server.calls['GET /v1/events/stream'] >= 20 && server.calls['POST /v1/events'] >= 20, JSON.stringify(server.calls));
  assert.ok(proxy.cuts >= 60 && proxy.torn >= 10, `${proxy.cuts} cuts, ${proxy.torn} torn`);
}));

test('the socket is tried meanwhile and taken back, without a repeat, a skip or a second effect', STEP, withServer({}, async ({ server, client, later }) => {
  // Waits of 0.02 of 10 s, 20 s …
  const ana = client({ user_id: 'ana' }, { random: () => 0.02 });
  await until(ana, () => ana.state.name === 'online', 'online over HTTP');
  const posting = setInterval(() => server.post(), 5);
  later(() => clearInterval(posting));
  const sent = Array.from({ length: 20 }, (_, at) => ana.send(ROOM, `before ${at}`));
  await pass(300);
  server.socket = 'served';
  while (!server.hellos.some(({ rooms }) => rooms === 'all')) await heard(ana, 'event');
  await until(ana, () => ana.state.name === 'online', 'online over the socket');
  const http = server.calls['POST /v1/frames'];
  sent.push(ana.send(ROOM, 'after'));
  await Promise.all(sent.map(({ done }) => done));
  clearInterval(posting);
  await level(ana, server);
  assert.deepEqual(ana.seqs, upTo(server.timeline.length));
  assert.deepEqual(ana.mine, sent.map(({ msg_id }) => msg_id));
  assert.equal(server.calls['POST /v1/frames'], http);
  const [knock, hello] = server.hellos;
  assert.deepEqual([knock.rooms, knock.resume, hello.rooms, typeof hello.resume.rooms[ROOM]], ['none', undefined, 'all', 'number']);
  // And lost again: over HTTP from where it was.
  server.socket = 'cut';
  server.cut();
  server.post();
  await level(ana, server);
  assert.deepEqual(ana.seqs, upTo(server.timeline.length));
}));

for (const status of [404, 501, 503]) {
  test(`a server that answers ${status} is asked once in ten minutes, and all is as over the socket alone`, STEP, withServer({ poll: status }, async ({ server, client }) => {
    let now = 0;
    const ana = client({}, { now: () => now });
    while (server.calls.socket !== 6) { ana.hurry(); await pass(5); }
    assert.equal(server.calls['POST /v1/events'], 1);
    assert.deepEqual(new Set(ana.states), new Set(['connecting', 'waiting']));
    now = 600_000;
    while (server.calls['POST /v1/events'] !== 2) { ana.hurry(); await pass(5); }
    server.socket = 'served';
    while (ana.state.name !== 'online') { ana.hurry(); await pass(5); }
    assert.equal((await ana.send(ROOM, 'hi').done).seq, 1);
    assert.equal(server.calls['GET /v1/events/stream'], undefined);
  }));
}

test('a refusal for good stops the client as ever where HTTP has nothing', STEP, withServer({ socket: 426, poll: 404 }, async ({ server, client }) => {
  const ana = client();
  const { reason } = await heard(ana, 'state', ({ name }) => name === 'stopped');
  assert.deepEqual([reason.why, server.calls.socket, server.calls['POST /v1/events']], ['refused', 1, 1]);
}));

test('a token that ended is renewed, over HTTP as over a socket', STEP, withServer({}, async ({ server, client }) => {
  const needs = [];
  const tokens = {
    async token(need) {
      needs.push(need);
      if (need === 'rejected') server.token = 't2';
      return needs.includes('rejected') ? 't2' : 't1';
    },
  };
  const ana = client({ tokens });
  await until(ana, () => ana.state.name === 'online', 'online');
  server.post();
  await level(ana, server);
  server.token = 'none';
  server.cut();
  await heard(ana, 'state', ({ name }) => name === 'online');
  server.post();
  await level(ana, server);
  assert.deepEqual(ana.seqs, [1, 2]);
  assert.equal(needs.at(-1), 'rejected');
}));

test('a token that is about to end is replaced without a new connection', STEP, withServer({}, async ({ server, client }) => {
  const tokens = { async token(need) { return need === 'expiring' ? server.token = 't2' : 't1'; } };
  const ana = client({ tokens });
  await until(ana, () => ana.state.name === 'online', 'online');
  server.post();
  await level(ana, server);
  server.say({ type: 'auth.expiring', payload: { expires_at: '2026-01-01T00:00:01.000Z' } });
  while (server.token !== 't2') await pass(10);
  assert.equal((await ana.send(ROOM, 'with the new one').done).seq, 2);
  server.cut();
  server.post();
  await level(ana, server);
  assert.deepEqual([ana.seqs, server.calls.welcome], [[1, 2, 3], 1]);
  exact(ana);
}));

test('what has carried is not given up for a 503, as of a node that drains', STEP, withServer({ stream: 501 }, async ({ server, client }) => {
  const ana = client({}, { times: { poll: 50 } });
  await until(ana, () => ana.state.name === 'online', 'online');
  server.poll = 503;
  await heard(ana, 'state', ({ name }) => name === 'waiting');
  server.post();
  server.poll = 'served';
  ana.hurry();
  await level(ana, server);
  assert.deepEqual(ana.seqs, [1]);
}));

test('what needs a socket is refused as such, and the rest is answered', STEP, withServer({}, async ({ client }) => {
  const ana = client();
  await until(ana, () => ana.state.name === 'online', 'online');
  for (const type of ['room.subscribe', 'room.unsubscribe', 'presence.watch', 'presence.unwatch']) {
    await assert.rejects(ana.request(type, { room_id: ROOM, user_ids: [] }), { code: 'socket_only' });
  }
  assert.deepEqual((await ana.request('history.get', { room_id: ROOM, after: 0, limit: 10 })).events, []);
}));

test('events of rooms that are not wanted are not handed out', STEP, withServer({}, async ({ server, client }) => {
  const ana = client({ rooms: 'none', positions: {} });
  await until(ana, () => ana.state.name === 'online', 'online');
  server.post();
  const typed = await Promise.race([heard(ana, 'notice', ({ type }) => type === 'typing', 2_000).catch(() => 'none'), pass(300)]);
  assert.deepEqual([ana.seqs, typed], [[], undefined]);
}));

test('a socket that does not answer counts as one that cannot be had', STEP, withServer({ socket: 'silent' }, async ({ server, later }) => {
  const transport = new FallbackTransport(server.url, new NodeSocketTransport(server.url));
  const open = () => {
    const hello = JSON.stringify({ type: 'hello', msg_id: 'h', payload: { token: 't1', rooms: 'all' } });
    const link = transport.open({ opened: () => link.send(hello), text: (text) => told(JSON.parse(text).type), alive() {}, closed() {} });
    later(() => link.drop(1000));
    return link;
  };
  let told;
  const welcome = new Promise((done) => { told = done; });
  for (let count = 0; count < 2; count += 1) {
    const link = open();
    await pass(50);
    // As the state does after ten seconds.
    link.drop();
  }
  open();
  assert.equal(await welcome, 'welcome');
  assert.equal(server.calls.socket, 2);
}));

test('carriers: two failures in a row, not those that HTTP would meet as well; waits double to five minutes', () => {
  const carriers = new Carriers();
  assert.equal(carriers.socketFailed({}, 0), false);
  carriers.socketHad();
  assert.equal(carriers.socketFailed({ reason: 'gone' }, 0), false);
  for (const end of [{ code: 4500 }, { status: 401 }, { status: 429 }, { status: 503 }]) assert.equal(carriers.socketFailed(end, 0), false);
  assert.equal(carriers.socketAway(0), false);
  assert.equal(carriers.socketFailed({ status: 502 }, 0), true);
  carriers.bar('poll', 0);
  assert.deepEqual([carriers.socketAway(599_999), carriers.socketAway(600_000)], [false, true]);
  assert.deepEqual(Array.from({ length: 7 }, () => carriers.retryIn(() => 0.5)), [5_000, 10_000, 20_000, 40_000, 80_000, 150_000, 150_000]);
});

test('a stream is read in pieces of any size and with any line ends; what was cut is not given out', () => {
  const said = 'id: 1\r\nevent: message\r\ndata: {"a":\r\ndata: "ü"}\r\n\r\n: here\n\ndata:x\r\rid\n\nid: 2\ndata: y: z\n\nid: 3\ndata: lost\n';
  const wanted = [{ data: '{"a":\n"ü"}', id: '1' }, { data: 'x', id: undefined }, { data: 'y: z', id: '2' }];
  for (let piece = 1; piece <= said.length; piece += 1) {
    const reader = new StreamReader();
    const events = [];
    for (let at = 0; at < said.length; at += piece) events.push(...reader.push(said.slice(at, at + piece)));
    assert.deepEqual(events, wanted, `pieces of ${piece}`);
  }
  assert.throws(() => new StreamReader().push(`data: ${'x'.repeat(2 * 1024 * 1024)}`), /too large/);
});
