/**
 * A real server for browser tests: the process in `PARLOR_BIN`, on an empty folder, that can be killed and started again on the same port.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { STEP_MS, within } from './wait.mjs';

/** The server's binary. */
export const BIN = resolve(process.env.PARLOR_BIN ?? fileURLToPath(new URL('../../../target/debug/parlor', import.meta.url)));

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

export class Server {
  #folder;
  #settings;
  #process;
  #ended;
  /** Where it listens, as `http://127.0.0.1:port`. */
  url;

  /** `settings` are environment variables of the server. */
  static async start(settings = {}) {
    const server = new Server();
    server.#settings = settings;
    server.#folder = await mkdtemp(join(tmpdir(), 'parlor-browser-'));
    server.url = `http://127.0.0.1:${process.env.PARLOR_PORT ?? await freePort()}`;
    process.once('exit', () => server.#process?.kill('SIGKILL'));
    await server.start();
    return server;
  }

  /** Where the page is: the server's own, or the development server's that `PARLOR_PAGE` names. */
  get page() { return process.env.PARLOR_PAGE ?? this.url; }

  /** Starts the process and waits until it is ready. */
  async start() {
    this.#process = spawn(BIN, [], {
      cwd: this.#folder,
      env: {
        PATH: process.env.PATH, PARLOR__STORAGE__PATH: join(this.#folder, 'data'), PARLOR__SERVER__LISTEN: new URL(this.url).host,
        PARLOR__LIMITS__REGISTERS_PER_MINUTE: '0', PARLOR__LIMITS__LOGINS_PER_MINUTE: '0', PARLOR__LOG__LEVEL: 'warn', ...this.#settings,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#ended = new Promise((done) => this.#process.once('exit', (code, signal) => done(signal ?? code)));
    const lines = createInterface({ input: this.#process.stdout });
    const ready = new Promise((done) => lines.on('line', (line) => { if (line.includes(this.url)) done(); }));
    const gone = this.#ended.then((how) => { throw new Error(`the server ended before it was ready: ${how}`); });
    await within(Promise.race([ready, gone]), STEP_MS, 'the server is ready');
  }

  /** Ends the process as a crash would. */
  async kill() {
    this.#process.kill('SIGKILL');
    return within(this.#ended, STEP_MS, 'the server has ended');
  }

  async end() {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
