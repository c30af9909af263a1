/**
 * Each main view in light and dark, on a phone and wide: no serious finding of axe, and a picture.
 *
 * PARLOR_PICTURES names where the pictures go, PARLOR_PICTURES_SCALE how many pixels stand for one; docs/images has them.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Person, PASSWORD, launch } from './support/people.mjs';
import { Server } from './support/server.mjs';
import { tell } from './support/story.mjs';
import { NOTICED_MS } from './support/wait.mjs';

const PICTURES = process.env.PARLOR_PICTURES;
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844, touch: true } };

let server;
let browser;
let receipts;

before(async () => {
  server = await Server.start();
  browser = await launch();
  await tell(server.url);
  // Two who are there and read what there is, while somebody sees them do so.
  const witness = await Person.arrive(browser, 'mira', server.page);
  await witness.signIn();
  await witness.opens('Garden');
  for (const name of ['jonas', 'aiko']) {
    const person = await Person.arrive(browser, name, server.page);
    await person.signIn();
    await person.opens('Garden');
    await person.sees('All forgiven. See you on Saturday!');
    await person.at('scroller').press('End');
  }
  await witness.at('seen').filter({ hasText: 'Jonas' }).filter({ hasText: 'Aiko' }).waitFor();
  await witness.page.reload();
  receipts = await witness.page.evaluate(() => localStorage.getItem('parlor.receipts/mira'));
  await witness.page.context().close();
});

after(async () => {
  await browser?.close();
  await server?.end();
});

const findings = [];

/** Notes what a person who hears, or sees little, would stumble over. */
async function axe(page, view) {
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const words = serious.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} (${failureSummary})`).join('; ')}`);
  findings.push(...words.map((text) => `${view}: ${text}`));
}

for (const [size, { touch, ...viewport }] of Object.entries(SIZES)) {
  for (const colorScheme of ['light', 'dark']) {
    test(`every view, ${size} and ${colorScheme}`, async () => {
      const options = { viewport, colorScheme, hasTouch: touch ?? false, deviceScaleFactor: Number(process.env.PARLOR_PICTURES_SCALE ?? 1) };
      const mira = await Person.arrive(browser, 'mira', server.page, options);
      await mira.page.addInitScript(AXE);
      await mira.page.addInitScript((kept) => localStorage.setItem('parlor.receipts/mira', kept), receipts);
      const view = async (name, { page } = mira) => {
        await page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one.effect.getTiming().iterations !== Infinity).map((one) => one.finished.catch(() => {}))));
        await axe(page, `${name}, ${size}, ${colorScheme}`);
        if (!PICTURES) return;
        await mkdir(PICTURES, { recursive: true });
        await page.screenshot({ path: join(PICTURES, `${name}-${size}-${colorScheme}.png`) });
      };
      await mira.page.goto(server.page);
      await mira.at('auth').waitFor();
      await view('sign-in');
      await mira.at('auth-user').fill('mira');
      await mira.at('auth-password').fill(PASSWORD);
      await mira.at('auth-submit').click();
      await mira.online();
      await mira.roomItem('Garden').filter({ hasText: 'All forgiven' }).waitFor();
      await mira.roomItem('Book club').filter({ hasText: 'The one with' }).waitFor();
      await view('rooms');
      await mira.opens('Garden');
      await mira.sees('All forgiven. See you on Saturday!', 'read');
      await view('room');
      await mira.at('composer').pressSequentially('Who waters next week? @a');
      await mira.at('offers').waitFor();
      await view('mention');
      await mira.at('composer').fill('');
      await mira.at('details').click();
      await mira.at('member').nth(3).waitFor();
      await view('details');
      await mira.at('details-close').click();
      if (touch) await mira.at('back').click();
      await mira.at('new-room').click();
      await view('new-room');
      await mira.at('close').click();
      await mira.at('browse').click();
      await mira.at('public-room').nth(2).waitFor();
      await view('browse');
      await mira.at('close').click();
      await mira.at('me-menu').click();
      await view('settings');
      await mira.at('close').click();
      await mira.opens('Leo');
      await mira.sees('Did you find the spare key?', 'sent', 'delivered', 'read');
      const nora = await Person.arrive(browser, `nora-${size}-${colorScheme}`, server.page, options);
      await nora.page.addInitScript(AXE);
      await nora.page.goto(server.page);
      await nora.at('auth-mode').click();
      await view('sign-up', nora);
      await nora.signUp('Nora Lind');
      await nora.page.getByText(/Welcome to Parlor|No rooms yet/).filter({ visible: true }).first().waitFor();
      await view('welcome', nora);
      await nora.page.context().close();
      nora.content();
      mira.outage = true;
      await mira.page.context().setOffline(true);
      await mira.at('banner').waitFor({ timeout: NOTICED_MS });
      await mira.say('Good. I come by at six');
      await mira.sees('Good. I come by at six', 'pending');
      await view('direct-pending');
      await mira.page.context().close();
      mira.content();
    });
  }
}

test('no view had a serious finding', () => assert.deepEqual([...new Set(findings)], []));
