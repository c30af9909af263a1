/**
 * A real server: the process, on an empty folder and a free port, that can be killed, paused and started again.
 *
 * PARLOR_BIN names another binary than target/debug/parlor.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Accounts, LoginTokens, MemoryLoginStore, connect } from '../../dist/node.js';

const BIN = resolve(process.env.PARLOR_BIN ?? fileURLToPath(new URL('../../../../target/debug/parlor', import.meta.url)));
const STEP_MS = 20_000;
export const PASSWORD = 'correct horse battery';

/** A real server, and the clients that were made for it. */
export class Server {
  #clients = [];
  #folder;
  #settings;
  #process;
  #ended;
  #listen = '127.0.0.1:0';
  url;

  /** `settings` are environment variables of the server. */
  static async start(settings = {}) {
    const server = new Server();
    server.#settings = settings;
    server.#folder = await mkdtemp(join(tmpdir(), 'parlor-ts-'));
    await server.start();
    return server;
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** Starts the process, again on the same folder and port. */
  async start() {
    this.#process = spawn(BIN, [], {
      cwd: this.#folder,
      env: {
        PATH: process.env.PATH, PARLOR__STORAGE__PATH: join(this.#folder, 'data'), PARLOR__SERVER__LISTEN: this.#listen,
        PARLOR__LIMITS__SENDS_PER_S: '0', PARLOR__LOG__LEVEL: 'warn', ...this.#settings,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#ended = new Promise((done) => this.#process.once('exit', done));
    const lines = createInterface({ input: this.#process.stdout });
    const ready = new Promise((done) => {
      lines.on('line', (line) => { const found = /http:\/\/127\.0\.0\.1:\d+/.exec(line); if (found) done(found[0]); });
    });
    const gone = this.#ended.then(() => { throw new Error('the server ended before it was ready'); });
    this.url = await within(Promise.race([ready, gone]), STEP_MS, 'the server is ready');
    this.#listen = new URL(this.url).host;
  }

  async kill() {
    this.#process.kill('SIGKILL');
    await within(this.#ended, STEP_MS, 'the server ends');
  }

  /** Asks it to end, as an operator does. */
  async terminate() {
    this.#process.kill('SIGTERM');
    await within(this.#ended, STEP_MS, 'the server drains');
  }

  pause() { this.#process.kill('SIGSTOP'); }
  resume() { this.#process.kill('SIGCONT'); }

  /** Ends the clients and the process. */
  async end() {
    this.#clients.forEach((client) => client.stop());
    this.#process.kill('SIGKILL');
    await this.#ended;
    await rm(this.#folder, { recursive: true, force: true });
  }

  accounts() { return new Accounts(this.url); }

  /** Makes a user, and gives a source of tokens. */
  async tokens(user_id) {
    const accounts = this.accounts();
    const store = new MemoryLoginStore(await accounts.register(user_id, PASSWORD));
    return new LoginTokens(accounts, store);
  }

  /** Makes a client, which ends with the server. */
  connect(options, ports) {
    const client = connect({ url: this.url, ...options }, ports);
    this.#clients.push(client);
    return client;
  }

  /** Makes a user and a client of theirs that is online. */
  async person(user_id, options = {}, ports = {}) {
    const client = this.connect({ tokens: await this.tokens(user_id), user_id, ...options }, ports);
    await online(client);
    return client;
  }
}

/** Waits until a client is online. */
export async function online(client) {
  if (client.state.name !== 'online') await heard(client, 'state', (state) => state.name === 'online');
}

/** Waits for a notice that suits. */
export function heard(client, name, suits = () => true, ms = STEP_MS) {
  let off;
  const notice = new Promise((done) => { off = client.on(name, (value) => { if (suits(value)) done(value); }); });
  return within(notice, ms, `a notice ${name}`).finally(off);
}

/** Waits until something is so, looking at it whenever the client says something. */
export async function until(client, holds, what, ms = STEP_MS) {
  if (holds()) return;
  const offs = [];
  const so = new Promise((done) => {
    for (const name of ['event', 'state', 'notice', 'settled', 'gap', 'welcome']) {
      offs.push(client.on(name, () => { if (holds()) done(); }));
    }
  });
  await within(so, ms, what).finally(() => offs.forEach((off) => off()));
}

/** Bounds a wait. */
export function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const pass = (ms) => new Promise((done) => { setTimeout(done, ms); });
