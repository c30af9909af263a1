/**
 * The client that docs/CLIENTS.md shows, taken from there: across a `kill -9`, nothing is lost, doubled or out of order.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Caller } from './support/calls.mjs';
import { until } from './support/wait.mjs';
import { world } from './support/world.mjs';

const it = world({ PARLOR__LIMITS__SENDS_PER_S: '0' });

test('the least client of CLIENTS.md keeps the promises', async () => {
  const text = await readFile(new URL('../../docs/CLIENTS.md', import.meta.url), 'utf8');
  const code = /```js\n([\s\S]*?)```/.exec(text)[1];
  const { url } = it.server;
  const [ana, ben] = [await Caller.register(url, 'ana'), await Caller.register(url, 'ben')];
  const { room: { room_id } } = await ana.append('room.create', { kind: 'group', name: 'Least', members: ['ben'] });
  const page = await it.browser.newPage();
  // A page of the server's origin, whose policy allows sockets to it.
  await page.goto(url);
  await page.evaluate(`${code}; globalThis.Least = Least;`);
  await page.evaluate(({ url: address, tokens }) => {
    globalThis.heard = tokens.map(() => []);
    globalThis.clients = tokens.map((token, n) => new globalThis.Least(address, token, (event) => globalThis.heard[n].push(event)));
  }, { url, tokens: [ana.token, ben.token] });
  const say = (from, to) => page.evaluate(([a, b, room]) => {
    for (let n = a; n < b; n += 1) globalThis.clients[0].send(room, `Line ${n}`);
  }, [from, to, room_id]);
  const heard = () => page.evaluate(() => globalThis.heard.map((events) => events.map((event) => event.body?.text)));
  await until(() => page.evaluate(() => globalThis.clients.every((client) => client.socket)), 'both are online');
  await say(0, 100);
  await until(async () => (await heard())[1].length > 20, 'some of them');
  await it.server.kill();
  await say(100, 200);
  await it.server.start();
  await until(async () => (await heard()).every((texts) => texts.length >= 200), 'all of them', 45_000);
  const wanted = Array.from({ length: 200 }, (_, n) => `Line ${n}`);
  assert.deepEqual(await heard(), [wanted, wanted]);
});
