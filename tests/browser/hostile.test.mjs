/**
 * What people write is text: the whole corpus, as plain text and as markdown, in messages, names and topics.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CORPUS } from '../../web/tests/support/xss.mjs';
import { Caller } from './support/calls.mjs';
import { world } from './support/world.mjs';

const it = world({ PARLOR__LIMITS__SENDS_PER_S: '0' });
/** What the page itself makes of a text. */
const MADE = new Set(['P', 'DIV', 'CODE', 'PRE', 'BLOCKQUOTE', 'UL', 'OL', 'LI', 'HR', 'A', 'STRONG', 'EM', 'DEL', 'SPAN']);

test('every attack is shown as text, and nothing of it runs', async () => {
  const ana = await it.arrives('ana');
  const mallory = await Caller.register(it.server.url, 'mallory', '<img src=x onerror=window.broken=1>');
  const { room } = await mallory.append('room.create', { kind: 'group', name: '<script>window.broken=1</script>', topic: '<img src=x onerror=window.broken=1>', members: ['ana'] });
  let last = 0;
  for (const format of ['plain', 'markdown']) {
    for (const text of CORPUS) ({ seq: last } = await mallory.append('message.send', { room_id: room.room_id, body: { text, format } }));
  }
  await ana.page.locator('[data-testid=room-item]').first().click();
  await ana.at('to-end').click().catch(() => {});
  await ana.page.locator(`[data-seq="${last}"]`).waitFor();
  const seen = await ana.page.evaluate(() => {
    const texts = [...document.querySelectorAll('[data-testid=message-text]')];
    const all = texts.flatMap((text) => [...text.querySelectorAll('*')]);
    return {
      shown: texts.map((text) => text.textContent),
      tags: [...new Set(all.map((element) => element.tagName))],
      attributes: [...new Set(all.flatMap((element) => element.getAttributeNames()))],
      links: all.filter((element) => element.tagName === 'A').map((element) => element.href),
      broken: globalThis.broken,
    };
  });
  assert.equal(seen.broken, undefined);
  assert.deepEqual(seen.tags.filter((tag) => !MADE.has(tag)), []);
  assert.deepEqual(seen.attributes.filter((name) => !['class', 'href', 'target', 'rel', 'tabindex', 'title', 'start'].includes(name)), []);
  assert.deepEqual(seen.links.filter((href) => !/^(https?|mailto):/.test(href)), []);
  for (const text of CORPUS) assert.ok(seen.shown.includes(text), `shown as it was written: ${text}`);
  assert.equal(await ana.at('room-name').textContent(), '<script>window.broken=1</script>');
});

test('the browsers had nothing to report', () => it.content());

test('the policy refuses HTML and scripts that a mistake of ours would let in', async () => {
  const [ana] = it.people;
  // The development server sends no policy.
  if (process.env.PARLOR_PAGE) return;
  const tried = await ana.page.evaluate(() => {
    const element = document.body.appendChild(document.createElement('div'));
    const out = { html: 'set', broken: undefined };
    try { element.innerHTML = '<b>x</b>'; } catch (error) { out.html = error.name; }
    try { element.setAttribute('onclick', 'window.broken = 1'); } catch { /* refused even earlier */ }
    element.click();
    out.broken = globalThis.broken;
    return out;
  });
  assert.deepEqual(tried, { html: 'TypeError', broken: undefined });
});
