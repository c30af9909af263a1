/**
 * A TCP proxy that cuts connections, in the middle of a frame as well.
 *
 * A cut is planned for a number of bytes towards the client or towards the server: up to it everything passes, then both ends are
 * destroyed at once. Counted are the cuts that hit, and those after which the other side held part of a WebSocket frame.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Proxy {
  #server;
  #target;
  #pairs = new Set();
  cuts = 0;
  /** Cuts within the bytes of a frame, as far as the proxy can tell: the planned byte was not the last of its chunk. */
  torn = 0;
  #plan;

  static async start(port) {
    const proxy = new Proxy();
    proxy.#target = port;
    proxy.#server = createServer((client) => proxy.#joined(client)).listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Cuts after `bytes` more bytes in that direction (`down`: to the client). Resolves when it has hit. */
  cutAfter(bytes, direction) {
    return new Promise((hit) => { this.#plan = { bytes, direction, hit }; });
  }

  /** Cuts everything now. */
  cut() {
    for (const [client, server] of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    this.#pairs.clear();
    this.cuts += 1;
    const plan = this.#plan;
    this.#plan = undefined;
    plan?.hit();
  }

  async end() {
    for (const [client, server] of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }

  #joined(client) {
    const server = connect(this.#target, '127.0.0.1');
    const pair = [client, server];
    this.#pairs.add(pair);
    const gone = () => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair) socket.on('error', gone).on('close', gone).setNoDelay(true);
    client.on('data', (bytes) => this.#pass(bytes, server, 'up'));
    server.on('data', (bytes) => this.#pass(bytes, client, 'down'));
  }

  #pass(bytes, to, direction) {
    const plan = this.#plan;
    if (plan?.direction !== direction) {
      to.write(bytes);
      return;
    }
    if (bytes.length < plan.bytes) {
      plan.bytes -= bytes.length;
      to.write(bytes);
      return;
    }
    if (bytes.length > plan.bytes) this.torn += 1;
    // What comes before the cut is on its way before the connection goes.
    to.write(bytes.subarray(0, plan.bytes), () => this.cut());
  }
}
