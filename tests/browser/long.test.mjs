/**
 * A room of a hundred thousand messages: heard one by one, scrolled at speed, jumped about in. Reports time and memory.
 *
 * PARLOR_LONG sets how many messages.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Caller } from './support/calls.mjs';
import { ONCE_SENT } from './support/people.mjs';
import { until } from './support/wait.mjs';
import { world } from './support/world.mjs';

const MANY = Number(process.env.PARLOR_LONG ?? 100_000);
const SPEAKERS = 16;
/** More rows than the page ever has: what it holds, lines and days. */
const ROWS_MAX = 380;
const HEAP_GROWTH_MB = 40;
const PAINT_MS = 50;

const it = world({ PARLOR__LIMITS__SENDS_PER_S: '0' }, ['--js-flags=--expose-gc']);
let ana;
let room_id;
let first;
let cdp;

/** Bytes of the page's heap, in MB, once what is garbage is gone. */
async function heap() {
  await cdp.send('HeapProfiler.collectGarbage');
  const { usedSize } = await cdp.send('Runtime.getHeapUsage');
  const { metrics } = await cdp.send('Performance.getMetrics');
  return { mb: usedSize / 2 ** 20, nodes: metrics.find(({ name }) => name === 'Nodes').value };
}

const rows = () => ana.page.locator('.rows > li').count();
const topSeq = () => ana.page.evaluate(() => {
  const { scrollTop } = document.querySelector('.scroller');
  const row = [...document.querySelectorAll('.rows > [data-seq]')].find((one) => one.offsetTop + one.offsetHeight > scrollTop);
  return Number(row?.dataset.seq ?? 0);
});
/** Waits until a text is the last one shown, at the end of the room; says what is shown instead when it is not. */
async function atEnd(text) {
  try {
    await ana.page.waitForFunction((wanted) => {
      const scroller = document.querySelector('.scroller');
      const last = [...document.querySelectorAll('[data-testid=message-text]')].at(-1);
      return last?.textContent === wanted && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 50;
    }, text, { timeout: 60_000 });
  } catch (error) {
    const shown = await ana.page.evaluate(() => {
      const scroller = document.querySelector('.scroller');
      return {
        last: [...document.querySelectorAll('[data-testid=message-text]')].at(-1)?.textContent,
        belowPx: scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight,
        away: document.querySelector('[data-testid=to-end]')?.textContent,
        edge: [...document.querySelectorAll('.edge')].map((one) => one.textContent),
        seqs: [...document.querySelectorAll('.rows > [data-seq]')].map((one) => Number(one.dataset.seq)).filter((_, n, all) => n === 0 || n === all.length - 1),
      };
    });
    throw new Error(`not at the end: ${JSON.stringify(shown)}`, { cause: error });
  }
}

test('a hundred thousand messages come in while somebody looks, and memory stays', async (t) => {
  ana = await it.arrives('ana');
  await ana.starts({ name: 'Long', open: true });
  first = 'The very first';
  await ana.say(first);
  await ana.sees(first, ...ONCE_SENT);
  room_id = new URL(ana.page.url()).hash.split('/').at(-1);
  cdp = await ana.page.context().newCDPSession(ana.page);
  await cdp.send('Performance.enable');
  const speakers = await Promise.all(Array.from({ length: SPEAKERS }, async (_, n) => {
    const speaker = await Caller.register(it.server.url, `speaker-${n}`);
    await speaker.append('room.join', { room_id });
    return speaker;
  }));
  const text = (n) => `Message **${n}**: a few words, so that it is of the usual length, and @ana`;
  // Warm: what is made once is there before it is measured.
  await speakers[0].sayMany(room_id, 400, text);
  await speakers[0].say(room_id, 'warm');
  await atEnd('warm');
  const before = await heap();
  const began = performance.now();
  await Promise.all(speakers.map((speaker) => speaker.sayMany(room_id, MANY / SPEAKERS, text)));
  await speakers[0].say(room_id, 'the last of many');
  await atEnd('the last of many');
  const took = performance.now() - began;
  const after = await heap();
  t.diagnostic(`${MANY} messages received in ${(took / 1000).toFixed(1)} s; heap ${before.mb.toFixed(1)} MB before, ${after.mb.toFixed(1)} MB after; `
    + `${before.nodes} DOM nodes before, ${after.nodes} after; ${await rows()} rows`);
  assert.ok(await rows() <= ROWS_MAX, 'rows');
  assert.ok(after.mb - before.mb < HEAP_GROWTH_MB, `the heap grew by ${(after.mb - before.mb).toFixed(1)} MB`);
});

