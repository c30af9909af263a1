/**
 * Loads modules of the page as the build does, since Node itself reads no TypeScript.
 */
import { fileURLToPath } from 'node:url';
import { after } from 'node:test';
import { createServer } from 'vite';

const root = fileURLToPath(new URL('../..', import.meta.url));
const server = await createServer({ root, appType: 'custom', logLevel: 'error', server: { middlewareMode: true, hmr: false, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
after(() => server.close());

/** The module at a path, as `/src/state/window.ts`. */
export function load(path) {
  return server.ssrLoadModule(path);
}
