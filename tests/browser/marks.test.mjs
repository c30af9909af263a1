/**
 * What tells where a message stands: sent, delivered, read and by whom; the lines between days and before the unread; links; who is gone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from './support/wait.mjs';
import { world } from './support/world.mjs';

const it = world();
const DAY_MS = 86_400_000;
let ana;
let ben;
let cleo;

const mark = (person, text) => person.message(text).getByTestId('mark').getAttribute('title');

test('a message is sent, delivered once another has it, and read once another has seen it', async () => {
  ana = await it.arrives('ana');
  ben = await it.arrives('ben');
  cleo = await it.arrives('cleo');
  await ana.starts({ name: 'Porch', members: 'ben, cleo' });
  for (const person of [ben, cleo]) {
    await person.roomItem('Porch').waitFor();
    await person.page.goto('about:blank');
  }
  await ana.say('Anybody in?');
  await ana.sees('Anybody in?', 'sent');
  assert.equal(await mark(ana, 'Anybody in?'), 'Sent');
  await ben.page.goto(ben.address);
  await ana.sees('Anybody in?', 'delivered');
  assert.equal(await mark(ana, 'Anybody in?'), 'Delivered');
  await ben.opens('Porch');
  await ana.sees('Anybody in?', 'read');
  assert.equal(await mark(ana, 'Anybody in?'), 'Read by ben');
});

test('under a message stands who has read up to it', async () => {
  const seen = ana.message('Anybody in?').getByTestId('seen');
  await seen.filter({ hasText: 'Seen by ben' }).waitFor();
  await cleo.page.goto(cleo.address);
  await cleo.opens('Porch');
  await until(async () => /ben and cleo|cleo and ben/.test(await seen.textContent()), 'both have seen it');
  await ben.page.goto('about:blank');
  await ana.say('Cake is on the table');
  await cleo.sees('Cake is on the table');
  await ana.message('Cake is on the table').getByTestId('seen').filter({ hasText: 'Seen by cleo' }).waitFor();
  await seen.filter({ hasText: /^.?Seen by ben$/ }).waitFor();
});

test('the first unread message is under a line, and days stand apart', async () => {
  await ben.page.goto(ben.address);
  await ben.roomItem('Porch').getByTestId('unread').filter({ hasText: /^1/ }).waitFor();
  await ben.opens('Porch');
  await ben.at('unread-line').waitFor();
  const order = await ben.page.locator('.rows > li').evaluateAll((rows) => rows.map((row) => row.dataset.testid ?? row.className));
  assert.deepEqual(order, ['day', 'note', 'message', 'unread-line', 'message']);
  assert.equal(await ben.page.locator('.day').textContent(), 'Today');
  // A day later, by the clock of the page.
  await cleo.page.clock.setFixedTime(Date.now() + DAY_MS);
  await cleo.page.reload();
  await cleo.sees('Cake is on the table');
  assert.equal(await cleo.page.locator('.day').first().textContent(), 'Yesterday');
});

test('an address is a link that leads away from here, and nothing else of a text is', async () => {
  await ben.say('See https://example.org/a?b=c, [the plan](https://example.org/plan) and [not this](javascript:alert(1))');
  const links = ana.message('See https://example.org/a?b=c, the plan and [not this](javascript:alert(1))').locator('a');
  await links.nth(1).waitFor();
  const given = await links.evaluateAll((all) => all.map(({ href, target, rel }) => ({ href, target, rel })));
  const away = { target: '_blank', rel: 'noopener noreferrer nofollow' };
  assert.deepEqual(given, [{ href: 'https://example.org/a?b=c', ...away }, { href: 'https://example.org/plan', ...away }]);
});

test('markdown is drawn as what it means, and a block of code ends with its last line', async () => {
  await ben.say('# Rules\n\n**bold** *lean* ~~gone~~ `code`\n\n> said\n\n1. one\n2. two\n\n```\nlet a = 1;\n```');
  const last = ana.at('message').last();
  await last.locator('pre').waitFor();
  for (const tag of ['.heading', 'strong', 'em', 'del', 'p code', 'blockquote', 'ol li:nth-child(2)']) assert.equal(await last.locator(tag).count(), 1, tag);
  const box = await last.evaluate((row) => {
    const [text, pre, code] = ['.text', 'pre', 'pre code'].map((part) => row.querySelector(part).getBoundingClientRect());
    const padding = Number.parseFloat(getComputedStyle(row.querySelector('pre')).paddingBottom);
    return { below: text.bottom - pre.bottom, within: pre.bottom - code.bottom - padding, line: code.height };
  });
  assert.ok(box.below < 1, `${box.below} px below the block`);
  assert.ok(box.within < box.line / 2, `${box.within} px below the last line`);
});

test('who goes is shown as gone', async () => {
  await ana.starts({ kind: 'direct', members: 'cleo' });
  await ana.page.locator('.room-head .dot.online').waitFor();
  await cleo.at('me-menu').click();
  await cleo.at('status').getByText('Away').click();
  await ana.page.locator('.room-head .dot.away').waitFor();
  await cleo.page.goto('about:blank');
  await ana.page.locator('.room-head .dot').waitFor({ state: 'detached' });
  await ana.page.locator('.room-title p').filter({ hasText: /seen|offline/i }).waitFor();
});

test('the browsers had nothing to report', () => it.content());
