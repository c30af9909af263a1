/**
 * A client for Parlor in a browser: `connect` gives one over the browser's WebSocket, with the outbox in IndexedDB.
 *
 * Under Node the package is `node.ts`, with the same names.
 */
import { systemChance, systemNow } from './chance.js';
import { Client, type ClientOptions, type Ports } from './client.js';
import { MemoryStorage } from './storage.js';
import { IndexedDbStorage } from './storage/indexeddb.js';
import { FallbackTransport } from './transport/fallback.js';
import { WebSocketTransport } from './transport/websocket.js';

export * from './exports.js';
export { IndexedDbStorage } from './storage/indexeddb.js';
export { BrowserLoginStore } from './tokens.js';

/**
 * Makes a client of the server at `url`, by default that of the page, and starts it. With `user_id` the outbox is kept over reloads; without, it
 * lives as long as the page, because another user's messages must not be sent. `ports` replaces what stands behind it.
 */
export function connect({ url = location.origin, ...options }: ClientOptions & { readonly url?: string }, ports: Partial<Ports> = {}): Client {
  const name = options.user_id === undefined ? undefined : `parlor.outbox/${url}/${options.user_id}`;
  const client = new Client(options, {
    transport: new FallbackTransport(url, new WebSocketTransport(url)),
    storage: name === undefined ? new MemoryStorage() : new IndexedDbStorage(name),
    chance: systemChance,
    now: systemNow,
    ...ports,
  });
  const back = (): void => {
    client.hurry();
    client.doubt();
  };
  addEventListener('online', back);
  // What the browser calls offline may still reach a server on this machine: it is asked, not taken for lost.
  addEventListener('offline', () => client.doubt());
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') back();
  });
  void client.start();
  return client;
}
