/**
 * From events to rows: days, groups of one person, the line before the unread, who has read up to where.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './support/load.mjs';

const { Room } = await load('/src/state/room.ts');
const { rowsOf } = await load('/src/state/rows.ts');

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const message = (seq, sender, at_ms) => ({ type: 'message', msg_id: `${seq}`, payload: { room_id: 'r', seq, sender, sent_at: new Date(at_ms).toISOString(), body: { text: `${seq}` } } });

function roomOf(events, info = {}) {
  const room = new Room({ room_id: 'r', kind: 'group', head: events.length, created_at: new Date(0).toISOString(), ...info }, 'ana');
  room.window.place({ events, head: events.length, first: 1, complete: true });
  return room;
}

const rows = (room) => rowsOf(room, [], 'ana', (at_ms) => `${Math.floor(at_ms / DAY)}`);
const said = (all) => all.map((row) => (row.kind === 'message' ? `${row.event.payload.seq}${row.first ? ' first' : ''}${row.last ? ' last' : ''}` : row.kind));

test('a day has a line, and nobody\'s messages stand together across it', () => {
  const room = roomOf([message(1, 'ben', DAY - 2 * MINUTE), message(2, 'ben', DAY - MINUTE), message(3, 'ben', DAY + MINUTE)]);
  assert.deepEqual(said(rows(room)), ['day', '1 first', '2 last', 'day', '3 first last']);
});

test('messages of one person stand together for a while, and not around those of another', () => {
  const room = roomOf([message(1, 'ben', 0), message(2, 'ben', MINUTE), message(3, 'ben', 10 * MINUTE), message(4, 'cleo', 10 * MINUTE), message(5, 'ben', 10 * MINUTE)]);
  assert.deepEqual(said(rows(room)), ['day', '1 first', '2 last', '3 first last', '4 first last', '5 first last']);
});

test('the line before the unread stands before the first of somebody else\'s', () => {
  const room = roomOf([message(1, 'ben', 0), message(2, 'ana', 1), message(3, 'ben', 2), message(4, 'ben', 3)], { read: 1, unread: 2 });
  room.enter();
  assert.deepEqual(said(rows(room)), ['day', '1 first last', '2 first last', 'unread', '3 first', '4 last']);
});

test('a mark says how far a message has come, and who stands where', () => {
  const room = roomOf([message(1, 'ana', 0), message(2, 'ana', 1), message(3, 'ana', 2)]);
  room.seen.note('ben', 2, 1);
  const [, one, two, three] = rows(room);
  assert.deepEqual([one.mark, two.mark, three.mark], ['read', 'delivered', 'sent']);
  assert.deepEqual([one.readers, one.seen, two.seen], ['ben', 'ben', '']);
  room.seen.note('ben', 3, 3);
  const [, first, , last] = rows(room);
  assert.deepEqual([first.readers, first.seen, last.seen], ['ben', '', 'ben']);
});
