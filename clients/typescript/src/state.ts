/**
 * The pure states, for tests and for clients of another shape.
 */
export { Backoff } from './state/backoff.js';
export { Carriers, type Way } from './state/carriers.js';
export { ClientState } from './state/client.js';
export { Connection } from './state/connection.js';
export type { Effect, Settings } from './state/notices.js';
export { Outbox } from './state/outbox.js';
export { Receipts } from './state/receipts.js';
export { Requests } from './state/requests.js';
export { Timelines } from './state/timelines.js';
export { Typing } from './state/typing.js';
