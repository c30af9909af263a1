/**
 * The transport of Node: a WebSocket client over `node:http`, because Node 20 has none.
 *
 * N-1  a frame is read only when the whole of it is there; what a cut leaves of one is thrown away;
 * N-2  a message above `MESSAGE_BYTES_MAX` ends the link; of text that cannot be decoded nothing is delivered.
 *
 * Absent: compression, which is not offered.
 * Source: RFC 6455.
 */
import { createHash, randomBytes } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import type { LinkEnd } from '../state/connection.js';
import { socketUrl, type Link, type LinkEvents, type Transport } from '../transport.js';

/** The server sends no frame above 1 MiB. */
const MESSAGE_BYTES_MAX = 2 * 1024 * 1024;
/** For the other end to close after a close frame, in milliseconds. */
const CLOSE_MS = 1_000;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const Op = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export class NodeSocketTransport implements Transport {
  readonly #url: string;

  /** Goes to the server at this address, as `http://127.0.0.1:8080`. */
  constructor(server: string) {
    this.#url = socketUrl(server).replace(/^ws/, 'http');
  }

  open(events: LinkEvents): Link {
    return new NodeLink(this.#url, events);
  }
}

class NodeLink implements Link {
  #events: LinkEvents | undefined;
  #socket: Duplex | undefined;
  readonly #abort: () => void;
  readonly #frames = new FrameReader();
  /** The fragments of the message that is coming in. */
  #fragments: Buffer[] = [];

  constructor(url: string, events: LinkEvents) {
    this.#events = events;
    const key = randomBytes(16).toString('base64');
    const headers = {
      connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13',
      'sec-websocket-key': key, 'sec-websocket-protocol': 'parlor.v1',
    };
    const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, { headers, agent: false });
    this.#abort = () => request.destroy();
    request.on('error', (error) => this.#closed({ reason: error.message }));
    request.on('response', (response) => {
      response.resume();
      this.#closed({ status: response.statusCode ?? 0, ...retryAfter(response), reason: `the upgrade was answered ${response.statusCode}` });
      request.destroy();
    });
    request.on('upgrade', (response, socket, head) => {
      if (response.headers['sec-websocket-accept'] !== createHash('sha1').update(key + GUID).digest('base64')) {
        socket.destroy();
        this.#closed({ reason: 'the upgrade was answered for another key' });
        return;
      }
      this.#upgraded(socket, head);
    });
    request.end();
  }

  send(text: string): void {
    this.#write(Op.text, Buffer.from(text));
  }

  drop(code?: number): void {
    this.#events = undefined;
    const socket = this.#socket;
    if (!socket) {
      this.#abort();
    } else if (code === undefined) {
      socket.destroy();
    } else {
      const reason = Buffer.alloc(2);
      reason.writeUInt16BE(code);
      this.#end(socket, reason);
    }
  }

  #end(socket: Duplex, reason: Buffer): void {
    this.#write(Op.close, reason);
    socket.end();
    setTimeout(() => socket.destroy(), CLOSE_MS).unref();
  }

  #upgraded(socket: Duplex, head: Buffer): void {
    this.#socket = socket;
    if ('setNoDelay' in socket && typeof socket.setNoDelay === 'function') socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', (error) => this.#closed({ reason: error.message }));
    socket.on('close', () => this.#closed({ reason: 'the connection was cut' }));
    socket.on('end', () => socket.end());
    if (!this.#events) socket.destroy();
    this.#events?.opened();
    if (head.length > 0) this.#read(head);
  }

  #read(bytes: Buffer): void {
    try {
      this.#frames.push(bytes);
      for (let frame = this.#frames.next(); frame; frame = this.#frames.next()) this.#frame(frame);
    } catch (error) {
      this.#closed({ reason: (error as Error).message });
    }
  }

  #frame({ op, fin, body }: Frame): void {
    switch (op) {
      case Op.ping: this.#write(Op.pong, body); this.#events?.alive(); break;
      case Op.pong: this.#events?.alive(); break;
      case Op.close:
        if (this.#socket) this.#end(this.#socket, body.subarray(0, 2));
        this.#ended(body.length >= 2 ? { code: body.readUInt16BE(0), reason: body.toString('utf8', 2) } : {});
        break;
      default: {
        this.#fragments.push(body);
        if (this.#fragments.reduce((sum, part) => sum + part.length, 0) > MESSAGE_BYTES_MAX) throw new Error('a message is too large');
        if (!fin) break;
        const message = Buffer.concat(this.#fragments);
        this.#fragments = [];
        this.#events?.text(new TextDecoder('utf-8', { fatal: true }).decode(message));
      }
    }
  }

  #write(op: number, body: Buffer): void {
    const { length } = body;
    const head = length < 126 ? [length] : length < 65_536 ? [126, length >> 8, length & 255]
      : [127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((by) => (length >>> by) & 255)];
    head[0] = (head[0] ?? 0) | 0x80;
    const mask = randomBytes(4);
    const masked = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at += 1) masked[at] = (body[at] ?? 0) ^ (mask[at & 3] ?? 0);
    this.#socket?.write(Buffer.concat([Buffer.from([0x80 | op, ...head]), mask, masked]));
  }

  #closed(end: LinkEnd): void {
    this.#socket?.destroy();
    this.#ended(end);
  }

  #ended(end: LinkEnd): void {
    const events = this.#events;
    this.#events = undefined;
    // Never from within `open`, whose caller does not hold the link yet.
    if (events) queueMicrotask(() => events.closed(end));
  }
}

interface Frame {
  readonly op: number;
  readonly fin: boolean;
  readonly body: Buffer;
}

/** Cuts a stream of bytes into frames. */
class FrameReader {
  #parts: Buffer[] = [];
  #length = 0;
  /** Bytes without which there is no use in looking again. */
  #wanted = 2;

  push(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }

  /** The next whole frame, if it is there. Throws on one that is too large or masked. */
  next(): Frame | undefined {
    if (this.#length < this.#wanted) return undefined;
    const bytes = this.#parts.length === 1 && this.#parts[0] ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [bytes];
    const [first = 0, second = 0] = bytes;
    if (second & 0x80 || first & 0x70) throw new Error('a frame of the server is masked or compressed');
    const short = second & 127;
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < head) return this.#later(head);
    const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (length > MESSAGE_BYTES_MAX) throw new Error('a frame is too large');
    if (bytes.length < head + length) return this.#later(head + length);
    const rest = bytes.subarray(head + length);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    this.#wanted = 2;
    return { op: first & 15, fin: (first & 0x80) !== 0, body: bytes.subarray(head, head + length) };
  }

  #later(wanted: number): undefined {
    this.#wanted = wanted;
    return undefined;
  }
}

function retryAfter({ headers }: IncomingMessage): { retry_after_ms?: number } {
  const seconds = Number(headers['retry-after']);
  return Number.isFinite(seconds) ? { retry_after_ms: seconds * 1000 } : {};
}
