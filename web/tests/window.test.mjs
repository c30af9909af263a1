/**
 * The stretch of a timeline that is held: seeded walks through a long room, with events coming meanwhile.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './support/load.mjs';

const { TimelineWindow, HELD_MAX } = await load('/src/state/window.ts');

const eventAt = (seq) => ({ type: 'message', msg_id: `${seq}`, payload: { room_id: 'r', seq, sender: 'ana', sent_at: new Date(seq * 1000).toISOString(), body: { text: `${seq}` } } });
const range = (from, to) => Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => eventAt(from + n));

/** What the server answers to `history.get`. */
function page(head, first, { before, after, around, limit = 80 }) {
  let [from, to] = [Math.max(first, head - limit + 1), head];
  if (before !== undefined) [from, to] = [Math.max(first, before - limit), before - 1];
  if (after !== undefined) [from, to] = [Math.max(first, after + 1), Math.min(head, after + limit)];
  if (around !== undefined) [from, to] = [Math.max(first, around - limit / 2), Math.min(head, around + limit / 2)];
  const complete = after !== undefined ? to >= head : from <= first && (around === undefined || to >= head);
  return { events: range(from, to), head, first, complete };
}

function dice(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('the newest page ends at the head', () => {
  const held = new TimelineWindow();
  held.place(page(1000, 1, {}));
  assert.equal(held.high, 1000);
  assert.ok(held.hasOlder && !held.hasNewer(1000));
});

test('a walk holds what it covers, and no more than it may', () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const roll = dice(seed);
    const first = 1 + roll(100);
    let head = 5_000;
    const held = new TimelineWindow();
    held.place(page(head, first, {}));
    for (let step = 0; step < 300; step += 1) {
      switch (roll(6)) {
        case 0: case 1: if (held.hasOlder) held.older(page(head, first, { before: held.low })); break;
        case 2: if (held.hasNewer(head)) held.newer(page(head, first, { after: held.high })); break;
        case 3: held.place(page(head, first, roll(2) ? {} : { around: first + roll(head - first) })); break;
        default:
          for (let n = roll(150); n > 0; n -= 1) {
            head += 1;
            held.live(eventAt(head), !held.hasNewer(head - 1) && roll(2) === 0);
          }
      }
      held.checkInvariants();
      assert.deepEqual(held.events.map((event) => event.payload.seq), range(held.low, held.high).map((event) => event.payload.seq), `seed ${seed}, step ${step}`);
    }
  }
});

test('what comes while one looks elsewhere is not held', () => {
  const held = new TimelineWindow();
  held.place(page(1000, 1, { around: 300 }));
  assert.equal(held.live(eventAt(1001), false), false);
  assert.ok(held.hasNewer(1001));
});

test('an end that is not looked at grows to its bound, and is then left behind', () => {
  const held = new TimelineWindow();
  held.place(page(100, 1, {}));
  for (let seq = 101; seq <= 1000; seq += 1) held.live(eventAt(seq), false);
  assert.equal(held.events.length, HELD_MAX);
  assert.ok(held.covers(21) && held.covers(380) && !held.covers(381) && held.hasNewer(1000), 'what is looked at stays');
});

test('a room that is left keeps its end only', () => {
  const held = new TimelineWindow();
  held.place(page(1000, 1, {}));
  held.keepNewest(50, 1000);
  assert.deepEqual([held.low, held.high], [951, 1000]);
  held.place(page(1000, 1, { around: 300 }));
  held.keepNewest(50, 1000);
  assert.ok(!held.loaded);
});

test('what the server does not keep is stepped over', () => {
  const held = new TimelineWindow();
  held.place(page(10, 1, {}));
  held.skip(11, 20);
  assert.ok(held.live(eventAt(21), true));
});
