/**
 * The examples, against a real server that is killed: the bot answers each question once, the terminal and the embed send what was written meanwhile.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Caller } from './support/calls.mjs';
import { PASSWORD } from './support/people.mjs';
import { BIN, freePort } from './support/server.mjs';
import { RECONNECT_MS, STEP_MS, until, within } from './support/wait.mjs';
import { world } from './support/world.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BOT = join(dirname(BIN), 'examples/bot');
const TERMINAL = join(ROOT, 'examples/terminal.mjs');

const site = `http://127.0.0.1:${await freePort()}`;
const it = world({ PARLOR__SERVER__ALLOWED_ORIGINS: JSON.stringify([site]), PARLOR__LIMITS__SENDS_PER_S: '0' });

let folder;
before(async () => { folder = await mkdtemp(join(tmpdir(), 'parlor-examples-')); });
after(() => rm(folder, { recursive: true, force: true }));

/** A program that was started, and what it said so far. */
class Program {
  output = '';

  constructor(command, args) {
    this.process = spawn(command, args, { cwd: folder, env: { PATH: process.env.PATH, PARLOR_PASSWORD: PASSWORD }, stdio: 'pipe' });
    this.ended = once(this.process, 'exit');
    for (const stream of [this.process.stdout, this.process.stderr]) stream.setEncoding('utf8').on('data', (text) => { this.output += text; });
    const kill = () => this.process.kill('SIGKILL');
    process.once('exit', kill);
    this.process.once('exit', () => process.off('exit', kill));
  }

  async says(text, ms = STEP_MS) {
    await until(() => this.output.includes(text), `${text}, in what is said`, ms).catch((error) => { throw new Error(`${error.message}:\n${this.output}`); });
  }

  async end(signal) {
    if (signal) this.process.kill(signal);
    return (await within(this.ended, STEP_MS, 'it has ended'))[0];
  }
}

/** The texts of a room's messages, oldest first, by one sender if one is named. */
async function texts(caller, room_id, sender) {
  const found = [];
  for (let after = 0; ;) {
    const [{ payload }] = await caller.frames([{ type: 'history.get', payload: { room_id, after, limit: 100 } }]);
    found.push(...payload.events);
    if (payload.complete) break;
    after = payload.events.at(-1).payload.seq;
  }
  const messages = found.filter(({ type, payload }) => type === 'message' && (!sender || payload.sender === sender));
  return messages.map(({ payload }) => payload.body.text);
}

async function room(owner, name) {
  const ack = await owner.append('room.create', { kind: 'group', name, public: true });
  return ack.room.room_id;
}

test('the bot answers each question once, though it and the server are killed', async () => {
  const asker = await Caller.register(it.server.url, 'asker');
  const room_id = await room(asker, 'Questions');
  const start = () => new Program(BOT, [it.server.url, 'bot', room_id]);
  let bot = start();
  await bot.says('is in the room');
  await asker.say(room_id, 'hello');
  await asker.say(room_id, '!ping');
  const wanted = ['pong'];
  const answers = () => texts(asker, room_id, 'bot');
  for (let round = 0; round < 8; round += 1) {
    await asker.sayMany(room_id, 25, (n) => `!echo ${round}/${n}`);
    for (let n = 0; n < 25; n += 1) wanted.push(`${round}/${n}`);
    // While it is at work, a little later each time.
    await until(async () => (await answers()).length > 1 + round * 20, 'some answers');
    await bot.end('SIGKILL');
    if (round % 4 === 3) {
      await it.server.kill();
      await it.server.start();
    }
    bot = start();
  }
  await until(async () => (await answers()).length >= wanted.length, 'all answers', RECONNECT_MS);
  await asker.say(room_id, '!echo last');
  await until(async () => (await answers()).includes('last'), 'the last one');
  assert.deepEqual(await answers(), [...wanted, 'last']);
  await bot.end('SIGKILL');
});

