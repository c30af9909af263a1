/**
 * Sentences for people: what became of a wish, what happened in a room, when.
 */
import type { EventFrame, ParlorError, Role, UserId } from 'parlor-client';
import type { Room } from './state/room.js';

type NameOf = (user: UserId) => string;

/** Why something did not work, as a sentence. */
export function troubleOf(error: ParlorError): string {
  switch (error.code) {
    case 'unreachable': return 'The server cannot be reached.';
    case 'disconnected': case 'timeout': return 'The connection was lost.';
    case 'forbidden': return 'You are not allowed to do that.';
    case 'muted': return error.details?.until ? `You are muted until ${clock(Date.parse(error.details.until))}.` : 'You are muted in this room.';
    case 'banned': return 'Banned from this room.';
    case 'not_found': return 'There is no such person or room.';
    case 'too_large': return 'That is too long.';
    case 'rate_limited': return 'Too fast. Try again in a moment.';
    case 'unavailable': return 'The server cannot do that now.';
    case 'full': return 'Too many messages are waiting to be sent.';
    case 'internal': case 'unknown_outcome': return 'The server had a fault. Try again.';
    default: return sentence(error.message);
  }
}

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** What a room is called; `nameOf` gives people's names. */
export function titleOf({ info }: Room, nameOf: NameOf): string {
  if (info.name) return info.name;
  if (info.peer) return nameOf(info.peer);
  return info.kind === 'direct' ? 'Direct conversation' : 'Unnamed room';
}

/** What an event that is no message says. */
export function noteOf(event: EventFrame, me: UserId, nameOf: NameOf): string {
  const who = (user: UserId): string => (user === me ? 'You' : nameOf(user));
  const whom = (user: UserId): string => (user === me ? 'you' : nameOf(user));
  const { sender } = event.payload;
  switch (event.type) {
    case 'room.created': return `${who(sender)} started this ${event.payload.kind === 'direct' ? 'conversation' : 'room'}`;
    case 'room.updated': {
      const { name, topic, public: open } = event.payload;
      if (name) return `${who(sender)} named the room “${name}”`;
      if (topic) return `${who(sender)} set the topic: ${topic}`;
      if (typeof open === 'boolean') return `${who(sender)} made the room ${open ? 'public' : 'private'}`;
      return `${who(sender)} changed the room`;
    }
    case 'member.joined': return `${who(event.payload.user_id)} joined`;
    case 'member.left': return `${who(event.payload.user_id)} left`;
    case 'member.invited': return `${who(sender)} brought in ${whom(event.payload.user_id)}`;
    case 'member.removed': return `${who(sender)} removed ${whom(event.payload.user_id)}${because(event.payload.reason)}`;
    case 'member.banned': return `${who(sender)} banned ${whom(event.payload.user_id)}${because(event.payload.reason)}`;
    case 'member.unbanned': return `${who(sender)} lifted the ban of ${whom(event.payload.user_id)}`;
    case 'member.muted': return `${who(sender)} muted ${whom(event.payload.user_id)}${because(event.payload.reason)}`;
    case 'member.unmuted': return `${who(sender)} let ${whom(event.payload.user_id)} speak again`;
    case 'member.role': return `${who(sender)} made ${whom(event.payload.user_id)} ${roleName(event.payload.role ?? 'member')}`;
    default: return '';
  }
}

function because(reason: string | null | undefined): string { return reason ? `: ${reason}` : ''; }

/** “a moderator”, as in “made Ben a moderator”. */
function roleName(role: Role): string { return `${/^[aeio]/.test(role) ? 'an' : 'a'} ${role}`; }

/** Who is typing, as a sentence; empty when nobody is. */
export function typingOf(users: readonly UserId[], nameOf: NameOf): string {
  const [one, two] = users.map(nameOf);
  if (one === undefined) return '';
  if (two === undefined) return `${one} is typing`;
  return users.length === 2 ? `${one} and ${two} are typing` : 'Several people are typing';
}

/** How present somebody is. */
export const PRESENCE: Readonly<Record<'online' | 'away' | 'dnd' | 'offline', string>> = {
  online: 'Online', away: 'Away', dnd: 'Does not want to be disturbed', offline: 'Offline',
};

/** “Ana, Ben and 3 others”. */
export function listOf(users: readonly UserId[], nameOf: NameOf): string {
  const names = users.slice(0, 3).map(nameOf);
  const more = users.length - names.length;
  if (more > 0) return `${names.join(', ')} and ${more} ${more === 1 ? 'other' : 'others'}`;
  return names.length > 1 ? `${names.slice(0, -1).join(', ')} and ${names.at(-1)}` : names.join('');
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const DATE = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const SHORT = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const DAY_MS = 86_400_000;

export function clock(at_ms: number): string { return CLOCK.format(at_ms); }

export function wholeTime(at_ms: number): string { return WHOLE.format(at_ms); }

/** Tells days apart, in the time zone of the person. */
export function dayKey(at_ms: number): string {
  const at = new Date(at_ms);
  return `${at.getFullYear()}-${at.getMonth() + 1}-${at.getDate()}`;
}

/** “Today”, “Yesterday”, “Tuesday, 4 March”. */
export function dayName(at_ms: number, now_ms: number): string {
  if (dayKey(at_ms) === dayKey(now_ms)) return 'Today';
  if (dayKey(at_ms) === dayKey(dayBefore(now_ms))) return 'Yesterday';
  return new Date(at_ms).getFullYear() === new Date(now_ms).getFullYear() ? DAY.format(at_ms) : DATE.format(at_ms);
}

/** A moment of the day before: not always 24 hours ago, for clocks change. */
function dayBefore(now_ms: number): number {
  const day = new Date(now_ms);
  return day.setDate(day.getDate() - 1);
}

/** As short as it is still clear, for the list of rooms. */
export function shortTime(at_ms: number, now_ms: number): string {
  if (dayKey(at_ms) === dayKey(now_ms)) return CLOCK.format(at_ms);
  return now_ms - at_ms < 6 * DAY_MS ? WEEKDAY.format(at_ms) : SHORT.format(at_ms);
}

/** “Last seen 14:02”, beside a person who is not there. */
export function lastSeen(at_ms: number, now_ms: number): string {
  if (dayKey(at_ms) === dayKey(now_ms)) return `Last seen ${CLOCK.format(at_ms)}`;
  return `Last seen ${shortTime(at_ms, now_ms)}`;
}
