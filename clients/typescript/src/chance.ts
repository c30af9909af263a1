/**
 * The only reader of randomness and of the clocks.
 */
import type { Chance } from './state/client.js';

/** Random waits, and UUIDs of version 7, which sort by the time they were made. */
export const systemChance: Chance = { random: Math.random, id };

/** Milliseconds that never go back. */
export const systemNow = (): number => performance.now();

function id(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setUint32(0, Math.floor(Date.now() / 65_536));
  new DataView(bytes.buffer).setUint16(4, Date.now() % 65_536);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
