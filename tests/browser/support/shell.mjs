/**
 * What documents tell people to type: their shell blocks, run one after the other in one bash, and what they say comes out of it.
 *
 * A checkout stands in for the root of the repository: `target/release` leads to what was built before, and `cargo` and `npm` do nothing, because
 * building and bringing packages is what `scripts/test` has done by then. All else is as it is for people.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BIN } from './server.mjs';
import { STEP_MS, until, within } from './wait.mjs';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const MARK = '--- end of a block:';

/** A folder like the root of the repository; `remove` takes it away. */
export async function checkout() {
  const folder = await mkdtemp(join(tmpdir(), 'parlor-shell-'));
  await mkdir(join(folder, 'target'));
  await symlink(dirname(BIN), join(folder, 'target/release'));
  for (const name of ['clients', 'examples']) await symlink(join(ROOT, name), join(folder, name));
  await mkdir(join(folder, 'bin'));
  for (const name of ['cargo', 'npm']) {
    await writeFile(join(folder, 'bin', name), '#!/bin/sh\n');
    await chmod(join(folder, 'bin', name), 0o755);
  }
  return { folder, remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }) };
}

/**
 * The shell blocks of a document, each with the lines that the text blocks after it promise. `swap` is a list of texts and what stands in for
 * them here, such as a free port.
 */
export async function blocks(document, swap) {
  let text = await readFile(join(ROOT, document), 'utf8');
  for (const [from, to] of swap) text = text.replaceAll(from, to);
  const found = [];
  for (const [, language, body] of text.matchAll(/^```(sh|text)\n([\s\S]*?)^```$/gm)) {
    if (language === 'sh') found.push({ code: body, promised: [] });
    else found.at(-1).promised.push(...body.trimEnd().split('\n'));
  }
  return found;
}

/** One bash that goes on over many blocks. */
export class Shell {
  #process;
  #output = '';

  constructor(folder, env = {}) {
    // A group of its own, so that what the blocks leave in the background ends with it.
    this.#process = spawn('bash', ['--noprofile', '--norc'], {
      cwd: folder, env: { HOME: folder, ...env, PATH: `${join(folder, 'bin')}:${process.env.PATH}` }, detached: true, stdio: 'pipe',
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { this.#output += text; });
    }
    process.once('exit', () => this.#kill());
  }

  /** Runs a block, waits for what is promised, and gives what came out. Throws with that when a promise is not kept, or the block failed. */
  async run({ code, promised = [] }) {
    const from = this.#output.length;
    const output = () => this.#output.slice(from);
    this.#process.stdin.write(`{\n${code}\n} </dev/null\nprintf '\\n%s %s\\n' '${MARK}' "$?"\n`);
    const ended = new RegExp(`^${MARK} (\\d+)$`, 'm');
    try {
      await until(() => ended.test(output()), 'the block has ended', STEP_MS * 2);
      if (ended.exec(output())[1] !== '0') throw new Error('the block failed');
      await until(() => missing(output(), promised) === undefined, 'all that the document promises');
    } catch (error) {
      throw new Error(`${error.message}\n${code}\nfirst line that is missing: ${missing(output(), promised)}\nwhat came:\n${output()}`);
    }
    return output();
  }

  async end() {
    const ended = once(this.#process, 'exit');
    this.#kill();
    await within(ended, STEP_MS, 'bash has ended');
  }

  #kill() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    process.kill(-this.#process.pid, 'SIGKILL');
  }
}

/** The first promised line that is not there after those before it; `…` stands for anything. */
function missing(output, promised) {
  const lines = output.split('\n');
  let at = 0;
  for (const line of promised) {
    const wanted = new RegExp(`^${line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);
    while (at < lines.length && !wanted.test(lines[at])) at += 1;
    if (at === lines.length) return line;
    at += 1;
  }
  return undefined;
}
