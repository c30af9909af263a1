/**
 * Two people in two browsers, across a `kill -9` of the server.
 *
 * Starts the server in `PARLOR_BIN` on an empty folder, drives two Chromium contexts through the page, kills the server,
 * starts it again on the same folder and port, and compares what both see. Every wait has a bound; nothing sleeps.
 *
 * Environment: PARLOR_BIN, CHROMIUM, PARLOR_SHOTS (a folder for screenshots).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const BIN = resolvePath(process.env.PARLOR_BIN ?? fileURLToPath(new URL('../../target/debug/parlor', import.meta.url)));
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SHOTS = process.env.PARLOR_SHOTS;
const STEP_MS = 20_000;
/** Above the page's longest back-off. */
const RECONNECT_MS = 45_000;
const WHOLE_MS = 180_000;
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const PASSWORD = 'correct horse battery';
const MARKUP = '<img src=x onerror="document.title=\'broken\'"><b>bold</b>';

let passed = 0;
let failed = 0;

/** Runs one named check; the first failure ends the run, because the next checks stand on this one. */
async function check(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack ?? error}`);
    throw error;
  }
}

function same(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual, null, 1), JSON.stringify(expected, null, 1)];
  if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`);
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

class Server {
  constructor(folder) {
    this.folder = folder;
    this.listen = '127.0.0.1:0';
  }

