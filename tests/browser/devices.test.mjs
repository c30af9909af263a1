/**
 * Two devices of one person, a device without a network, and messages that are refused.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Caller } from './support/calls.mjs';
import { ONCE_SENT } from './support/people.mjs';
import { NOTICED_MS, RECONNECT_MS, until } from './support/wait.mjs';
import { world } from './support/world.mjs';

const it = world();
let ana;
let ben;
let phone;

test('a second device has the rooms and what was said', async () => {
  ana = await it.arrives('ana');
  ben = await it.arrives('ben');
  await ana.starts({ name: 'Harbour', members: 'ben' });
  await ana.say('The boat is in');
  phone = await it.again('ana', { viewport: { width: 390, height: 800 } });
  await phone.opens('Harbour');
  await phone.sees('The boat is in', ...ONCE_SENT);
});

test('what one device says, the other shows as its own', async () => {
  await phone.say('Said on the phone');
  await ana.sees('Said on the phone', ...ONCE_SENT);
  await ana.say('Said at the desk');
  await phone.sees('Said at the desk', ...ONCE_SENT);
});

test('what one device has read is read on the other', async () => {
  await ana.starts({ name: 'Elsewhere' });
  await phone.at('back').click();
  await ben.opens('Harbour');
  await ben.say('Anybody here?');
  for (const device of [ana, phone]) await device.roomItem('Harbour').getByTestId('unread').filter({ hasText: /^1/ }).waitFor();
  await phone.opens('Harbour');
  await phone.sees('Anybody here?');
  await ana.roomItem('Harbour').getByTestId('unread').waitFor({ state: 'detached' });
  await ben.sees('Anybody here?', 'read');
});

test('a mention has a mark of its own in the list', async () => {
  await phone.at('back').click();
  await ben.at('composer').pressSequentially('ship ahoy @a');
  await ben.at('offers').waitFor();
  await ben.at('composer').press('Enter');
  await ben.at('composer').press('Enter');
  await ana.roomItem('Harbour').getByTestId('mentions').waitFor();
  await ana.opens('Harbour');
  await ana.at('unread-line').waitFor();
  await ana.page.locator('.mention.of-me').waitFor();
  await ana.roomItem('Harbour').getByTestId('mentions').waitFor({ state: 'detached' });
});

test('without a network what is written waits, and goes out when it is back', async () => {
  ben.outage = true;
  await ben.page.context().setOffline(true);
  await ben.at('banner').waitFor({ timeout: NOTICED_MS });
  for (const text of ['First of three', 'Second of three', 'Third of three']) await ben.say(text);
  await ben.sees('Third of three', 'pending');
  await ana.say('Meanwhile on shore');
  await ben.page.context().setOffline(false);
  await ben.online(RECONNECT_MS);
  await ben.sees('Meanwhile on shore');
  await ben.sees('Third of three', ...ONCE_SENT);
  await ana.sees('Third of three');
  const texts = (await ana.texts()).filter((text) => text.endsWith('of three'));
  assert.deepEqual(texts, ['First of three', 'Second of three', 'Third of three']);
  ben.outage = false;
});

test('who is at the end when the connection is lost is at the end when all has come', async () => {
  const caller = await Caller.login(it.server.url, 'ana');
  const room_id = new URL(ben.page.url()).hash.split('/').at(-1);
  // As a browser may at any time: an event of scrolling, with nothing scrolled.
  await ben.page.evaluate(() => {
    const scroller = document.querySelector('.scroller');
    globalThis.scrolling = setInterval(() => scroller.dispatchEvent(new Event('scroll')));
  });
  ben.outage = true;
  await ben.page.context().setOffline(true);
  await ben.at('banner').waitFor({ timeout: NOTICED_MS });
  await caller.sayMany(room_id, 30, (n) => `Said into the silence ${n}`);
  await ben.page.context().setOffline(false);
  await ben.online(RECONNECT_MS);
  await ben.page.waitForFunction((wanted) => {
    const scroller = document.querySelector('.scroller');
    const last = [...document.querySelectorAll('[data-testid=message-text]')].at(-1);
    return last?.textContent === wanted && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 50;
  }, 'Said into the silence 29');
  await ben.page.evaluate(() => clearInterval(globalThis.scrolling));
  ben.outage = false;
});

test('a message can be taken back while it waits', async () => {
  ben.outage = true;
  await ben.page.context().setOffline(true);
  await ben.at('banner').waitFor({ timeout: NOTICED_MS });
  await ben.say('On second thoughts');
  await ben.message('On second thoughts').getByTestId('discard').click();
  await ben.message('On second thoughts').waitFor({ state: 'detached' });
  await ben.page.context().setOffline(false);
  await ben.online(RECONNECT_MS);
  await ben.say('Forget it');
  await ana.sees('Forget it');
  assert.equal(await ana.message('On second thoughts').count(), 0);
  ben.outage = false;
});

test('a refused message says why, stays over a reload, and goes out when it is tried again', async () => {
  await ana.at('details').click();
  const member = ana.page.locator('[data-testid=member][data-user=ben]');
  await member.getByTestId('member-menu').click();
  await ana.page.getByRole('menuitem', { name: 'Mute' }).click();
  await ana.at('toast').filter({ hasText: 'is muted' }).waitFor();
  await ben.say('May I?');
  await ben.sees('May I?', 'failed');
  await ben.message('May I?').getByTestId('failure').filter({ hasText: 'You are muted' }).waitFor();
  await ben.page.reload();
  await ben.sees('May I?', 'failed');
  await member.getByTestId('member-menu').click();
  await ana.page.getByRole('menuitem', { name: 'Let speak again' }).click();
  await ana.at('toast').filter({ hasText: 'may speak again' }).waitFor();
  await ben.message('May I?').getByTestId('retry').click();
  await ben.sees('May I?', ...ONCE_SENT);
  await ana.sees('May I?');
  assert.equal(await ana.message('May I?').count(), 1);
});

test('a hidden page counts in its title and shows a notification', async () => {
  const page = ana.page;
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
    globalThis.shown = [];
    globalThis.Notification = class {
      static permission = 'granted';
      constructor(title, { body }) {
        globalThis.shown.push(`${title}: ${body}`);
        globalThis.latest = this;
      }

      close() {}
    };
  });
  await ana.at('me-menu').click();
  await ana.at('notify').check();
  await ana.at('close').click();
  await ben.say('Look at **this**');
  await until(async () => (await page.evaluate(() => globalThis.shown)).includes('ben in Harbour: Look at this'), 'a notification');
  await until(async () => (await page.title()).startsWith('(1)'), 'the count in the title');
  await ana.starts({ name: 'Away from it' });
  await page.evaluate(() => globalThis.latest.onclick());
  await ana.inRoom('Harbour');
});

test('the browsers had nothing to report', () => it.content());
