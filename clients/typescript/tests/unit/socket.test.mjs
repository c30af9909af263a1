/** The socket of Node against a scripted server: bytes in any pieces, and what is no WebSocket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test from 'node:test';
import { NodeSocketTransport } from '../../dist/node.js';
import { clientFrames, frame, text, upgrade } from '../support/websocket.mjs';

/** A server that accepts an upgrade and hands over the socket; `accept` may change the key it answers. */
async function scripted(accept = (key) => key) {
  const server = createServer((_, response) => response.writeHead(503, { 'retry-after': '7' }).end('{}')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = [];
  /** Those nobody has asked for yet. */
  const fresh = [];
  const waiting = [];
  server.on('upgrade', (request, socket) => {
    upgrade(socket, accept(request.headers['sec-websocket-key']));
    sockets.push(socket);
    fresh.push(socket);
    waiting.shift()?.(fresh.shift());
  });
  return {
    server,
    url: `http://127.0.0.1:${server.address().port}`,
    socket: () => (fresh.length > 0 ? Promise.resolve(fresh.shift()) : new Promise((done) => { waiting.push(done); })),
    end: () => { sockets.forEach((socket) => socket.destroy()); server.close(); server.closeAllConnections(); },
  };
}

/** A link that writes down what it is told. */
function listen(url) {
  const heard = { texts: [], alive: 0, opened: false };
  const ended = new Promise((done) => {
    heard.link = new NodeSocketTransport(url).open({
      opened: () => { heard.opened = true; },
      text: (text) => heard.texts.push(text),
      alive: () => { heard.alive += 1; },
      closed: done,
    });
  });
  return { heard, ended };
}

test('messages come whole, in whatever pieces their bytes do', { timeout: 20_000 }, async () => {
  const script = await scripted();
  const said = ['a', 'ü'.repeat(70), 'x'.repeat(70_000), ''];
  const bytes = Buffer.concat([
    ...said.slice(0, 3).map(text), frame(0x89, Buffer.from('p')), text(''),
    frame(0x01, Buffer.from('ü').subarray(0, 1)), frame(0x89, Buffer.from('q')), frame(0x80, Buffer.from('ü').subarray(1)),
    frame(0x88, Buffer.from([0x11, 0x94, ...Buffer.from('draining')])),
  ]);
  for (const piece of [1, 3, 7, 1_000, bytes.length]) {
    const { heard, ended } = listen(script.url);
    const socket = await script.socket();
    for (let at = 0; at < bytes.length;) {
      // The long text in single bytes would take long and show nothing more.
      const size = at > 400 && at < 70_000 ? Math.max(piece, 997) : piece;
      socket.write(bytes.subarray(at, at + size));
      at += size;
      await new Promise(setImmediate);
    }
    assert.deepEqual(await ended, { code: 4500, reason: 'draining' });
    assert.deepEqual(heard.texts, [...said, 'ü'], `pieces of ${piece}`);
    assert.equal(heard.alive, 2);
  }
  script.end();
});

test('what the client says is masked, of every length; a ping is answered', { timeout: 20_000 }, async () => {
  const script = await scripted();
  const { heard } = listen(script.url);
  const socket = await script.socket();
  const frames = clientFrames(socket);
  while (!heard.opened) await new Promise(setImmediate);
  for (const length of [0, 125, 126, 65_535, 65_536, 200_000]) {
    heard.link.send('y'.repeat(length));
    const { value } = await frames.next();
    assert.deepEqual([value.op, value.body.length, value.body.every((byte) => byte === 121)], [1, length, true]);
  }
  socket.write(frame(0x89, Buffer.from('here?')));
  const { value: pong } = await frames.next();
  assert.deepEqual([pong.op, pong.body.toString()], [10, 'here?']);
  heard.link.drop(1000);
  const { value: close } = await frames.next();
  assert.deepEqual([close.op, close.body.readUInt16BE(0)], [8, 1000]);
  script.end();
});

for (const [what, bytes] of [
  ['a masked frame', frame(0x81, Buffer.alloc(5), 0x80)],
  ['a compressed frame', frame(0xc1, Buffer.from('a'))],
  ['a frame that announces too much', Buffer.from([0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0])],
  ['text that is not UTF-8', frame(0x81, Buffer.from([0xff, 0xfe]))],
  ['fragments without end', Buffer.concat([frame(0x01, Buffer.alloc(1_500_000, 97)), frame(0x00, Buffer.alloc(1_500_000, 97))])],
]) {
  test(`${what} ends the link, and is not delivered`, { timeout: 20_000 }, async () => {
    const script = await scripted();
    const { heard, ended } = listen(script.url);
    (await script.socket()).write(bytes);
    const end = await ended;
    assert.equal(end.code, undefined);
    assert.deepEqual(heard.texts, []);
    script.end();
  });
}

test('a connection cut in the middle of a frame delivers nothing of it', { timeout: 20_000 }, async () => {
  const script = await scripted();
  const { heard, ended } = listen(script.url);
  const socket = await script.socket();
  socket.write(Buffer.concat([text('whole'), text('half').subarray(0, 4)]), () => socket.destroy());
  await ended;
  assert.deepEqual(heard.texts, ['whole']);
  script.end();
});

test('a refused upgrade tells its status and when to come back', { timeout: 20_000 }, async () => {
  const script = await scripted();
  script.server.removeAllListeners('upgrade');
  const { ended } = listen(script.url);
  const { status, retry_after_ms } = await ended;
  assert.deepEqual([status, retry_after_ms], [503, 7_000]);
  script.end();
});

test('an answer for another key is no upgrade, and nobody there is told', { timeout: 20_000 }, async () => {
  const script = await scripted(() => 'another');
  const { heard, ended } = listen(script.url);
  assert.match((await ended).reason, /another key/);
  assert.equal(heard.opened, false);
  script.end();
  const gone = listen(script.url);
  assert.match((await gone.ended).reason, /ECONNREFUSED/);
});

test('after drop nothing is heard', { timeout: 20_000 }, async () => {
  const script = await scripted();
  const { heard } = listen(script.url);
  const socket = await script.socket();
  while (!heard.opened) await new Promise(setImmediate);
  heard.link.drop();
  socket.write(text('late'));
  socket.resume();
  await once(socket, 'end').catch(() => {});
  assert.deepEqual(heard.texts, []);
  script.end();
});
