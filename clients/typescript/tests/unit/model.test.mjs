/** Whatever a server and a network do: T-1, T-2, O-1 and O-2 hold, over thousands of seeded schedules. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Dice, seed } from '../support/dice.mjs';
import { Model } from '../support/model.mjs';

const SCHEDULES = 400;
const MESSAGES = 40;

/** One schedule: people write, things go wrong, then nothing goes wrong until all is quiet. */
function schedule(number, retention) {
  const dice = new Dice(number);
  const model = new Model(dice);
  for (let turn = 0; turn < MESSAGES * 8; turn += 1) {
    if (turn % 8 === 0) model.send(`m-${String(turn).padStart(5, '0')}`);
    if (dice.next() < 0.5) model.post();
    if (retention && turn % 50 === 49) model.retain();
    model.step(0.05);
  }
  for (let turn = 0; turn < 20_000; turn += 1) {
    model.step(0);
    const position = Object.values(model.state.positions())[0];
    if (model.state.entries().length === 0 && position === model.timeline.length) return model;
  }
  throw new Error(`schedule ${number} does not come to rest: ${JSON.stringify(model.state.positions())} of ${model.timeline.length}`);
}

/** Every position once, in order, as an event or as part of a gap. */
function checkDelivered(model) {
  let next = 1;
  for (const { name, value } of model.delivered) {
    const from = name === 'event' ? value.payload.seq : value.from;
    assert.equal(from, next, `${name} at ${from}`);
    next = name === 'event' ? from + 1 : value.to + 1;
  }
  assert.equal(next, model.timeline.length + 1);
}

function checkSent(model) {
  const own = model.timeline.filter((event) => event.payload.sender === 'ana').map((event) => event.payload.client_msg_id);
  assert.deepEqual(own, [...own].sort(), 'order');
  assert.equal(own.length, MESSAGES, 'each once');
  assert.equal(new Set(own).size, MESSAGES, 'none doubled');
  assert.ok([...model.settled.values()].every((error) => error === undefined), 'each acknowledged');
}

test('no event is lost, doubled or out of order, and no message is', () => {
  const first = seed();
  const faults = {};
  for (let number = first; number < first + SCHEDULES; number += 1) {
    try {
      const model = schedule(number, false);
      checkDelivered(model);
      checkSent(model);
      assert.ok(model.delivered.every(({ name }) => name === 'event'), 'nothing is given up that is kept');
      for (const [fault, count] of Object.entries(model.faults)) faults[fault] = (faults[fault] ?? 0) + count;
    } catch (error) {
      throw new Error(`PARLOR_SEED=${number}`, { cause: error });
    }
  }
  console.log(`${SCHEDULES} schedules from PARLOR_SEED=${first}: ${JSON.stringify(faults)}`);
  for (const [fault, count] of Object.entries(faults)) if (fault !== 'retention') assert.ok(count > SCHEDULES / 2, `${fault} hit`);
});

test('what the server does not keep any more is a gap, and nothing else is', () => {
  const first = seed();
  let gaps = 0;
  for (let number = first; number < first + SCHEDULES; number += 1) {
    try {
      const model = schedule(number, true);
      checkDelivered(model);
      checkSent(model);
      const missed = model.delivered.filter(({ name }) => name === 'gap');
      gaps += missed.length;
      assert.ok(missed.every(({ value }) => value.to < model.first), 'only what is gone');
    } catch (error) {
      throw new Error(`PARLOR_SEED=${number}`, { cause: error });
    }
  }
  console.log(`${gaps} gaps from PARLOR_SEED=${first}`);
  assert.ok(gaps > SCHEDULES / 2);
});
