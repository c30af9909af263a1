/**
 * The package in Chromium: the browser's WebSocket, and an outbox in IndexedDB that survives a reload while the server is gone.
 *
 * The page is a blank one under the server's own address, whose files are those of `dist`. Needs `npm ci` in tests/browser of the
 * repository, which brings playwright-core. Environment: CHROMIUM names another browser than /usr/bin/chromium.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import test from 'node:test';
import { BusyRoom } from '../support/busy.mjs';
import { Dice, seed } from '../support/dice.mjs';
import { Proxy } from '../support/proxy.mjs';
import { PASSWORD, Server, until, within } from '../support/server.mjs';

const { chromium } = createRequire(new URL('../../../../tests/browser/package.json', import.meta.url))('playwright-core');
const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const CUTS = 20;

/** Runs in the page: a client of the login kept there, and what it was told. */
async function begin(user_id) {
  const { Accounts, BrowserLoginStore, LoginTokens, connect } = await import('/ts/index.js');
  const store = new BrowserLoginStore();
  const tokens = new LoginTokens(new Accounts(location.origin), store);
  const events = [];
  const settled = [];
  const client = connect({ user_id, tokens });
  client.on('event', ({ payload }) => events.push([payload.seq, payload.body?.text]));
  client.on('settled', ({ entry, error }) => settled.push([entry.msg_id, error?.code]));
  Object.assign(globalThis, { client, events, settled });
}

/** A server behind a proxy, Ana in a page that goes through it, Bo in Node that does not. */
async function withPage(run) {
  const server = await Server.start();
  const proxy = await Proxy.start(server.port);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
      // A page whose files the test gives has no address, and would not be let to one on this machine.
      '--disable-features=LocalNetworkAccessChecks'],
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(20_000);
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.route('**/ts/**', (route) => {
      const name = new URL(route.request().url()).pathname.replace('/ts/', '');
      return name === '' ? route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>page</title>' })
        : route.fulfill({ contentType: 'text/javascript', path: DIST + name });
    });
    await page.goto(`${proxy.url}/ts/`);
    const login = await server.accounts().register('ana', PASSWORD);
    await page.evaluate((kept) => localStorage.setItem('parlor.login', JSON.stringify(kept)), login);
    const bo = await server.person('bo');
    const { room: { room_id } } = await bo.append('room.create', { kind: 'group', name: 'Tea', members: ['ana'] }).done;
    await run({ server, proxy, page, bo, room_id });
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await server.end();
    await proxy.end();
  }
}

/** Waits until something holds in the page, looked at by time: a page nobody sees paints no frames. */
const sees = (page, holds, given, timeout = 20_000) => page.waitForFunction(holds, given, { polling: 20, timeout });
/** The network is back at once here; the protocol's waits are for a million clients. */
const online = (page) => sees(page, () => {
  if (globalThis.client.state.name === 'waiting') globalThis.client.hurry();
  return globalThis.client.state.name === 'online';
});

test('what was written while the server was gone survives a reload, and is sent once, in order', { timeout: 90_000 }, async () => {
  await withPage(async ({ server, page, bo, room_id }) => {
    await page.evaluate(begin, 'ana');
    await online(page);
    await server.kill();
    await sees(page, () => globalThis.client.state.name === 'waiting');
    const ids = await page.evaluate(async (room) => {
      const sent = ['one', 'two', 'three'].map((text) => globalThis.client.send(room, text).msg_id);
      // In the storage is what survives.
      const kept = async () => {
        const database = await new Promise((done, fail) => {
          const request = indexedDB.open(`parlor.outbox/${location.origin}/ana`);
          request.onsuccess = () => done(request.result);
          request.onerror = fail;
        });
        const count = await new Promise((done) => { database.transaction('entries').objectStore('entries').count().onsuccess = (event) => done(event.target.result); });
        database.close();
        return count;
      };
      while (await kept() < 3) await new Promise((done) => { setTimeout(done, 5); });
      return sent;
    }, room_id);
    await page.reload();
    await page.evaluate(begin, 'ana');
    await sees(page, () => globalThis.client.outbox().length === 3);
    assert.deepEqual(await page.evaluate(() => globalThis.client.outbox().map((entry) => entry.msg_id)), ids);
    await server.start();
    await sees(page, () => globalThis.settled.length === 3, undefined, 40_000);
    assert.deepEqual(await page.evaluate(() => globalThis.settled), ids.map((id) => [id, undefined]));
    await until(bo, () => bo.positions()[room_id] === 4, 'bo has all three', 40_000);
    const { events } = await bo.request('history.get', { room_id, after: 1 });
    assert.deepEqual(events.map(({ payload }) => payload.body.text), ['one', 'two', 'three']);
    await page.reload();
    await page.evaluate(begin, 'ana');
    await online(page);
    assert.equal(await page.evaluate(() => globalThis.client.outbox().length), 0, 'nothing is left');
  });
});

test(`${CUTS} cuts of the browser's socket: every event once, in order`, { timeout: 90_000 }, async () => {
  const dice = new Dice(seed());
  console.log(`PARLOR_SEED=${dice.seed}`);
  await withPage(async ({ proxy, page, bo }) => {
    const room = await BusyRoom.make({ bo });
    await page.evaluate(begin, 'ana');
    await online(page);
    await bo.append('room.invite', { room_id: room.room_id, user_ids: ['ana'] }).done;
    const talk = room.talk(5);
    for (let cut = 0; cut < CUTS; cut += 1) {
      await online(page);
      await page.evaluate((id) => { globalThis.client.send(id, 'from the page'); globalThis.client.hurry(); }, room.room_id);
      await within(proxy.cutAfter(1 + dice.below(1_500), dice.pick(['up', 'down', 'down'])), 20_000, `cut ${cut} hits`);
    }
    await room.quiet();
    await talk;
    await sees(page, (head) => globalThis.client.outbox().length === 0 && globalThis.events.at(-1)?.[0] >= head, bo.positions()[room.room_id], 60_000);
    const events = await page.evaluate(() => globalThis.events);
    const own = events.filter(([, text]) => text === 'from the page');
    console.log(`${events.length} events in the page; ${JSON.stringify(await page.evaluate(() => globalThis.client.stats))}`);
    assert.deepEqual(events.map(([seq]) => seq), events.map((_, at) => events[0][0] + at));
    assert.equal(own.length, CUTS);
  });
});
