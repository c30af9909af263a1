/**
 * Which ack answers which frame: the ack column of PROTOCOL, section 4, as types.
 *
 * The compiler asks for every frame a client may send; the integration tests ask the server.
 */
import type { ClientType } from './frame.js';
import type { Empty } from './generated/both.js';
import type {
  CreatedAck, HistoryAck, MembersAck, PresenceAck, RefreshedAck, RoomAck, RoomsAck, SentAck, SeqAck, SubscribedAck, UserAck, Welcome,
} from './generated/server.js';

interface Replies {
  'auth.refresh': RefreshedAck;
  'hello': Welcome;
  'history.get': HistoryAck;
  'message.delete': SeqAck;
  'message.edit': SeqAck;
  'message.pin': SeqAck;
  'message.react': SeqAck;
  'message.report': Empty;
  'message.send': SentAck;
  'message.unpin': SeqAck;
  'message.unreact': SeqAck;
  'ping': Empty;
  'presence.set': Empty;
  'presence.unwatch': PresenceAck;
  'presence.watch': PresenceAck;
  'receipt.delivered': SeqAck;
  'receipt.read': SeqAck;
  'room.ban': SeqAck;
  'room.create': CreatedAck;
  'room.get': RoomAck;
  'room.invite': SeqAck;
  'room.join': SeqAck;
  'room.leave': SeqAck;
  'room.list': RoomsAck;
  'room.members': MembersAck;
  'room.mute': SeqAck;
  'room.remove': SeqAck;
  'room.role': SeqAck;
  'room.subscribe': SubscribedAck;
  'room.unban': SeqAck;
  'room.unmute': SeqAck;
  'room.unsubscribe': Empty;
  'room.update': SeqAck;
  'search': HistoryAck;
  'thread.get': HistoryAck;
  'typing.start': Empty;
  'typing.stop': Empty;
  'user.block': Empty;
  'user.get': UserAck;
  'user.unblock': Empty;
  'user.update': UserAck;
}

/** The payload that answers a frame. */
export type ReplyTo<T extends ClientType> = Replies[T];
