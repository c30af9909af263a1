/**
 * Frames as text and as typed values.
 *
 * W-1  what cannot be read is left out, never thrown: a newer server may say more than this client knows.
 *
 * Absent: any state. The shapes come from the JSON Schemas, by `scripts/generate.mjs`.
 */
import type { MsgId } from './generated/both.js';
import type { ClientFrames } from './generated/client.js';
import type { EventCommon, EventFrame, OtherFrame } from './generated/server.js';

export type { EventFrame, OtherFrame };

/** The types of frame a client may send. */
export type ClientType = keyof ClientFrames;

/** The types whose frames append to a timeline: they need a `msg_id`, and sending one twice is safe. */
export type AppendType = { [T in ClientType]: ClientFrames[T] extends { msg_id: MsgId } ? T : never }[ClientType];

/** The types whose frames ask, and append nothing; `hello` and `auth.refresh` are the client's own. */
export type AskType = Exclude<ClientType, AppendType | 'hello' | 'auth.refresh'>;

/** The payload of a client frame. */
export type PayloadOf<T extends ClientType> = NonNullable<ClientFrames[T]['payload']>;

/** Writes a client frame; `msg_id` asks for a reply. */
export function write<T extends ClientType>(type: T, payload: PayloadOf<T>, msg_id?: MsgId): string {
  return JSON.stringify(msg_id === undefined ? { type, payload } : { type, msg_id, payload });
}

/** Reads a server frame; undefined when it is none. */
export function read(text: string): EventFrame | OtherFrame | undefined {
  let frame: unknown;
  try { frame = JSON.parse(text); } catch { return undefined; }
  if (!isRecord(frame) || typeof frame.type !== 'string') return undefined;
  if (frame.payload === undefined || frame.payload === null) frame.payload = {};
  return isRecord(frame.payload) ? frame as unknown as EventFrame | OtherFrame : undefined;
}

/** Whether a frame is a timeline event. Told by its shape, so that an event of a kind nobody knows yet still takes its place in the order. */
export function isEvent(frame: EventFrame | OtherFrame): frame is EventFrame {
  const { room_id, seq, sender } = frame.payload as Partial<EventCommon>;
  return typeof room_id === 'string' && Number.isSafeInteger(seq) && typeof sender === 'string';
}

/** Bytes of a text in UTF-8. */
export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
