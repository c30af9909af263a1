/**
 * Against a real server, which has no events over HTTP yet: a client that would go another way ends up as one that has only the socket.
 * Frames over HTTP it has: they are tested with `welcome` put in its mouth.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect as dial } from 'node:net';
import { once } from 'node:events';
import test from 'node:test';
import { NodeSocketTransport } from '../../dist/node.js';
import { welcomeFrame } from '../support/model.mjs';
import { Server, heard, online, pass, until } from '../support/server.mjs';

/** Passes HTTP on to a server and counts it, and cuts whoever asks for a socket while `refuses`. */
async function gate(url) {
  const { hostname, port } = new URL(url);
  const calls = { events: 0, sockets: 0 };
  const state = { refuses: true, calls, url: '' };
  const front = createServer(async (request, response) => {
    const body = [];
    for await (const chunk of request) body.push(chunk);
    if (request.url.startsWith('/v1/events')) calls.events += 1;
    if (request.url === '/v1/events' && state.events) { state.events(JSON.parse(Buffer.concat(body)), response); return; }
    const { host, connection, 'content-length': _, ...headers } = request.headers;
    const answer = await fetch(new URL(request.url, url), { method: request.method, headers, body: request.method === 'GET' ? undefined : Buffer.concat(body) });
    state.status = answer.status;
    if (request.url === '/v1/frames' && state.loses) { state.loses = false; response.destroy(); return; }
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }).end(Buffer.from(await answer.arrayBuffer()));
  }).listen(0, '127.0.0.1');
  front.on('upgrade', (request, socket) => {
    calls.sockets += 1;
    socket.on('error', () => {});
    if (state.refuses) { socket.destroy(); return; }
    const server = dial(Number(port), hostname, () => {
      const lines = [`GET ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2) lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      server.write(`${lines.join('\r\n')}\r\n\r\n`);
      socket.pipe(server).pipe(socket);
    });
    server.on('error', () => socket.destroy());
    socket.on('close', () => server.destroy());
  });
  await once(front, 'listening');
  state.url = `http://127.0.0.1:${front.address().port}`;
  state.end = () => { front.close(); front.closeAllConnections(); };
  return state;
}

test('where no socket is to be had the server is asked once, and the client waits for a socket as before', { timeout: 60_000 }, async () => {
  const server = await Server.start();
  const front = await gate(server.url);
  try {
    const tokens = await server.tokens('ana');
    const both = server.connect({ tokens, user_id: 'ana', url: front.url });
    const alone = server.connect({ tokens, user_id: 'ana', url: front.url }, { transport: new NodeSocketTransport(front.url) });
    const states = { both: new Set(), alone: new Set() };
    both.on('state', ({ name }) => states.both.add(name));
    alone.on('state', ({ name }) => states.alone.add(name));
    while (front.calls.sockets < 12) {
      both.hurry();
      alone.hurry();
      await pass(10);
    }
    assert.deepEqual([front.calls.events, front.status], [1, 503]);
    assert.deepEqual(states.both, states.alone);
    const { done } = both.append('room.create', { kind: 'group', name: 'Tea' });
    front.refuses = false;
    while (both.state.name !== 'online' || alone.state.name !== 'online') {
      both.hurry();
      alone.hurry();
      await pass(10);
    }
    const { room } = await done;
    const seen = heard(alone, 'event', ({ type }) => type === 'message');
    assert.equal((await both.send(room.room_id, 'hello').done).seq, 2);
    assert.equal((await seen).payload.body.text, 'hello');
    assert.equal(front.calls.events, 1);
  } finally {
    front.end();
    await server.end();
  }
});

test('where the socket is to be had nothing else is asked, over a kill of the server too', { timeout: 60_000 }, async () => {
  const server = await Server.start();
  const front = await gate(server.url);
  front.refuses = false;
  try {
    const ana = server.connect({ tokens: await server.tokens('ana'), user_id: 'ana', url: front.url });
    await online(ana);
    const { room } = await ana.append('room.create', { kind: 'group', name: 'Tea' }).done;
    const seqs = [];
    ana.on('event', ({ payload }) => seqs.push(payload.seq));
    assert.equal((await ana.send(room.room_id, 'before').done).seq, 2);
    assert.equal(front.calls.events, 0);
    await server.kill();
    const { done } = ana.send(room.room_id, 'meanwhile');
    await server.start();
    ana.hurry();
    assert.equal((await done).seq, 3);
    await until(ana, () => seqs.includes(3), 'the event');
    assert.deepEqual(seqs.filter((seq) => seq > 1), [2, 3]);
  } finally {
    front.end();
    await server.end();
  }
});

test('frames over HTTP take effect once in a real server, also when a reply is lost', { timeout: 60_000 }, async () => {
  const server = await Server.start();
  const front = await gate(server.url);
  front.events = ({ cursor }, response) => {
    const answer = () => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ events: cursor ? [] : [welcomeFrame()], cursor: 'c' }));
    setTimeout(answer, cursor ? 500 : 0);
  };
  try {
    const bo = await server.person('bo');
    const ana = server.connect({ tokens: await server.tokens('ana'), user_id: 'ana', url: front.url });
    const { room: { room_id } } = await ana.append('room.create', { kind: 'group', name: 'Tea', members: ['bo'] }).done;
    const seqs = [];
    bo.on('event', ({ type, payload }) => { if (type === 'message') seqs.push(payload.seq); });
    front.loses = true;
    const sent = Array.from({ length: 150 }, (_, at) => ana.send(room_id, `${at}`));
    const acks = await Promise.all(sent.map(({ done }) => done));
    assert.deepEqual(acks.map(({ seq }) => seq), sent.map((_, at) => at + 2));
    assert.deepEqual(acks.map(({ duplicate }) => duplicate ?? false), sent.map((_, at) => at === 0));
    await until(bo, () => seqs.length === 150, 'the messages');
    assert.equal((await ana.request('history.get', { room_id, limit: 200 })).events.length, 151);
    assert.equal((await ana.request('user.get', { user_id: 'bo' })).user.user_id, 'bo');
    await assert.rejects(ana.request('room.get', { room_id: crypto.randomUUID() }), { code: 'not_found' });
  } finally {
    front.end();
    await server.end();
  }
});