test('the terminal shows what was said and is said, and sends what is typed without a connection', async () => {
  const ana = await Caller.register(it.server.url, 'ana');
  const room_id = await room(ana, 'Terminal');
  await ana.say(room_id, 'before');
  const terminal = new Program(process.execPath, [TERMINAL, it.server.url, 'ben', room_id]);
  await terminal.says('ana: before\n');
  await ana.say(room_id, 'while \u001b[2Jhere\n\u202edrah');
  await terminal.says('ana: while  [2Jhere  drah\n');
  terminal.process.stdin.write('typed\n');
  await terminal.says('ben: typed\n');
  await it.server.kill();
  terminal.process.stdin.write('without a connection\n');
  await it.server.start();
  await terminal.says('ben: without a connection\n', RECONNECT_MS);
  terminal.process.stdin.end('and the last\n');
  assert.equal(await terminal.end(), 0, terminal.output);
  assert.deepEqual(await texts(ana, room_id, 'ben'), ['typed', 'without a connection', 'and the last']);
  assert.equal(terminal.output.match(/ana: before/g).length, 1);
});

test('the terminal says why it cannot', async () => {
  const ana = await Caller.register(it.server.url, 'anna');
  const room_id = await room(ana, 'Closed');
  await Caller.register(it.server.url, 'carl');
  await ana.append('room.ban', { room_id, user_id: 'carl' });
  const terminal = new Program(process.execPath, [TERMINAL, it.server.url, 'carl', room_id]);
  terminal.process.stdin.end('hello\n');
  assert.equal(await terminal.end(), 1);
  assert.match(terminal.output, /^parlor: .+/m);
});

/** Serves the example with the client beside it, as the document says. */
async function serve() {
  const types = { html: 'text/html; charset=utf-8', js: 'text/javascript' };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, site);
    const file = pathname === '/embed.html' ? 'examples/embed.html' : /^\/dist\/[\w/-]+\.js$/.test(pathname) && `clients/typescript${pathname}`;
    const body = file && await readFile(join(ROOT, file)).catch(() => undefined);
    response.writeHead(body ? 200 : 404, { 'content-type': types[pathname.split('.').at(-1)] ?? 'text/plain' }).end(body || undefined);
  });
  server.listen(Number(new URL(site).port), '127.0.0.1');
  await once(server, 'listening');
  return server;
}

test('the embed shows a room in a page of another origin, and sends what was written without a connection', async () => {
  const owner = await Caller.register(it.server.url, 'owner');
  const guest = await Caller.register(it.server.url, 'guest');
  const room_id = await room(owner, 'Shop');
  await guest.append('room.join', { room_id });
  const hostile = '<img src=x onerror="document.title = \'hostile\'">';
  await owner.say(room_id, hostile);
  const pages = await serve();
  const page = await it.browser.newPage();
  try {
    const faults = [];
    page.on('pageerror', (error) => faults.push(error));
    await page.goto(`${site}/embed.html#server=${it.server.url}&room=${room_id}&token=${guest.token}`);
    const lines = () => page.getByRole('listitem').allTextContents();
    const says = async (text) => {
      await page.getByLabel('Message', { exact: true }).fill(text);
      await page.getByLabel('Message', { exact: true }).press('Enter');
    };
    await page.getByText(hostile).waitFor();
    await owner.say(room_id, 'good morning');
    await page.getByText('owner good morning').waitFor();
    await says('have you tea');
    await until(async () => (await texts(owner, room_id, 'guest')).length === 1, 'it is in the room');
    await it.server.kill();
    await page.getByText('No connection').waitFor();
    await says('and milk');
    await page.locator('li.pending', { hasText: 'and milk' }).waitFor();
    await it.server.start();
    await until(async () => (await texts(owner, room_id, 'guest')).length === 2, 'it was sent', RECONNECT_MS);
    await page.locator('li.pending').waitFor({ state: 'detached' });
    assert.deepEqual(await lines(), [`owner ${hostile}`, 'owner good morning', 'guest have you tea', 'guest and milk']);
    assert.equal(await page.title(), 'A page with a room in it');
    assert.deepEqual(faults, []);
  } finally {
    await page.close();
    pages.closeAllConnections();
    pages.close();
  }
});
