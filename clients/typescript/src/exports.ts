/**
 * What browsers and Node have in common of the package.
 */
export { Client, type ClientOptions, type Ports, type Sending } from './client.js';
export { systemChance, systemNow } from './chance.js';
export type { ConnectionState, LinkEnd, StopReason, TokenNeed } from './state/connection.js';
export type { Chance } from './state/client.js';
export type { NoticeFrame, NoticeName, Notices, Stats } from './state/notices.js';
export type { Entry } from './state/outbox.js';
export { MemoryStorage, type OutboxStorage } from './storage.js';
export { Accounts, LoginTokens, MemoryLoginStore, fixedToken, type Login, type LoginStore, type TokenSource } from './tokens.js';
export type { Link, LinkEvents, Transport } from './transport.js';
export { FallbackTransport, type FallbackPorts } from './transport/fallback.js';
export { WebSocketTransport } from './transport/websocket.js';
export type { AppendType, AskType, ClientType, EventFrame, OtherFrame, PayloadOf } from './wire/frame.js';
export type * from './wire/generated/both.js';
export { ParlorError, type LocalCode } from './wire/refusal.js';
export type { ReplyTo } from './wire/replies.js';
export type * as Sent from './wire/generated/client.js';
export type * as Received from './wire/generated/server.js';
