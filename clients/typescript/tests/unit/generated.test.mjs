/** The types of the frames are what the JSON Schemas say; `npm run generate` writes them anew. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { generated } from '../../scripts/generate.mjs';

for (const [name, text] of await generated()) {
  test(`src/wire/generated/${name} is as generated`, async () => {
    const written = await readFile(new URL(`../../src/wire/generated/${name}`, import.meta.url), 'utf8');
    assert.equal(written, text, 'out of date: npm run generate');
  });
}
