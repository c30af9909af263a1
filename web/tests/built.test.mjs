/**
 * What is committed in `dist` is what the sources build to.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Bytes of the first load, compressed. */
const FIRST_LOAD = 120 * 1024;

async function filesOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)).sort();
  return new Map(await Promise.all(paths.map(async (path) => [path.slice(folder.length), await readFile(path)])));
}

test('the committed files are what the sources build to', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'parlor-page-'));
  try {
    await build({ root, logLevel: 'error', build: { outDir: folder, emptyOutDir: true } });
    const [built, committed] = [await filesOf(folder), await filesOf(join(root, 'dist'))];
    assert.deepEqual([...committed.keys()], [...built.keys()], 'the files; to build them: npm run build --prefix web');
    for (const [path, bytes] of built) assert.ok(bytes.equals(committed.get(path)), `${path} differs; to build it: npm run build --prefix web`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('the first load is small', async () => {
  let sum = 0;
  for (const bytes of (await filesOf(join(root, 'dist'))).values()) sum += gzipSync(bytes, { level: 9 }).length;
  console.log(`first load: ${(sum / 1024).toFixed(1)} KiB compressed`);
  assert.ok(sum <= FIRST_LOAD, `${sum} bytes`);
});
