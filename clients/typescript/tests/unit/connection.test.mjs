/** The connection's phases, its waits and its ends. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Backoff, Connection } from '../../dist/state.js';
import { ParlorError } from '../../dist/node.js';
import { Dice } from '../support/dice.mjs';

const dos = (connection) => connection.take().map((effect) => (effect.do === 'state' ? effect.state.name : effect.do));

/** A connection that is online at time 0, with everything it did so far taken. */
function online(random = () => 0.5) {
  const connection = new Connection(random);
  connection.start();
  connection.token(0, 't1');
  connection.opened(0);
  connection.welcomed(0, 25_000);
  connection.take();
  return connection;
}

test('from nothing to online', () => {
  const connection = new Connection(() => 0.5);
  connection.start();
  assert.deepEqual(dos(connection), ['connecting', 'ask_token']);
  connection.token(1, 't1');
  assert.deepEqual(dos(connection), ['open']);
  connection.opened(2);
  assert.deepEqual(connection.take(), [{ do: 'greet', token: 't1' }]);
  connection.welcomed(3, 25_000);
  assert.deepEqual(dos(connection), ['online']);
});

test('waits stay below a doubling ceiling and fill it', () => {
  const dice = new Dice(7);
  for (let failed = 0; failed < 40; failed += 1) {
    const waits = Array.from({ length: 200 }, () => {
      const backoff = new Backoff();
      for (let turn = 0; turn < failed; turn += 1) backoff.next(() => 0);
      assert.equal(backoff.ceiling, Math.min(30_000, 100 * 2 ** failed));
      return backoff.next(dice.next) / Math.min(30_000, 100 * 2 ** failed);
    });
    assert.ok(waits.every((part) => part >= 0 && part < 1));
    assert.ok(waits.some((part) => part < 0.25) && waits.some((part) => part > 0.75));
  }
});

test('a lost connection is tried again, with longer waits until one has lasted', () => {
  const connection = online(() => 0.999);
  const ceilings = [];
  let now = 0;
  const lose = () => {
    connection.closed(now, {});
    const waiting = connection.take().find((effect) => effect.state?.name === 'waiting');
    ceilings.push(Math.round(waiting.state.wait_ms));
    now = connection.deadline();
    connection.tick(now);
    connection.token(now, 't');
  };
  for (let turn = 0; turn < 5; turn += 1) lose();
  assert.deepEqual(ceilings, [100, 200, 400, 799, 1598]);
  connection.opened(now);
  connection.welcomed(now, 25_000);
  now += 5_000;
  lose();
  assert.equal(ceilings.at(-1), 100);
});

test('the server says when to come back', () => {
  for (const [end, least] of [
    [{ code: 4504, reason: 'retry_after_ms=7000' }, 7_000],
    [{ status: 503, retry_after_ms: 1_000 }, 1_000],
    [{ status: 429, retry_after_ms: 5_000 }, 5_000],
    [{ code: 4504, reason: 'retry_after_ms=99999999' }, 300_000],
  ]) {
    const connection = online();
    connection.closed(10, end);
    const { state } = connection.take().at(-1);
    assert.equal(state.name, 'waiting');
    assert.ok(state.wait_ms >= least && state.wait_ms <= least + 100, `${state.wait_ms} for ${JSON.stringify(end)}`);
  }
});

test('4401 asks for a fresh token once, then a person has to log in', () => {
  const connection = online();
  connection.closed(10, { code: 4401, reason: 'unauthorized' });
  assert.deepEqual(connection.take(), [{ do: 'down' }, { do: 'state', state: { name: 'connecting' } }, { do: 'ask_token', need: 'rejected' }]);
  connection.token(11, 't2');
  connection.opened(12);
  connection.closed(13, { code: 4401, reason: 'unauthorized' });
  assert.deepEqual(connection.take().at(-1).state, { name: 'stopped', reason: { why: 'unauthorized', message: 'unauthorized' } });
});

test('a close of 44xx stops, one of 45xx does not', () => {
  for (const [code, name] of [[4400, 'stopped'], [4403, 'stopped'], [4408, 'stopped'], [4413, 'stopped'], [4429, 'stopped'],
    [4500, 'waiting'], [4501, 'waiting'], [4502, 'waiting'], [4503, 'waiting'], [1000, 'waiting'], [1002, 'waiting']]) {
    const connection = online();
    connection.closed(10, { code, reason: 'why' });
    assert.equal(connection.name, name, `${code}`);
    connection.start();
    assert.equal(connection.name, name === 'stopped' ? 'authorizing' : 'waiting', 'a stopped one can be started again');
  }
});

test('a refusal before the socket: 4xx stops, but for those that pass', () => {
  for (const [status, name] of [[403, 'stopped'], [426, 'stopped'], [429, 'waiting'], [503, 'waiting'], [401, 'authorizing']]) {
    const connection = new Connection(() => 0.5);
    connection.start();
    connection.token(0, 't');
    connection.closed(1, { status });
    assert.equal(connection.name, name, `${status}`);
  }
});

