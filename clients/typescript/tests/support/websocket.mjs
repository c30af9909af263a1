/** The other end of a WebSocket, as far as tests need one: bytes of frames, and reading those of a client. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Answers an upgrade that came with this key. */
export function upgrade(socket, key) {
  const accept = createHash('sha1').update(key + GUID).digest('base64');
  socket.on('error', () => {});
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
}

/** A frame as a server sends it. */
export function frame(first, body, mask = 0) {
  const { length } = body;
  const head = length < 126 ? [first, mask | length] : length < 65_536 ? [first, 126, length >> 8, length & 255]
    : [first, 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((by) => (length >>> by) & 255)];
  return Buffer.concat([Buffer.from(head), body]);
}

/** A message of text. */
export const text = (said) => frame(0x81, Buffer.from(said));

/** Reads the frames of a client. */
export async function* clientFrames(socket) {
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk]);
    for (;;) {
      if (bytes.length < 6) break;
      const short = bytes[1] & 127;
      assert.ok(bytes[1] & 128, 'masked');
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
      if (bytes.length < head + 4 + length) break;
      const mask = bytes.subarray(head, head + 4);
      const body = Buffer.from(bytes.subarray(head + 4, head + 4 + length)).map((byte, at) => byte ^ mask[at & 3]);
      yield { op: bytes[0] & 15, body };
      bytes = bytes.subarray(head + 4 + length);
    }
  }
}