  /** Starts the process and resolves with the address it prints. */
  async start() {
    this.process = spawn(BIN, [], {
      cwd: this.folder,
      env: { ...process.env, PARLOR__STORAGE__PATH: join(this.folder, 'data'), PARLOR__SERVER__LISTEN: this.listen },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.ended = new Promise((resolve, reject) => {
      this.process.once('exit', (code, signal) => resolve(signal ?? code));
      this.process.once('error', reject);
    });
    const lines = createInterface({ input: this.process.stdout });
    const ready = new Promise((resolve) => {
      lines.on('line', (line) => {
        const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line);
        if (found) resolve(found[0]);
      });
    });
    const gone = this.ended.then((how) => { throw new Error(`the server ended before it was ready: ${how}`); });
    return bounded(Promise.race([ready, gone]), STEP_MS, 'the server printed no address');
  }

  async kill() {
    this.process.kill('SIGKILL');
    return bounded(this.ended, STEP_MS, 'the server did not end');
  }
}

function bounded(promise, ms, complaint) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(complaint)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One person at one page. */
class Person {
  constructor(name, page) {
    this.name = name;
    this.page = page;
    this.complaints = [];
    this.outage = false;
    page.setDefaultTimeout(STEP_MS);
    page.on('pageerror', (error) => this.complaints.push(`page error: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      // The browser itself reports every refused connection while the server is down.
      const text = message.text();
      const refused = /WebSocket connection to 'ws:\/\/127\.0\.0\.1:\d+\/v1\/ws' failed/.test(text)
        || /^Failed to load resource: net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE)/.test(text);
      if (!(this.outage && refused)) this.complaints.push(`console ${message.type()}: ${text}`);
    });
  }

  at(testid) {
    return this.page.getByTestId(testid);
  }

  async signUp(address) {
    await this.page.goto(address);
    await this.at('auth-mode').click();
    await this.at('auth-user').fill(this.name);
    await this.at('auth-password').fill(PASSWORD);
    await this.at('auth-submit').click();
    await this.online();
    same(await this.at('me').textContent(), this.name, 'the name shown');
  }

  state(name, timeout = STEP_MS) {
    return this.page.locator(`[data-testid=connection][data-state=${name}]`).waitFor({ state: 'attached', timeout });
  }

  online(timeout) {
    return this.state('online', timeout);
  }

  roomItem(name) {
    return this.at('room-item').filter({ hasText: name });
  }

  async openRoom(name) {
    await this.roomItem(name).click();
    await this.at('room-name').filter({ hasText: name }).waitFor();
  }

  message(text) {
    return this.at('message').filter({ has: this.page.getByText(text, { exact: true }) });
  }

  async say(text) {
    await this.at('composer').fill(text);
    await this.at('composer').press('Enter');
  }

  /** Waits until a message has reached a state on this page: pending, sent, read, failed. */
  async sees(text, ...states) {
    const any = states.map((state) => `[data-state=${state}]`);
    const row = this.message(text);
    await (any.length > 0 ? row.and(this.page.locator(any.join(','))) : row).waitFor();
  }

  texts() {
    return this.at('message-text').allTextContents();
  }

  /** Waits until exactly these messages are shown, in this order. */
  async shows(expected) {
    try {
      await this.page.waitForFunction((wanted) => {
        const rows = [...document.querySelectorAll('[data-testid=message-text]')].map((row) => row.textContent);
        return JSON.stringify(rows) === JSON.stringify(wanted);
      }, expected);
    } catch {
      same(await this.texts(), expected, `what ${this.name} sees`);
    }
  }

  async shot(name) {
    if (SHOTS) await this.page.screenshot({ path: join(SHOTS, `${name}.png`) });
  }
}

async function conversation(ana, ben, server, address) {
  const said = [];
  const exchange = async (from, to, text) => {
    await from.say(text);
    said.push(text);
    await from.sees(text, 'sent', 'read');
    await to.sees(text);
  };

  await check('ana and ben sign up through the page', async () => {
    await ana.signUp(address);
    await ben.signUp(address);
  });

  await check('ana makes a room with ben, and both have it', async () => {
    await ana.at('new-room').click();
    await ana.at('new-name').fill('Garden');
    await ana.at('new-members').fill('ben');
    await ana.at('new-create').click();
    await ana.at('room-name').filter({ hasText: 'Garden' }).waitFor();
    await ben.roomItem('Garden').waitFor();
  });

  await check('an unopened room counts the unread, an opened one does not', async () => {
    await ana.say('Are you there?');
    said.push('Are you there?');
    await ben.roomItem('Garden').getByTestId('unread').filter({ hasText: /^1$/ }).waitFor();
    await ben.openRoom('Garden');
    await ben.sees('Are you there?');
    await ben.roomItem('Garden').getByTestId('unread').filter({ hasText: /^$/ }).waitFor({ state: 'attached' });
  });

  await check('both exchange messages and see what the other reads', async () => {
    await exchange(ben, ana, 'Here I am');
    await exchange(ana, ben, 'The tomatoes are ripe');
    await exchange(ben, ana, 'I bring a basket\nand two chairs');
    await ana.sees('The tomatoes are ripe', 'read');
    await ben.sees('Here I am', 'read');
  });

  await check('typing is shown to the other one', async () => {
    await ben.at('composer').pressSequentially('Soo');
    await ana.at('typing').filter({ hasText: 'ben is typing' }).waitFor();
    await ben.at('composer').fill('');
  });

  await check('markup is shown as text', async () => {
    await exchange(ana, ben, MARKUP);
    for (const person of [ana, ben]) {
      same(await person.at('messages').locator('img, b').count(), 0, 'elements made of a message');
    }
  });
  await ana.shot('ana-before');

  await check('a killed server shows as a lost connection', async () => {
    for (const person of [ana, ben]) person.outage = true;
    same(await server.kill(), 'SIGKILL', 'how the server ended');
    for (const person of [ana, ben]) await person.at('banner').waitFor();
  });

  await check('a message typed meanwhile is shown as pending', async () => {
    for (const text of ['Is the gate open?', 'I have the key']) {
      await ana.say(text);
      said.push(text);
      await ana.sees(text, 'pending');
    }
    await ana.shot('ana-down');
  });

  await check('both pages come back by themselves', async () => {
    same(await server.start(), address, 'the address after the restart');
    for (const person of [ana, ben]) await person.online(RECONNECT_MS);
    for (const person of [ana, ben]) person.outage = false;
  });

  await check('the pending messages are delivered', async () => {
    for (const text of ['Is the gate open?', 'I have the key']) {
      await ana.sees(text, 'sent', 'read');
      await ben.sees(text);
    }
    await exchange(ben, ana, 'Come in');
  });

  await check('everything is there once and in order, on both pages', async () => {
    for (const person of [ana, ben]) await person.shows(said);
  });

  await check('a reload keeps the login, the room and every message', async () => {
    for (const person of [ana, ben]) {
      await person.page.reload();
      await person.online();
      await person.at('room-name').filter({ hasText: 'Garden' }).waitFor();
      await person.shows(said);
      same(await person.page.locator('[data-testid=message][data-state=pending]').count(), 0, 'pending messages');
      await person.shot(`${person.name}-after`);
    }
  });

  await check('a message survives a reload before it could be sent', async () => {
    const text = 'Kept in the outbox';
    // The page itself comes from the server, so here the server stays and the browser's sending is cut off.
    await ana.page.evaluate(() => { WebSocket.prototype.send = () => {}; });
    await ana.say(text);
    said.push(text);
    await ana.sees(text, 'pending');
    await ana.page.reload();
    await ana.online();
    await ana.sees(text, 'sent', 'read');
    await ben.sees(text);
    for (const person of [ana, ben]) await person.shows(said);
  });

  await check('history is read page by page while scrolling up', async () => {
    const lines = Array.from({ length: 30 }, (_, n) => `Line ${n + 1} of many`);
    for (const speaker of [ana, ben]) {
      for (const line of lines) {
        const text = `${speaker.name}: ${line}`;
        await speaker.say(text);
        said.push(text);
      }
      await speaker.sees(said.at(-1), 'sent', 'read');
    }
    for (const person of [ana, ben]) await person.shows(said);
    await ben.page.reload();
    await ben.sees(said.at(-1));
    if ((await ben.texts()).length >= said.length) throw new Error('the first page holds everything');
    await ben.at('scroller').focus();
    await ben.at('scroller').press('Home');
    await ben.shows(said);
  });

  await check('ben finds a public room of ana and joins it', async () => {
    await ana.at('new-room').click();
    await ana.at('new-name').fill('Square');
    await ana.at('new-public').check();
    await ana.at('new-create').click();
    await ana.at('room-name').filter({ hasText: 'Square' }).waitFor();
    await ben.at('browse').click();
    await ben.at('browse-dialog').locator('li').filter({ hasText: 'Square' }).getByTestId('join').click();
    await ben.at('room-name').filter({ hasText: 'Square' }).waitFor();
    await ben.say('Good morning');
    await ana.sees('Good morning');
  });

  await check('ben signs out and in again', async () => {
    await ben.at('sign-out').click();
    await ben.at('auth-user').fill('ben');
    await ben.at('auth-password').fill(PASSWORD);
    await ben.at('auth-submit').click();
    await ben.online();
    await ben.openRoom('Garden');
    await ben.sees(said.at(-1));
  });

  await check('neither page had an error, a warning or a policy violation', async () => {
    for (const person of [ana, ben]) same(person.complaints, [], `what the browser of ${person.name} reported`);
    same(await ben.page.title(), 'Parlor', 'the title');
  });
}

async function main() {
  const folder = await mkdtemp(join(tmpdir(), 'parlor-browser-'));
  if (SHOTS) await mkdir(SHOTS, { recursive: true });
  const server = new Server(folder);
  process.once('exit', () => server.process?.kill('SIGKILL'));
  const contexts = [];
  try {
    await check('the server starts on a free port and prints its address', async () => {
      const address = await server.start();
      if (address.endsWith(':0')) throw new Error(`no real port in ${address}`);
      await server.kill();
    });
    server.listen = `127.0.0.1:${await freePort()}`;
    const address = await server.start();
    const people = [];
    for (const name of ['ana', 'ben']) {
      const context = await chromium.launchPersistentContext(join(folder, `profile-${name}`), {
        executablePath: CHROMIUM, args: FLAGS, viewport: { width: 1000, height: 700 }, timeout: STEP_MS * 2,
      });
      contexts.push(context);
      people.push(new Person(name, context.pages()[0] ?? await context.newPage()));
    }
    try {
      await conversation(...people, server, address);
    } catch (error) {
      for (const person of people) {
        await person.shot(`${person.name}-failed`).catch(() => {});
        console.log(`${person.name}'s browser reported: ${JSON.stringify(person.complaints)}`);
      }
      throw error;
    }
  } finally {
    for (const context of contexts) await context.close().catch(() => {});
    server.process?.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

await bounded(main(), WHOLE_MS, `not done after ${WHOLE_MS / 1000} s`).catch((error) => {
  if (failed === 0) { failed = 1; console.log(error.stack ?? error); }
});
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