test('a refused hello is decided by the close, or without one after a second', () => {
  const refuse = (code) => {
    const connection = new Connection(() => 0.5);
    connection.start();
    connection.token(0, 't');
    connection.opened(0);
    connection.helloRefused(5, new ParlorError(code, 'no', { retry_after_ms: 800 }));
    assert.equal(connection.deadline(), 1_005);
    connection.tick(1_005);
    return connection.name;
  };
  assert.equal(refuse('bad_frame'), 'stopped');
  assert.equal(refuse('unavailable'), 'waiting');
  assert.equal(refuse('unauthorized'), 'authorizing');
});

test('a silent server is asked, and given up when it does not answer', () => {
  const connection = online();
  assert.equal(connection.deadline(), 25_000);
  connection.tick(25_000);
  assert.deepEqual(dos(connection), ['ping']);
  connection.heard(25_100);
  assert.equal(connection.deadline(), 50_100);
  // The machine slept: the answer has its time from now on.
  connection.tick(900_000);
  assert.deepEqual(dos(connection), ['ping']);
  connection.tick(909_999);
  assert.deepEqual(dos(connection), []);
  connection.tick(910_000);
  assert.deepEqual(dos(connection), ['drop', 'down', 'waiting']);
});

test('a server in doubt is asked at once, once, and has its time for the answer', () => {
  const connection = online();
  connection.doubt(3_000);
  connection.doubt(3_500);
  assert.deepEqual(dos(connection), ['ping']);
  connection.heard(3_600);
  assert.equal(connection.deadline(), 28_600);
  connection.doubt(4_000);
  assert.deepEqual(dos(connection), ['ping']);
  connection.tick(13_999);
  assert.deepEqual(dos(connection), []);
  connection.tick(14_000);
  assert.deepEqual(dos(connection), ['drop', 'down', 'waiting']);
  connection.doubt(14_000);
  assert.deepEqual(dos(connection), []);
});

test('goaway is followed at its moment, with no wait', () => {
  const connection = online();
  connection.goaway(100, 1_500);
  connection.tick(1_599);
  assert.deepEqual(dos(connection), []);
  connection.tick(1_600);
  assert.deepEqual(dos(connection), ['drop', 'down', 'connecting', 'ask_token']);
});

test('a token is renewed in the second quarter of what is left, however short', () => {
  const connection = online();
  connection.expiring(0, 60_000);
  connection.heard(20_000);
  assert.equal(connection.deadline(), 22_500);
  connection.tick(22_500);
  assert.deepEqual(connection.take(), [{ do: 'ask_token', need: 'expiring' }]);
  connection.token(22_600, 't2');
  assert.deepEqual(connection.take(), [{ do: 'refresh', token: 't2' }]);
  connection.expiring(22_700, -5);
  assert.equal(connection.deadline(), 22_700 + 375);
});

test('a fresh token that is not to be had for now is asked for again while there is time', () => {
  const busy = new ParlorError('unavailable', 'no');
  const connection = online();
  connection.expiring(0, 60_000);
  const asked = [];
  for (;;) {
    connection.heard(connection.deadline());
    const at = connection.deadline();
    if (at >= 60_000) break;
    connection.tick(at);
    assert.deepEqual(connection.take(), [{ do: 'ask_token', need: 'expiring' }]);
    asked.push(Math.round(at));
    // Refused by turns by the source, and by the server that is given what the source has.
    connection.token(at, asked.length % 2 ? busy : 't2');
    if (connection.take().length > 0) connection.notRenewed(at);
  }
  assert.deepEqual(asked.slice(0, 4), [22_500, 36_563, 45_352, 50_845]);
  assert.ok(asked.at(-1) > 59_000 && asked.length < 16, String(asked));
});

test('a fresh token is asked for again when the refusal says so, and not after one for good', () => {
  const busy = (retry_after_ms) => new ParlorError('rate_limited', 'no', { retry_after_ms });
  // 47.5 s is when silence asks for a ping, so that nothing else is due.
  for (const [error, due] of [[busy(10_000), 42_813], [busy(40_000), 47_500], [new ParlorError('unauthorized', 'no'), 47_500]]) {
    const connection = online();
    connection.expiring(0, 60_000);
    connection.heard(22_500);
    connection.tick(22_500);
    connection.token(22_500, error);
    assert.equal(Math.round(connection.deadline()), due);
  }
  const connection = online();
  connection.expiring(0, 60_000);
  connection.renewed();
  assert.equal(connection.deadline(), 25_000);
  connection.notRenewed(0);
  assert.equal(connection.deadline(), 25_000, 'nothing is to be renewed');
});

test('an answer to what an earlier connection asked is not taken for the refusal of this one', () => {
  const connection = online();
  connection.expiring(0, 1_000);
  connection.tick(700);
  connection.closed(710, { code: 4401 });
  connection.take();
  connection.token(720, new ParlorError('unreachable', 'no'));
  assert.deepEqual(connection.take(), [{ do: 'ask_token', need: 'rejected' }]);
});

test('a token source that fails for now is asked later, one that refuses ends it', () => {
  for (const [code, name] of [['unreachable', 'waiting'], ['unavailable', 'waiting'], ['unauthorized', 'stopped']]) {
    const connection = new Connection(() => 0.5);
    connection.start();
    connection.token(0, new ParlorError(code, 'no'));
    assert.equal(connection.name, name);
  }
});
