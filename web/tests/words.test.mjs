/**
 * What moments are called, over a change of the clocks too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './support/load.mjs';

// Before the module is read: it makes its formats once.
process.env.TZ = 'Europe/Berlin';
const { dayName } = await load('/src/words.ts');

const name = (at, now) => dayName(new Date(at).getTime(), new Date(now).getTime());

test('the day before is yesterday, also around a day of 23 or 25 hours', () => {
  const long = '2026-10-25T23:30:00+01:00';
  assert.equal(name('2026-10-25T00:10:00+02:00', long), 'Today');
  assert.equal(name('2026-10-24T12:00:00+02:00', long), 'Yesterday');
  const short = '2026-03-30T00:30:00+02:00';
  assert.equal(name('2026-03-29T12:00:00+02:00', short), 'Yesterday');
  assert.notEqual(name('2026-03-28T12:00:00+01:00', short), 'Yesterday');
});
