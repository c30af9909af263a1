/**
 * Everything by keyboard, and everything on a phone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ONCE_SENT, PASSWORD, Person } from './support/people.mjs';
import { until } from './support/wait.mjs';
import { world } from './support/world.mjs';

const it = world();

/** Presses Tab until something is focused. */
async function tabTo(person, testid, most = 40) {
  for (let n = 0; n < most; n += 1) {
    if (await person.page.evaluate((wanted) => document.activeElement?.dataset.testid === wanted, testid)) return;
    await person.page.keyboard.press('Tab');
  }
  assert.fail(`${testid} is not to be reached by Tab`);
}

const focused = (person) => person.page.evaluate(() => document.activeElement?.dataset.testid ?? document.activeElement?.tagName);

test('without a pointer: sign up, start a room, write, mention, reply, change rooms, sign out', async () => {
  await it.arrives('ben');
  const ana = await Person.arrive(it.browser, 'ana', it.server.page);
  it.people.push(ana);
  const { keyboard } = ana.page;
  await ana.page.goto(ana.address);
  await tabTo(ana, 'auth-mode');
  await keyboard.press('Enter');
  assert.equal(await focused(ana), 'auth-user');
  await keyboard.type('ana');
  await tabTo(ana, 'auth-password');
  await keyboard.type(PASSWORD);
  await keyboard.press('Enter');
  await ana.online();

  for (const name of ['Alpha', 'Beta']) {
    await tabTo(ana, 'new-room');
    await keyboard.press('Enter');
    await ana.at('new-dialog').waitFor();
    await tabTo(ana, 'new-name');
    await keyboard.type(name);
    await tabTo(ana, 'new-members');
    await keyboard.type('ben');
    await keyboard.press('Enter');
    await ana.inRoom(name);
  }
  assert.equal(await focused(ana), 'composer');
  await keyboard.type('hello @b');
  await ana.at('offers').waitFor();
  await keyboard.press('Tab');
  await keyboard.type('and welcome');
  await keyboard.press('Enter');
  await ana.sees('hello @ben and welcome', ...ONCE_SENT);
  await ana.page.locator('.mention').filter({ hasText: '@ben' }).waitFor();

  await keyboard.press('ArrowUp');
  assert.equal(await focused(ana), 'message');
  await keyboard.press('r');
  await ana.at('replying').waitFor();
  assert.equal(await focused(ana), 'composer');
  await keyboard.type('a reply');
  await keyboard.press('Shift+Enter');
  await keyboard.type('in two lines');
  await keyboard.press('Enter');
  await ana.sees('a reply\nin two lines', ...ONCE_SENT);
  await keyboard.press('ArrowUp');
  await keyboard.press('ArrowUp');
  await ana.page.keyboard.press('Escape');
  assert.equal(await focused(ana), 'composer');

  await keyboard.press('Alt+ArrowDown');
  await ana.inRoom('Alpha');
  await keyboard.press('Control+k');
  await until(async () => await focused(ana) === 'find', 'the field to find a room has the focus');
  await keyboard.type('bet');
  await keyboard.press('Enter');
  await ana.inRoom('Beta');

  await tabTo(ana, 'me-menu');
  await keyboard.press('Enter');
  await ana.at('settings').waitFor();
  await keyboard.press('Escape');
  await ana.at('settings').waitFor({ state: 'detached' });
  await until(async () => await focused(ana) === 'me-menu', 'the focus is back where the dialog was opened');
  await keyboard.press('Enter');
  await tabTo(ana, 'sign-out');
  await keyboard.press('Enter');
  await ana.at('auth').waitFor();
});

test('on a phone one thing is shown at a time, and nothing is wider than the screen', async () => {
  const cleo = await it.arrives('cleo', { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true });
  const narrow = async (what) => {
    const over = await cleo.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${what} is ${over} px too wide`);
  };
  await narrow('the list');
  await cleo.page.getByRole('button', { name: 'Look around' }).tap();
  await cleo.at('close').tap();
  await cleo.page.getByRole('button', { name: 'Start a room' }).tap();
  await narrow('the dialog');
  await cleo.at('close').tap();
  await cleo.starts({ name: 'Pocket', members: 'ben' });
  assert.ok(!await cleo.at('rooms').isVisible());
  await cleo.say('```\na line of code that is a good deal longer than the screen of a phone can show at once, and then some\n```');
  await cleo.say(`averyveryverylongwordwithoutanyspaceinit${'a'.repeat(200)}`);
  await cleo.at('message').nth(1).and(cleo.page.locator('[data-state=sent], [data-state=delivered]')).waitFor();
  await narrow('the room');
  await cleo.at('details').tap();
  await cleo.at('details-panel').waitFor();
  await narrow('the details');
  await cleo.at('details-close').tap();
  await cleo.at('back').tap();
  await cleo.roomItem('Pocket').waitFor();
  await cleo.page.goBack();
  await cleo.inRoom('Pocket');
});

test('the colours follow the system, or what was chosen', async () => {
  const [ben] = it.people;
  const ground = () => ben.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await ben.page.emulateMedia({ colorScheme: 'light' });
  const light = await ground();
  await ben.page.emulateMedia({ colorScheme: 'dark' });
  const dark = await ground();
  assert.notEqual(dark, light);
  await ben.at('me-menu').click();
  await ben.at('theme').getByText('Light').click();
  assert.equal(await ground(), light);
  await ben.page.reload();
  await ben.online();
  assert.equal(await ground(), light);
  await ben.page.emulateMedia({ colorScheme: 'light' });
  await ben.at('me-menu').click();
  await ben.at('theme').getByText('Dark').click();
  assert.equal(await ground(), dark);
  await ben.at('theme').getByText('As the system').click();
  assert.equal(await ground(), light);
});

test('the browsers had nothing to report', () => it.content());
