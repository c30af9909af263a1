/** The whole state: what goes over a connection, when. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { ClientState } from '../../dist/state.js';
import { ROOM, SETTINGS, eventFrame, ids, welcomeFrame } from '../support/model.mjs';

class Rig {
  sent = [];
  told = [];
  answers = [];
  forgotten = [];
  did = [];

  constructor(settings = {}) {
    this.state = new ClientState({ ...SETTINGS, ...settings }, { random: () => 0.5, id: ids() });
  }

  do(input, ...given) {
    this.state[input](...given);
    for (const effect of this.state.take()) {
      if (effect.do === 'send') this.sent.push(JSON.parse(effect.text));
      else if (effect.do === 'tell') this.told.push(effect.notice);
      else if (effect.do === 'answer') this.answers.push(effect);
      else if (effect.do === 'forget') this.forgotten.push(effect.msg_id);
      else this.did.push(effect.do);
    }
    this.state.checkInvariants();
    return this;
  }

  hear(frame, now = 0) { return this.do('text', now, JSON.stringify(frame)); }

  online(rooms = [], now = 0) {
    if (this.state.stopped || this.did.length === 0) this.do('start', now);
    return this.do('token', now, 't').do('opened', now).hear(welcomeFrame(rooms), now);
  }

  heard(name) { return this.told.filter((notice) => notice.name === name).map((notice) => notice.value); }
  last(type) { return this.sent.filter((frame) => frame.type === type).at(-1); }
}

const room = (more = {}) => ({ room_id: ROOM, kind: 'group', public: false, created_at: '2026-01-01T00:00:00.000Z', head: 7, mode: 'active', role: 'member', read: 3, delivered: 7, ...more });
const message = (msg_id, text = msg_id) => ({ msg_id, type: 'message.send', payload: { room_id: ROOM, body: { text } } });

test('hello carries token, device and positions, and nothing goes before welcome', () => {
  const rig = new Rig({ positions: { [ROOM]: 4 } });
  rig.do('append', 0, message('m1')).do('ask', 0, 'q1', 'room.list', {});
  rig.do('start', 0).do('token', 0, 't').do('opened', 0);
  assert.deepEqual(rig.sent.map((frame) => frame.type), ['hello']);
  assert.deepEqual(rig.sent[0].payload, { token: 't', device: { id: 'd' }, rooms: 'all', presence: 'online', resume: { rooms: { [ROOM]: 4 } } });
  rig.hear(welcomeFrame());
  assert.deepEqual(rig.sent.map((frame) => frame.type), ['hello', 'message.send', 'room.list']);
});

test('a room of the list begins at its head; the next connection resumes from what was delivered', () => {
  const rig = new Rig().online([room()]);
  rig.hear(eventFrame(8)).hear(eventFrame(9)).hear(eventFrame(9));
  assert.deepEqual(rig.heard('event').map((event) => event.payload.seq), [8, 9]);
  rig.do('closed', 10, {}).do('tick', 1_000).online([room()], 1_000);
  assert.deepEqual(rig.last('hello').payload.resume, { rooms: { [ROOM]: 9 } });
  assert.equal(rig.state.stats.repeated, 1);
});

test('positions that do not fit into hello follow by room.subscribe', () => {
  const positions = Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`0191f0c2-7b00-7000-8000-${String(at).padStart(12, '0')}`, at + 1]));
  const rig = new Rig({ positions });
  rig.do('start', 0).do('token', 0, 't').do('opened', 0);
  const hello = JSON.stringify(rig.sent[0]);
  assert.ok(hello.length <= 65_536 && hello.length > 64_000, `${hello.length}`);
  const resumed = Object.keys(rig.sent[0].payload.resume.rooms).length;
  rig.hear(welcomeFrame());
  for (let turn = 0; turn < 2_000; turn += 1) {
    const subscribes = rig.sent.filter((frame) => frame.type === 'room.subscribe');
    if (subscribes.length === turn) break;
    rig.hear({ type: 'ack', msg_id: subscribes[turn].msg_id, payload: { head: 1, read: 0, unread: 0 } });
  }
  const subscribes = rig.sent.filter((frame) => frame.type === 'room.subscribe').map((frame) => frame.payload);
  assert.equal(subscribes.length + resumed, 2_000);
  assert.deepEqual(subscribes[0], { room_id: Object.keys(positions)[resumed], after: resumed + 1 });
});

test('where positions that did not fit need a socket, they are kept, and the next event shows the hole', () => {
  const positions = Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`0191f0c2-7b00-7000-8000-${String(at).padStart(12, '0')}`, at + 1]));
  const rig = new Rig({ positions }).online();
  const { msg_id, payload: { room_id, after } } = rig.last('room.subscribe');
  rig.hear({ type: 'error', msg_id, payload: { code: 'socket_only', message: 'no socket' } });
  assert.deepEqual([rig.state.online, rig.state.positions()[room_id], rig.heard('notice')], [true, after, []]);
  rig.hear(eventFrame(after + 3, {}, room_id));
  assert.equal(rig.heard('event').length, 0);
  // The array grows while it is gone through.
  for (const { type, msg_id: id } of rig.sent) if (type === 'room.subscribe') rig.hear({ type: 'error', msg_id: id, payload: { code: 'socket_only', message: 'no socket' } });
  assert.deepEqual(rig.last('history.get').payload, { room_id, after, limit: 200 });
});

test('an entry is settled by its ack, kept over a lost connection, and sent with the same id', () => {
  const rig = new Rig().online();
  rig.do('append', 0, message('m1')).do('append', 0, message('m2'));
  assert.deepEqual(rig.sent.slice(1).map((frame) => frame.msg_id), ['m1']);
  rig.do('closed', 5, {}).do('tick', 1_000).online([], 1_000);
  assert.deepEqual(rig.last('message.send'), { type: 'message.send', msg_id: 'm1', payload: { room_id: ROOM, body: { text: 'm1' } } });
  assert.equal(rig.state.stats.resent, 1);
  rig.hear({ type: 'ack', msg_id: 'm1', payload: { seq: 8, duplicate: true } }, 1_000);
  assert.deepEqual(rig.forgotten, ['m1']);
  assert.deepEqual(rig.answers.map(({ msg_id, ack }) => [msg_id, ack.seq]), [['m1', 8]]);
  assert.deepEqual(rig.heard('settled').map(({ entry }) => entry.msg_id), ['m1']);
  assert.equal(rig.last('message.send').msg_id, 'm2');
});

test('an entry refused for good is settled with its error, and the next one goes', () => {
  const rig = new Rig().online();
  rig.do('append', 0, message('m1')).do('append', 0, message('m2'));
  rig.hear({ type: 'error', msg_id: 'm1', payload: { code: 'forbidden', message: 'no' } });
  assert.deepEqual(rig.forgotten, ['m1']);
  assert.deepEqual(rig.answers.map(({ msg_id, error }) => [msg_id, error.code]), [['m1', 'forbidden']]);
  assert.deepEqual(rig.heard('settled').map(({ entry, error }) => [entry.msg_id, error.code]), [['m1', 'forbidden']]);
  assert.equal(rig.last('message.send').msg_id, 'm2');
});

test('an entry discarded by the application is answered, and forgotten', () => {
  const rig = new Rig();
  rig.do('append', 0, message('m1')).do('discard', 'm1');
  assert.deepEqual([rig.forgotten, rig.answers.map(({ error }) => error.code), rig.state.entries()], [['m1'], ['discarded'], []]);
});

test('an entry without an answer in time ends the connection', () => {
  const rig = new Rig().online();
  rig.do('append', 100, message('m1'));
  assert.equal(rig.state.deadline(), 15_100);
  rig.do('tick', 15_100);
  assert.equal(rig.did.at(-1), 'drop');
});

test('the token of somebody else stops the client before anything is sent', () => {
  const rig = new Rig({ user_id: 'bo' });
  rig.do('append', 0, message('m1')).online();
  assert.deepEqual(rig.sent.map((frame) => frame.type), ['hello']);
  assert.equal(rig.heard('state').at(-1).reason.why, 'refused');
  assert.deepEqual(rig.state.entries().map((entry) => entry.msg_id), ['m1']);
});

test('who asks is answered once: by the reply, the loss, the end of time, or stopping', () => {
  const rig = new Rig().online();
  for (const id of ['q1', 'q2', 'q3']) rig.do('ask', 0, id, 'room.get', { room_id: ROOM });
  rig.hear({ type: 'error', msg_id: 'q1', payload: { code: 'not_found', message: 'none' } });
  rig.hear({ type: 'error', msg_id: 'q1', payload: { code: 'not_found', message: 'none' } });
  rig.do('closed', 5, {});
  rig.do('ask', 6, 'q4', 'room.get', { room_id: ROOM }).do('tick', 15_006);
  rig.do('ask', 15_010, 'q5', 'room.get', { room_id: ROOM }).do('stop', 15_011);
  rig.do('ask', 15_012, 'q6', 'room.get', { room_id: ROOM });
  assert.deepEqual(rig.answers.map(({ msg_id, error }) => [msg_id, error.code]),
    [['q1', 'not_found'], ['q2', 'disconnected'], ['q3', 'disconnected'], ['q4', 'timeout'], ['q5', 'stopped'], ['q6', 'stopped']]);
});

test('a question above the frame size is refused here, since the server would close', () => {
  const rig = new Rig().online();
  rig.do('ask', 0, 'q1', 'user.update', { name: 'x'.repeat(70_000) });
  assert.equal(rig.answers[0].error.code, 'too_large');
  assert.equal(rig.sent.length, 1);
});

test('what others say is acknowledged as delivered, once for many, and not what one says oneself', () => {
  const rig = new Rig().online([room()]);
  rig.hear(eventFrame(8), 100).hear(eventFrame(9), 200).hear(eventFrame(10, { sender: 'ana' }), 300);
  rig.do('tick', 600);
  assert.deepEqual(rig.sent.slice(1).map(({ type, payload }) => [type, payload.seq]), [['receipt.delivered', 9]]);
});

test('rooms come and go', () => {
  const rig = new Rig().online();
  rig.hear({ type: 'room.added', payload: { room: room({ head: 0 }) } });
  rig.hear(eventFrame(1, {}, ROOM));
  assert.deepEqual(rig.state.positions(), { [ROOM]: 1 });
  rig.hear({ type: 'room.removed', payload: { room_id: ROOM, reason: 'left' } });
  assert.deepEqual(rig.state.positions(), {});
  assert.deepEqual(rig.heard('notice').map((frame) => frame.type), ['room.added', 'room.removed']);
});

test('a subscription moves the position: after, the head, or none in a passive room', () => {
  const subscribe = (rig, id, payload) => rig.do('ask', 0, id, 'room.subscribe', { room_id: ROOM, ...payload })
    .hear({ type: 'ack', msg_id: id, payload: { head: 20, read: 0, unread: 0 } }).state.positions()[ROOM];
  const rig = new Rig().online();
  assert.equal(subscribe(rig, 'q1', {}), 20);
  assert.equal(subscribe(rig, 'q2', { after: 5 }), 5);
  assert.equal(subscribe(rig, 'q3', { mode: 'passive' }), undefined);
  assert.equal(subscribe(rig, 'q4', { mode: 'active' }), 20);
});

test('typing is throttled and waits for no connection', () => {
  const rig = new Rig();
  rig.do('typing', 0, ROOM, 'start').online([], 10);
  for (let now = 20; now < 3_000; now += 100) rig.do('typing', now, ROOM, 'start');
  rig.do('typing', 3_000, ROOM, 'stop').do('typing', 3_010, ROOM, 'stop');
  assert.deepEqual(rig.sent.slice(1).map((frame) => [frame.type, frame.msg_id]), [['typing.start', undefined], ['typing.stop', undefined]]);
});

test('a fresh token goes over the connection', () => {
  const rig = new Rig().online();
  // The server says 60 s, by its own clock.
  rig.hear({ type: 'auth.expiring', payload: { expires_at: '2026-01-01T00:01:10.000Z' } }, 10_000);
  rig.hear({ type: 'pong' }, 30_000).do('tick', 32_500);
  assert.equal(rig.did.pop(), 'ask_token');
  rig.do('token', 32_600, 't2');
  const { payload, msg_id } = rig.last('auth.refresh');
  assert.deepEqual(payload, { token: 't2' });
  rig.hear({ type: 'error', msg_id, payload: { code: 'unavailable', message: 'no', retry_after_ms: 500 } }, 32_700).do('tick', 50_000);
  assert.equal(rig.did.pop(), 'ask_token', 'again, while the old one holds');
  rig.do('token', 50_100, 't3');
  rig.hear({ type: 'ack', msg_id: rig.last('auth.refresh').msg_id, payload: { expires_at: '2026-01-01T01:00:00.000Z' } }, 50_200);
  rig.do('tick', 69_000);
  assert.notEqual(rig.did.at(-1), 'ask_token', 'nothing more is to be renewed');
});

test('frames nobody knows are passed over; an event of an unknown kind takes its place', () => {
  const rig = new Rig().online([room()]);
  for (const text of ['', '[]', '{}', '{"type":1}', '{"type":"x","payload":[]}', '{"type":"future","payload":{"a":1}}', '{"type":"ack","msg_id":"who"}']) rig.do('text', 0, text);
  rig.hear({ ...eventFrame(8), type: 'message.sung' });
  assert.deepEqual(rig.heard('event').map((event) => event.type), ['message.sung']);
  assert.equal(rig.state.positions()[ROOM], 8);
  assert.equal(rig.state.stats.unreadable, 5);
});
