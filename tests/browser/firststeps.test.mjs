/**
 * What README.md and docs/QUICKSTART.md tell people to type does what they say it does.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './support/people.mjs';
import { Server, freePort } from './support/server.mjs';
import { Shell, blocks, checkout } from './support/shell.mjs';
import { until } from './support/wait.mjs';

let place;
let browser;
before(async () => {
  place = await checkout();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await place?.remove();
});

test('the first steps of the README', async () => {
  const server = await Server.start();
  const shell = new Shell(place.folder);
  try {
    const steps = await blocks('README.md', [['http://127.0.0.1:8080', server.url]]);
    assert.equal(steps.length, 3, 'account, room, command line');
    const [, room, line] = steps;
    room.promised.push('…"text":"hello"…');
    line.promised.push('{"body":{"text":"hello"},…', '{"body":{"text":"from the shell"},…');
    for (const step of steps) await shell.run(step);
  } finally {
    await shell.end();
    await server.end();
  }
});

test('the first ten minutes of QUICKSTART.md', async () => {
  const [port, site] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const shell = new Shell(place.folder, { PARLOR__SERVER__LISTEN: `127.0.0.1:${port}` });
  try {
    const steps = await blocks('docs/QUICKSTART.md', [
      ['http://127.0.0.1:8080', url], ['127.0.0.1:8000', `127.0.0.1:${site}`], ['http.server 8000', `http.server ${site}`],
    ]);
    let embedded = 0;
    for (const step of steps) {
      const output = await shell.run(step);
      const address = /^http:\S+embed\.html#\S+$/m.exec(output)?.[0];
      if (address) {
        await embed(address);
        embedded += 1;
      }
    }
    assert.equal(embedded, 1);
    // The last block ended the server.
    await until(() => fetch(`${url}/health/live`).then(() => false, () => true), 'the server is gone');
  } finally {
    await shell.end();
  }
});

/** What the page of the embed shows, and that the bot answers there. */
async function embed(address) {
  const page = await browser.newPage();
  // The web server was started a moment ago.
  await until(() => page.goto(address).then(() => true, () => false), 'the page is served');
  const answers = page.getByRole('listitem').filter({ hasText: 'tea-bot pong' });
  await page.getByText('tea-bot still here').waitFor();
  assert.equal(await answers.count(), 1);
  await page.getByLabel('Message', { exact: true }).fill('!ping');
  await page.getByRole('button', { name: 'Send' }).click();
  await until(async () => await answers.count() === 2, 'the bot answers');
  await page.close();
}
