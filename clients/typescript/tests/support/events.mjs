/**
 * A server for one user and one room that keeps PROTOCOL's contract for events over HTTP, which no real server has yet: long poll, server-sent
 * events, frames by `POST /v1/frames`, and the socket, each of which can be taken away.
 *
 * `socket`: `served`, `refused` (a status), `cut`, or `silent`. `stream`: `served`, a status, `withheld` (a proxy that keeps everything to itself),
 * `page` (some other content). `poll`: `served` or a status. Whatever comes is counted in `calls`.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { ROOM, eventFrame, welcomeFrame } from './model.mjs';
import { clientFrames, text, upgrade } from './websocket.mjs';

export class EventsServer {
  timeline = [];
  calls = {};
  /** The token that holds. */
  token = 't1';
  /** Whether the next frames are taken and their replies lost. */
  losesReplies = false;
  hellos = [];
  /** Headers of the calls with events. */
  headers = [];
  #server;
  #waiting = new Set();
  #open = new Set();

  static async start(ways = {}) {
    const server = new EventsServer();
    Object.assign(server, { socket: 'cut', stream: 'served', poll: 'served', ...ways });
    server.#server = createServer((request, response) => {
      // A cut is no fault of the server's.
      server.#request(request, response).catch(() => response.destroy());
    }).listen(0, '127.0.0.1');
    server.#server.on('upgrade', (request, socket) => { server.#upgrade(request, socket).catch(() => socket.destroy()); });
    await once(server.#server, 'listening');
    return server;
  }

  get port() { return this.#server.address().port; }
  get url() { return `http://127.0.0.1:${this.port}`; }

  /** What somebody else says. */
  post() { return this.#store('bo'); }

  /** Says something to every stream, with no id. */
  say(frame) {
    for (const open of this.#open) open.write(`event: ${frame.type}\ndata: ${JSON.stringify(frame)}\n\n`);
  }

  /** Cuts every stream and socket. */
  cut() {
    for (const open of this.#open) open.destroy();
  }

  end() {
    this.cut();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #store(sender, client_msg_id, body) {
    const event = eventFrame(this.timeline.length + 1, { sender, client_msg_id, ...(body && { body }) });
    this.timeline.push(event);
    for (const wake of [...this.#waiting]) wake();
    return event;
  }

  #count(call) { this.calls[call] = (this.calls[call] ?? 0) + 1; }

  async #request(request, response) {
    const { pathname } = new URL(request.url, this.url);
    this.#count(`${request.method} ${pathname}`);
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.headers.authorization !== `Bearer ${this.token}`) return problem(response, 401, 'unauthorized');
    this.headers.push(request.headers);
    if (pathname === '/v1/frames') return this.#frames(JSON.parse(body), response);
    if (pathname === '/v1/events/stream') return this.#stream(request, response);
    if (pathname === '/v1/events') return this.#poll(JSON.parse(body), response);
    return problem(response, 404, 'not_found');
  }

  async #poll({ cursor, wait_ms = 25_000, limit, resume }, response) {
    if (this.poll !== 'served') return problem(response, this.poll, this.poll === 404 ? 'not_found' : 'unavailable');
    if (limit < 1 || (cursor !== undefined && read(cursor) === undefined)) return problem(response, 400, 'bad_frame');
    const after = cursor === undefined ? resume?.rooms?.[ROOM] ?? this.timeline.length : read(cursor);
    const ends = Date.now() + wait_ms;
    // A few at a time, so that there is more.
    const some = () => this.timeline.slice(after, after + Math.min(limit, 5));
    while (cursor !== undefined && some().length === 0 && Date.now() < ends && !response.destroyed) await this.#news(ends - Date.now());
    const events = some();
    const at = after + events.length;
    const head = cursor === undefined ? [this.#welcome()] : [];
    return json(response, 200, { events: [...head, ...events], cursor: write(at), more: at < this.timeline.length });
  }

  async #stream(request, response) {
    if (typeof this.stream === 'number') return problem(response, this.stream, 'unavailable');
    if (this.stream === 'page') return response.writeHead(200, { 'content-type': 'text/html' }).end('<p>Log in to the network</p>');
    if (this.stream === 'withheld') return response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    let at = read(request.headers['last-event-id']);
    if (at === undefined) return problem(response, 400, 'bad_frame');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': here\n\n');
    this.#open.add(response);
    response.on('close', () => this.#open.delete(response));
    while (!response.destroyed) {
      for (; at < this.timeline.length; at += 1) {
        const frame = this.timeline[at];
        response.write(`id: ${write(at + 1)}\nevent: ${frame.type}\ndata: ${JSON.stringify(frame)}\n\n`);
        response.write('event: typing\ndata: {"type":"typing","payload":{"room_id":"' + ROOM + '","user_id":"bo","state":"start"}}\n\n');
      }
      await this.#news(15_000);
      if (!response.destroyed && at === this.timeline.length) response.write(': here\n\n');
    }
    return undefined;
  }

  async #frames(frames, response) {
    const replies = frames.map((frame) => this.#reply(frame));
    if (!this.losesReplies) return json(response, 200, replies);
    this.losesReplies = false;
    return response.destroy();
  }

  #reply({ type, msg_id, payload }) {
    this.#count(type);
    const ack = (answer) => ({ type: 'ack', msg_id, payload: answer });
    switch (type) {
      case 'message.send': {
        const held = this.timeline.find((event) => event.payload.client_msg_id === msg_id);
        const event = held ?? this.#store('ana', msg_id, payload.body);
        return ack({ room_id: ROOM, seq: event.payload.seq, id: event.msg_id, sent_at: event.payload.sent_at, duplicate: Boolean(held) });
      }
      case 'history.get': {
        const events = this.timeline.slice(payload.after, payload.after + payload.limit);
        return ack({ events, head: this.timeline.length, first: 1, complete: true });
      }
      case 'ping': return { type: 'pong', msg_id };
      default: return ack({ seq: payload.seq });
    }
  }

  async #upgrade(request, socket) {
    this.#count('socket');
    socket.on('error', () => {});
    if (this.socket === 'silent') return;
    if (this.socket === 'cut') { socket.destroy(); return; }
    if (typeof this.socket === 'number') { socket.end(`HTTP/1.1 ${this.socket} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`); return; }
    upgrade(socket, request.headers['sec-websocket-key']);
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    const say = (frame) => { if (!socket.destroyed) socket.write(text(JSON.stringify(frame))); };
    for await (const { op, body } of clientFrames(socket)) {
      if (op === 8) break;
      const frame = JSON.parse(body.toString());
      if (frame.type === 'hello') this.#greet(frame.payload, socket, say);
      else say(this.#reply(frame));
    }
    socket.destroy();
  }

  async #greet(hello, socket, say) {
    this.hellos.push(hello);
    say(this.#welcome());
    if (hello.rooms === 'none') return;
    for (let at = hello.resume?.rooms?.[ROOM] ?? this.timeline.length; !socket.destroyed;) {
      for (; at < this.timeline.length; at += 1) say(this.timeline[at]);
      await this.#news(15_000);
    }
  }

  #welcome() {
    this.#count('welcome');
    const room = {
      room_id: ROOM, kind: 'group', public: false, created_at: '2026-01-01T00:00:00.000Z', head: this.timeline.length,
      mode: 'active', role: 'member', read: 0, delivered: 0, unread: 0, mentions: 0,
    };
    return welcomeFrame([room], { cursor: write(this.timeline.length) });
  }

  /** Resolves with the next event, or after a while. */
  #news(ms) {
    return new Promise((done) => {
      const wake = () => { clearTimeout(timer); this.#waiting.delete(wake); done(); };
      const timer = setTimeout(wake, ms).unref();
      this.#waiting.add(wake);
    });
  }
}

const write = (at) => `c.${at}.signed`;

function read(cursor) {
  const at = /^c\.(\d+)\.signed$/.exec(cursor ?? '')?.[1];
  return at === undefined ? undefined : Number(at);
}

function json(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function problem(response, status, code) {
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ status, code, title: code }));
}
