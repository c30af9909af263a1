/** The server killed, paused and drained, and connections cut in the middle of frames, while people write. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { systemChance } from '../../dist/node.js';
import { BusyRoom } from '../support/busy.mjs';
import { Dice, seed } from '../support/dice.mjs';
import { Proxy } from '../support/proxy.mjs';
import { Server, heard, pass, within } from '../support/server.mjs';

const CUTS = 200;
const KILLS = 5;
/** Waits a hundred times shorter than the protocol's, which are for a million clients and not for three. */
const hasty = { chance: { ...systemChance, random: () => Math.random() / 100 } };

/** A server, and three people in a room behind a proxy each. */
async function behindProxies(run, options = {}) {
  const server = await Server.start();
  const proxies = [];
  const clients = {};
  try {
    for (const user of ['ana', 'bo', 'cleo']) {
      const proxy = await Proxy.start(server.port);
      proxies.push(proxy);
      clients[user] = await server.person(user, { url: proxy.url, ...options }, hasty);
    }
    await run({ server, proxies, clients, room: await BusyRoom.make(clients) });
  } finally {
    await server.end();
    await Promise.all(proxies.map((proxy) => proxy.end()));
  }
}

const all = (clients, name) => Promise.all(Object.values(clients).map((client) => heard(client, 'state', (state) => state.name === name)));
const total = (clients, what) => Object.values(clients).reduce((sum, client) => sum + client.stats[what], 0);

test(`${CUTS} cuts during a busy room: none lost, none doubled, order kept`, { timeout: 120_000 }, async () => {
  const dice = new Dice(seed());
  console.log(`PARLOR_SEED=${dice.seed}`);
  await behindProxies(async ({ proxies, clients, room }) => {
    const talk = room.talk(2);
    for (let cut = 0; cut < CUTS; cut += 1) {
      // From within the handshake to a few frames later.
      await within(dice.pick(proxies).cutAfter(1 + dice.below(1_500), dice.pick(['up', 'down'])), 20_000, `cut ${cut} hits`);
    }
    await room.quiet();
    await talk;
    const { events, given } = await room.check();
    const torn = proxies.reduce((sum, proxy) => sum + proxy.torn, 0);
    console.log(`${CUTS} cuts, ${torn} of them within a chunk; ${events} events, given ${given} times; connects ${total(clients, 'connects')}, `
      + `sent again ${total(clients, 'resent')}, come again ${total(clients, 'repeated')}, pages ${total(clients, 'pages')}`);
    assert.ok(torn > CUTS / 2, 'most cuts hit within a frame');
    assert.ok(total(clients, 'resent') > CUTS / 10, 'acks were lost');
  });
});

test(`the server killed ${KILLS} times while people write`, { timeout: 120_000 }, async () => {
  await behindProxies(async ({ server, clients, room }) => {
    const talk = room.talk(2);
    for (let kill = 0; kill < KILLS; kill += 1) {
      await pass(200);
      const down = all(clients, 'waiting');
      await server.kill();
      await down;
      const back = all(clients, 'online');
      await server.start();
      await back;
    }
    await room.quiet();
    await talk;
    const { events } = await room.check();
    console.log(`${KILLS} kills; ${events} events; connects ${total(clients, 'connects')}, sent again ${total(clients, 'resent')}`);
    assert.ok(total(clients, 'connects') >= 3 * (KILLS + 1));
  });
});

test('the server paused for longer than a reply may take', { timeout: 120_000 }, async () => {
  await behindProxies(async ({ server, clients, room }) => {
    const talk = room.talk(2);
    await pass(200);
    const down = heard(clients.ana, 'state', (state) => state.name === 'waiting' && /does not answer/.test(state.message));
    server.pause();
    await down;
    await pass(300);
    server.resume();
    await heard(clients.ana, 'state', (state) => state.name === 'online');
    await pass(200);
    await room.quiet();
    await talk;
    const { events } = await room.check();
    console.log(`paused; ${events} events; sent again ${total(clients, 'resent')}`);
    assert.ok(total(clients, 'resent') > 0);
  }, { reply_ms: 700 });
});

test('a draining server is left at the moment it gives, and its next start is found', { timeout: 120_000 }, async () => {
  await behindProxies(async ({ server, clients, room }) => {
    const talk = room.talk(5);
    await pass(200);
    await server.terminate();
    await server.start();
    await room.quiet();
    await talk;
    await room.check();
    assert.ok(total(clients, 'connects') >= 6);
  });
});
