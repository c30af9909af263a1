/**
 * People at pages: a browser, and what a person does at a page and sees of it.
 *
 * CHROMIUM names another browser than /usr/bin/chromium.
 */
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { STEP_MS } from './wait.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
export const PASSWORD = 'correct horse battery';

export function launch(flags = []) {
  return chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...flags], timeout: STEP_MS * 2 });
}

/** One person at one page. */
export class Person {
  complaints = [];
  /** While set, failed connections are no fault of the page. */
  outage = false;

  constructor(name, page, address) {
    this.name = name;
    this.page = page;
    this.address = address;
    page.setDefaultTimeout(STEP_MS);
    page.on('pageerror', (error) => this.complaints.push(`page error: ${error.stack ?? error.message}`));
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      // The browser itself reports every refused connection while the server is down.
      const text = message.text();
      const refused = /WebSocket connection to 'ws:\/\/127\.0\.0\.1:\d+\/v1\/ws' failed/.test(text)
        || /^Failed to load resource: net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INTERNET_DISCONNECTED)/.test(text)
        || /^Failed to load resource: the server responded with a status of 50/.test(text);
      if (!(this.outage && refused)) this.complaints.push(`console ${message.type()}: ${text}`);
    });
  }

  /** Somebody with a browser profile of their own. */
  static async arrive(browser, name, address, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1100, height: 720 }, ...options });
    return new Person(name, await context.newPage(), address);
  }

  at(testid) { return this.page.getByTestId(testid); }

  async signUp(shown) {
    await this.page.goto(this.address);
    await this.at('auth-mode').click();
    await this.at('auth-user').fill(this.name);
    if (shown) await this.at('auth-name').fill(shown);
    await this.at('auth-password').fill(PASSWORD);
    await this.at('auth-submit').click();
    await this.online();
    return this;
  }

  async signIn() {
    if (!await this.at('auth').isVisible()) await this.page.goto(this.address);
    await this.at('auth-user').fill(this.name);
    await this.at('auth-password').fill(PASSWORD);
    await this.at('auth-submit').click();
    await this.online();
    return this;
  }

  state(name, timeout = STEP_MS) {
    return this.page.locator(`[data-testid=connection][data-state=${name}]`).waitFor({ state: 'attached', timeout });
  }

  online(timeout) { return this.state('online', timeout); }

  roomItem(name) { return this.at('room-item').filter({ has: this.page.locator('.name', { hasText: name }) }); }

  async opens(name) {
    await this.roomItem(name).click();
    await this.inRoom(name);
  }

  inRoom(name) { return this.at('room-name').filter({ hasText: name }).waitFor(); }

  /** Starts a room through the dialog. */
  async starts({ kind = 'group', name, topic, members = '', open = false }) {
    await this.at('new-room').click();
    if (kind !== 'group') await this.at('new-kind').getByText(kind === 'direct' ? 'Direct' : 'Channel').click();
    if (name) await this.at('new-name').fill(name);
    if (topic) await this.at('new-topic').fill(topic);
    await this.at('new-members').fill(members);
    if (open) await this.at('new-public').check();
    await this.at('new-create').click();
    await this.inRoom(name ?? members);
  }

  message(text) { return this.at('message').filter({ has: this.at('message-text').getByText(text, { exact: true }) }); }

  async say(text) {
    await this.at('composer').fill(text);
    await this.at('composer').press('Enter');
  }

  /** Waits until a message has reached one of these states on this page: pending, sent, delivered, read, failed; theirs. */
  async sees(text, ...states) {
    const any = states.map((state) => `[data-state=${state}]`);
    const row = this.message(text);
    await (any.length > 0 ? row.and(this.page.locator(any.join(','))) : row).waitFor();
  }

  texts() { return this.at('message-text').allTextContents(); }

  /** Waits until exactly these messages are shown, in this order. */
  async shows(expected) {
    try {
      await this.page.waitForFunction((wanted) => {
        const rows = [...document.querySelectorAll('[data-testid=message-text]')].map((row) => row.textContent);
        return JSON.stringify(rows) === JSON.stringify(wanted);
      }, expected);
    } catch {
      assert.deepEqual(await this.texts(), expected, `what ${this.name} sees`);
    }
  }

  /** Nothing was reported by the browser: no error, no warning, no violation of the policy. */
  content() { assert.deepEqual(this.complaints, [], `what the browser of ${this.name} reported`); }
}

/** What a message is, once on any page. */
export const ONCE_SENT = ['sent', 'delivered', 'read'];
