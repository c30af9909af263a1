/** The first example of the README does what it says, on a real server. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'node:test';
import { Server } from '../support/server.mjs';

test('the example of the README', { timeout: 60_000 }, async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, code] = /```js\n([\s\S]*?)```/.exec(readme);
  const server = await Server.start();
  // Inside the package, so that it is imported by its own name as an application would.
  const script = fileURLToPath(new URL(`../../example-${process.pid}.mjs`, import.meta.url));
  try {
    await writeFile(script, `const url = ${JSON.stringify(server.url)};\n${code}`);
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 20_000 });
    // The event and the ack may overtake each other.
    const lines = stdout.trim().split('\n').sort();
    assert.deepEqual(lines.at(-1), 'durable at 2');
    assert.ok(lines.length === 1 || lines[0] === '2 ana: hello', stdout);
  } finally {
    await rm(script, { force: true });
    await server.end();
  }
});
