/**
 * A client for Parlor in Node: `connect` gives one over a socket of its own, with the outbox in memory.
 *
 * In a browser the package is `index.ts`, with the same names.
 */
import { systemChance, systemNow } from './chance.js';
import { Client, type ClientOptions, type Ports } from './client.js';
import { MemoryStorage } from './storage.js';
import { FallbackTransport } from './transport/fallback.js';
import { NodeSocketTransport } from './transport/node.js';

export * from './exports.js';
export { NodeSocketTransport } from './transport/node.js';

/** Makes a client of the server at `url` and starts it. `ports` replaces what stands behind it: the storage, to keep the outbox over a restart. */
export function connect({ url, ...options }: ClientOptions & { readonly url: string }, ports: Partial<Ports> = {}): Client {
  const client = new Client(options, {
    transport: new FallbackTransport(url, new NodeSocketTransport(url)),
    storage: new MemoryStorage(),
    chance: systemChance,
    now: systemNow,
    ...ports,
  });
  void client.start();
  return client;
}
