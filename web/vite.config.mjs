/**
 * Builds the page into `dist`, which is committed, so that building the server needs no Node.
 *
 * The output must be the same on every machine: names come from contents, and nothing of the machine goes in.
 * `PARLOR_URL` names the server behind the development server.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const server = process.env.PARLOR_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // The client's own sources: built in one go with the page, and what the page does not use of it is left out.
  resolve: { alias: { 'parlor-client': fileURLToPath(new URL('../clients/typescript/src/index.ts', import.meta.url)) } },
  build: {
    target: 'es2022',
    // The content policy allows no inline script, and every browser of this target preloads modules.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // The browsers to come read this; a map is a development matter.
    sourcemap: false,
    reportCompressedSize: false,
  },
  server: { proxy: { '/v1': { target: server, ws: true } } },
  preview: { host: '127.0.0.1', proxy: { '/v1': { target: server, ws: true } } },
});
