/** Outbox, timelines, receipts, typing and requests, each alone. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Outbox, Receipts, Requests, Timelines, Typing } from '../../dist/state.js';
import { ParlorError } from '../../dist/node.js';
import { ROOM, eventFrame } from '../support/model.mjs';

const LIMITS = { body_bytes: 100, frame_bytes: 400 };
const entry = (msg_id, room_id = ROOM, text = msg_id) => ({ msg_id, type: 'message.send', payload: { room_id, body: { text } } });
const sent = (due) => due.map((one) => one.entry.msg_id);
const seqs = (deliveries) => deliveries.map((one) => (one.kind === 'event' ? one.event.payload.seq : `${one.kind} ${one.from ?? ''}-${one.to ?? one.head}`));
const page = (from, to, more = {}) => ({
  events: Array.from({ length: to - from + 1 }, (_, at) => eventFrame(from + at)), head: to, first: 1, complete: true, ...more,
});

test('outbox: one of each room is in flight, the oldest', () => {
  const outbox = new Outbox(10);
  for (const [id, room] of [['1', 'a'], ['2', 'a'], ['3', 'b'], ['4', 'a']]) assert.ok(outbox.push(entry(id, room)));
  assert.deepEqual(sent(outbox.due(0, LIMITS)), ['1', '3']);
  assert.deepEqual(sent(outbox.due(0, LIMITS)), []);
  outbox.remove('1');
  assert.deepEqual(sent(outbox.due(0, LIMITS)), ['2']);
  outbox.connectionLost();
  const due = outbox.due(0, LIMITS);
  assert.deepEqual(sent(due), ['2', '3']);
  assert.ok(due.every(({ again }) => again));
  outbox.checkInvariants();
});

test('outbox: bounded, and one id is there once', () => {
  const outbox = new Outbox(2);
  assert.ok(outbox.push(entry('1')));
  assert.ok(!outbox.push(entry('1')));
  assert.ok(outbox.push(entry('2')));
  assert.ok(!outbox.push(entry('3')));
  outbox.checkInvariants();
});

test('outbox: a temporary refusal holds the room back, another ends the entry', () => {
  const outbox = new Outbox(10);
  outbox.push(entry('1'));
  outbox.push(entry('2'));
  outbox.due(0, LIMITS);
  assert.ok(outbox.refused('1', new ParlorError('unavailable', 'later', { retry_after_ms: 500 }), 0, () => 0.5));
  assert.equal(outbox.heldUntil(), 550);
  assert.deepEqual(sent(outbox.due(549, LIMITS)), []);
  assert.deepEqual(sent(outbox.due(550, LIMITS)), ['1']);
  assert.ok(!outbox.refused('1', new ParlorError('forbidden', 'no'), 600, () => 0.5));
  outbox.remove('1');
  assert.deepEqual(sent(outbox.due(600, LIMITS)), ['2']);
  // A rate may be met any number of times; trouble may not.
  const refuse = (code) => outbox.refused('2', new ParlorError(code, 'later'), 0, () => 0);
  for (let turn = 0; turn < 100; turn += 1) assert.ok(refuse('rate_limited'));
  let kept = 0;
  while (refuse('internal')) kept += 1;
  assert.equal(kept, 25);
});

test('outbox: what the server would find too large is not sent', () => {
  const outbox = new Outbox(10);
  outbox.push(entry('1', ROOM, 'ü'.repeat(60)));
  outbox.push({ ...entry('2'), payload: { room_id: ROOM, body: { text: 'x' }, mentions: ['m'.repeat(400)] } });
  outbox.push(entry('3'));
  const due = outbox.due(0, LIMITS);
  assert.deepEqual(due.map((one) => one.error?.code ?? 'sent'), ['too_large', 'too_large', 'sent']);
  assert.equal(outbox.size, 1);
});

test('timelines: next, again, and beyond a hole', () => {
  const timelines = new Timelines({ [ROOM]: 4 });
  assert.deepEqual(seqs(timelines.event(eventFrame(4))), []);
  assert.deepEqual(seqs(timelines.event(eventFrame(5))), [5]);
  assert.deepEqual(seqs(timelines.event(eventFrame(5))), []);
  assert.deepEqual(seqs(timelines.event(eventFrame(8))), []);
  assert.deepEqual(seqs(timelines.event(eventFrame(9))), []);
  const [asked] = timelines.due(0, 8);
  assert.equal(asked.after, 5);
  assert.deepEqual(timelines.due(0, 8), []);
  assert.deepEqual(seqs(timelines.page(asked, page(6, 7))), [6, 7, 8, 9]);
  assert.deepEqual(timelines.due(0, 8), []);
  assert.deepEqual(timelines.positions(), { [ROOM]: 9 });
  timelines.checkInvariants();
});

test('timelines: a room begins with its first event', () => {
  assert.deepEqual(seqs(new Timelines().event(eventFrame(70))), [70]);
});

test('timelines: a gap is read back, and told only where nothing is kept', () => {
  const timelines = new Timelines({ [ROOM]: 4 });
  timelines.gap({ room_id: ROOM, from: 5, to: 20, head: 22 });
  timelines.event(eventFrame(21));
  const [asked] = timelines.due(0, 8);
  assert.deepEqual(seqs(timelines.page(asked, page(8, 12, { first: 8, head: 22, complete: false }))), ['gap 5-7', 8, 9, 10, 11, 12]);
  const [more] = timelines.due(0, 8);
  assert.equal(more.after, 12);
  assert.deepEqual(seqs(timelines.page(more, { events: [], head: 22, first: 21, complete: true })), ['gap 13-20', 21]);
  timelines.checkInvariants();
});

test('timelines: what waits in a hole of the server is delivered in its place', () => {
  const timelines = new Timelines({ [ROOM]: 4 });
  timelines.event(eventFrame(7));
  timelines.event(eventFrame(12));
  const [asked] = timelines.due(0, 8);
  assert.deepEqual(seqs(timelines.page(asked, page(10, 11, { first: 10, head: 12 }))), ['gap 5-6', 7, 'gap 8-9', 10, 11, 12]);
});

test('timelines: a page that brings nothing beyond what came meanwhile is no gap', () => {
  const timelines = new Timelines({ [ROOM]: 4 });
  timelines.event(eventFrame(8));
  const [asked] = timelines.due(0, 8);
  assert.deepEqual(seqs(timelines.event(eventFrame(5))), [5]);
  assert.deepEqual(seqs(timelines.page(asked, page(5, 5, { first: 1, head: 8, complete: false }))), []);
  const [again] = timelines.due(0, 8);
  assert.equal(again.after, 5);
  assert.deepEqual(seqs(timelines.page(again, page(6, 7, { first: 1, head: 8, complete: false }))), [6, 7, 8]);
});

test('timelines: a reset goes on after the head, and a page of the past is not taken', () => {
  const timelines = new Timelines({ [ROOM]: 40 });
  timelines.event(eventFrame(42));
  const [asked] = timelines.due(0, 8);
  assert.deepEqual(seqs(timelines.gap({ room_id: ROOM, from: 1, to: 3, head: 3, reset: true })), ['reset -3']);
  assert.deepEqual(seqs(timelines.page(asked, page(41, 42))), []);
  timelines.event(eventFrame(6));
  const [again] = timelines.due(0, 8);
  assert.deepEqual(seqs(timelines.page(asked, page(41, 42))), [], 'nor for the new question');
  assert.deepEqual(seqs(timelines.page(again, page(4, 6))), [4, 5, 6]);
});

test('timelines: live beyond the position is a hole', () => {
  const timelines = new Timelines({ [ROOM]: 4 });
  timelines.live(ROOM, 4);
  assert.deepEqual(timelines.due(0, 8), []);
  timelines.live(ROOM, 6);
  assert.deepEqual(timelines.due(0, 8).map(({ after }) => after), [4]);
});

test('timelines: what does not fit behind a hole is read back', () => {
  const timelines = new Timelines({ [ROOM]: 0 });
  for (let seq = 2; seq <= 700; seq += 1) timelines.event(eventFrame(seq));
  timelines.checkInvariants();
  const delivered = [];
  for (let [asked] = timelines.due(0, 8); asked; [asked] = timelines.due(0, 8)) {
    delivered.push(...seqs(timelines.page(asked, page(asked.after + 1, Math.min(700, asked.after + 200), { head: 700 }))));
    timelines.checkInvariants();
  }
  assert.deepEqual(delivered, Array.from({ length: 700 }, (_, at) => at + 1));
});

test('timelines: a page refused for now is asked again later, one refused for good is a gap', () => {
  const timelines = new Timelines({ [ROOM]: 0 });
  timelines.event(eventFrame(3));
  const [asked] = timelines.due(0, 8);
  assert.deepEqual(timelines.refused(asked, true, 0, () => 0.5), []);
  assert.equal(timelines.deadline(), 50);
  assert.deepEqual(timelines.due(49, 8), []);
  const [again] = timelines.due(50, 8);
  assert.deepEqual(seqs(timelines.refused(again, false, 50, () => 0.5)), ['gap 1-2', 3]);
  timelines.checkInvariants();
});

test('receipts: of many the last goes out, and only forward', () => {
  const receipts = new Receipts();
  for (const seq of [3, 5, 4]) receipts.note('read', ROOM, seq, 0);
  assert.equal(receipts.deadline(), 150);
  assert.deepEqual(receipts.due(149), []);
  const [first] = receipts.due(150);
  assert.deepEqual(first, { kind: 'read', room_id: ROOM, seq: 5 });
  receipts.note('read', ROOM, 8, 160);
  assert.deepEqual(receipts.due(1_000), [], 'one is in flight');
  receipts.acked(first, 1_000);
  assert.deepEqual(receipts.due(1_150).map(({ seq }) => seq), [8]);
  receipts.connectionLost(1_200);
  assert.deepEqual(receipts.due(1_200).map(({ seq }) => seq), [8], 'said again');
  receipts.known('read', ROOM, 9);
  receipts.note('read', ROOM, 9, 2_000);
  assert.equal(receipts.deadline(), undefined);
});

test('receipts: read covers delivered, and a room that takes none is left alone', () => {
  const receipts = new Receipts();
  receipts.note('delivered', ROOM, 5, 0);
  receipts.note('read', ROOM, 5, 0);
  const due = receipts.due(500);
  assert.deepEqual(due.map(({ kind }) => kind), ['read']);
  receipts.refused(due[0], false, 0, 500);
  receipts.note('read', ROOM, 6, 600);
  assert.equal(receipts.deadline(), undefined);
  receipts.forget(ROOM);
  receipts.note('read', ROOM, 7, 700);
  assert.equal(receipts.deadline(), 850);
});

test('typing: one start in three seconds, a stop only after a start', () => {
  const typing = new Typing();
  assert.ok(!typing.stop(ROOM, 0));
  const told = [];
  for (let now = 0; now <= 9_000; now += 100) if (typing.start(ROOM, now)) told.push(now);
  assert.deepEqual(told, [0, 3_000, 6_000, 9_000]);
  assert.ok(typing.stop(ROOM, 9_100));
  assert.ok(!typing.stop(ROOM, 9_200));
  typing.start(ROOM, 10_000);
  typing.connectionLost();
  assert.ok(!typing.stop(ROOM, 10_100));
});

test('requests: bounded, in flight and in all; lost with the connection or late', () => {
  const requests = new Requests();
  for (let id = 0; id < 1_000; id += 1) assert.ok(requests.push(`${id}`, '', { for: 'application' }, 100 + id));
  assert.ok(!requests.push('more', '', { for: 'application' }, 0));
  assert.equal(requests.due().length, 32);
  assert.equal(requests.due().length, 0);
  assert.equal(requests.settle('3').msg_id, '3');
  assert.deepEqual(requests.due().map(({ msg_id }) => msg_id), ['32']);
  assert.equal(requests.connectionLost().length, 32);
  assert.deepEqual(requests.late(133).map(({ msg_id }) => msg_id), ['33']);
  requests.checkInvariants();
});