test('from a key to the painted message is fast', async (t) => {
  await ana.page.evaluate(() => {
    globalThis.painted = [];
    let pressed = 0;
    addEventListener('keydown', (event) => { if (event.key === 'Enter') pressed = event.timeStamp; }, true);
    new MutationObserver((changes) => {
      const mine = changes.some(({ addedNodes }) => [...addedNodes].some((node) => node.dataset?.state === 'written'));
      if (!mine || pressed === 0) return;
      const began = pressed;
      pressed = 0;
      // After the next frame has been drawn.
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => globalThis.painted.push(performance.now() - began);
        port2.postMessage(undefined);
      });
    }).observe(document.querySelector('.rows'), { childList: true });
  });
  const count = 40;
  for (let n = 0; n < count; n += 1) await ana.say(`Own message ${n}`);
  await ana.sees(`Own message ${count - 1}`, ...ONCE_SENT);
  const times = (await ana.page.evaluate(() => globalThis.painted)).sort((a, b) => a - b);
  const [median, p95] = [times[Math.floor(times.length / 2)], times[Math.floor(times.length * 0.95)]];
  t.diagnostic(`key to paint of ${times.length} own messages among ${await rows()} rows: median ${median.toFixed(1)} ms, 95 % ${p95.toFixed(1)} ms`);
  assert.ok(times.length >= count * 0.9, `${times.length} were measured`);
  assert.ok(median <= PAINT_MS, `${median.toFixed(1)} ms`);
});

test('scrolled at speed, nothing jumps, nothing is missing, and little is held', async (t) => {
  const result = await ana.page.evaluate(async () => {
    const scroller = document.querySelector('.scroller');
    const frame = () => new Promise((done) => { requestAnimationFrame(done); });
    const places = () => new Map([...document.querySelectorAll('.rows > [data-seq]')].map((row) => [row.dataset.seq, row.offsetTop + row.offsetHeight - scroller.scrollTop]));
    const out = { jumps: [], holes: 0, rows: 0, frames: 0 };
    const began = performance.now();
    while (performance.now() - began < 8_000) {
      // As far as a hand on a wheel gets within a frame; then a frame in which only the page itself may move things.
      scroller.scrollTop -= 1_500;
      let before = places();
      for (let n = 0; n < 2; n += 1) {
        await frame();
        const now = places();
        for (const [seq, bottom] of now) {
          if (before.has(seq) && Math.abs(before.get(seq) - bottom) > 2) out.jumps.push([seq, before.get(seq), bottom]);
        }
        before = now;
      }
      const seqs = [...before.keys()].map(Number);
      for (let n = 1; n < seqs.length; n += 1) if (seqs[n] !== seqs[n - 1] + 1) out.holes += 1;
      out.rows = Math.max(out.rows, document.querySelectorAll('.rows > li').length);
      out.frames += 1;
    }
    out.jumps = { count: out.jumps.length, some: out.jumps.slice(0, 3) };
    return out;
  });
  const reached = await topSeq();
  t.diagnostic(`8 s of scrolling: ${MANY - reached} messages back in ${result.frames} steps, ${result.rows} rows at most`);
  assert.equal(result.jumps.count, 0, JSON.stringify(result.jumps.some));
  assert.equal(result.holes, 0);
  assert.ok(result.rows <= ROWS_MAX);
  assert.ok(reached < MANY - 500, `got to ${reached}`);
});

test('down again works as well, and the end is one key away', async () => {
  const from = await topSeq();
  await ana.at('scroller').focus();
  for (let n = 0; n < 30; n += 1) {
    await ana.page.evaluate(async () => {
      document.querySelector('.scroller').scrollTop += 3_000;
      await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
    });
  }
  await until(async () => await topSeq() > from + 100, 'further down');
  await ana.page.keyboard.press('End');
  await atEnd('Own message 39');
});

test('a reply leads to the first of all messages, and back', async () => {
  const caller = await Caller.login(it.server.url, 'speaker-1');
  await caller.say(room_id, 'As it was said in the beginning', { reply_to: 2 });
  const quote = ana.message('As it was said in the beginning').getByTestId('quote');
  await quote.filter({ hasText: first }).waitFor();
  await quote.click();
  await ana.page.locator('.message.flash').filter({ hasText: first }).waitFor();
  await caller.say(room_id, 'Said while one looks at the beginning');
  await ana.at('to-end').click();
  await atEnd('Said while one looks at the beginning');
});

test('who has been away finds the first unread message', async () => {
  await ana.starts({ name: 'Other' });
  const caller = await Caller.login(it.server.url, 'speaker-2');
  await caller.sayMany(room_id, 700, (n) => `News ${n}`);
  await ana.roomItem('Long').getByTestId('unread').filter({ hasText: /^700/ }).waitFor();
  await ana.opens('Long');
  await ana.at('unread-line').waitFor();
  await ana.sees('News 0');
  await ana.at('to-end').click();
  await atEnd('News 699');
  await ana.roomItem('Long').getByTestId('unread').waitFor({ state: 'detached' });
  await ana.at('to-unread').click();
  await ana.at('unread-line').waitFor();
  await ana.sees('News 0');
});

test('the browsers had nothing to report', () => it.content());
