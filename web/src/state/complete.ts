/**
 * Completing a mention while it is typed. Pure.
 */
import type { UserId } from 'parlor-client';

const OFFERED_MAX = 6;

/** A mention that is being typed: where its at sign stands, and what was typed of it. */
export interface Typed {
  readonly at: number;
  readonly text: string;
}

/** The mention before the caret, if there is one. */
export function typedMention(text: string, caret: number): Typed | undefined {
  const found = /(?:^|[^A-Za-z0-9._:@-])@([A-Za-z0-9._:@-]{0,128})$/.exec(text.slice(0, caret));
  return found ? { at: caret - (found[1] ?? '').length - 1, text: found[1] ?? '' } : undefined;
}

/** Who may be meant, best first; `room` stands for everybody. `nameOf` gives the name shown. */
export function candidates(typed: string, people: Iterable<UserId>, nameOf: (user: UserId) => string): UserId[] {
  const sought = typed.toLowerCase();
  const rank = (user: UserId): number => {
    const words = [user.toLowerCase(), nameOf(user).toLowerCase()];
    if (words.some((word) => word.startsWith(sought))) return 0;
    return words.some((word) => word.includes(sought)) ? 1 : 2;
  };
  return [...people, 'room']
    .map((user) => ({ user, rank: rank(user) }))
    .filter((one) => one.rank < 2)
    .sort((a, b) => a.rank - b.rank || (a.user === 'room' ? 1 : b.user === 'room' ? -1 : a.user.localeCompare(b.user)))
    .slice(0, OFFERED_MAX)
    .map((one) => one.user);
}

/** The text with the mention complete, and where the caret goes. */
export function completed(text: string, caret: number, typed: Typed, user: UserId): { text: string; caret: number } {
  const put = `@${user} `;
  const rest = text.slice(caret).replace(/^ /, '');
  return { text: text.slice(0, typed.at) + put + rest, caret: typed.at + put.length };
}
