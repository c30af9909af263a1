/**
 * Links and mentions inside plain text.
 *
 * X-1  a link leads to `http`, `https` or `mailto`, and nowhere else.
 */
import type { Inline } from './nodes.js';

const SCHEMES: ReadonlySet<string> = new Set(['http:', 'https:', 'mailto:']);

/** An address as it may be followed; undefined when its scheme is none of ours. */
export function safeHref(address: string): string | undefined {
  try {
    const url = new URL(address);
    return SCHEMES.has(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

const URLS = /\bhttps?:\/\/[^\s<>"']+/gi;
/** What ends a sentence rather than an address. */
const TAIL = /[.,;:!?*_~]+$/;
const AT = /(?<![A-Za-z0-9._:@-])@([A-Za-z0-9._:@-]{1,128})/g;

/** The words after an at sign, with where they stand; `fits` tells who is meant, and so where the word ends. */
function* named(text: string, fits: (user: string) => boolean): Generator<{ at: number; user: string }> {
  for (const found of text.matchAll(AT)) {
    // A user id may hold the dot that ends the sentence.
    for (let user = found[1] ?? ''; user !== ''; user = user.slice(0, -1)) {
      if (fits(user)) {
        yield { at: found.index, user };
        break;
      }
      if (!/[.:@_-]$/.test(user)) break;
    }
  }
}

/** Who is mentioned in a text, each once: those of `people`, and `@room`. */
export function mentionsIn(text: string, people: ReadonlySet<string>): string[] {
  const users = [...named(text, (user) => user === 'room' || people.has(user))].map(({ user }) => (user === 'room' ? '@room' : user));
  return [...new Set(users)];
}

/** Makes mentions of those in `mentions`, as the event names them; the rest stays text. */
export function withMentions(text: string, mentions: readonly string[]): Inline[] {
  const out: Inline[] = [];
  let from = 0;
  for (const { at, user } of named(text, (name) => mentions.includes(name === 'room' ? '@room' : name))) {
    if (at > from) out.push({ kind: 'text', text: text.slice(from, at) });
    out.push({ kind: 'mention', user });
    from = at + 1 + user.length;
  }
  if (from < text.length) out.push({ kind: 'text', text: text.slice(from) });
  return out;
}

/** Makes links of addresses, and mentions of the rest. */
export function withLinks(text: string, mentions: readonly string[]): Inline[] {
  const out: Inline[] = [];
  let from = 0;
  for (const found of text.matchAll(URLS)) {
    const address = found[0].replace(TAIL, '');
    const href = safeHref(address);
    if (href === undefined) continue;
    out.push(...withMentions(text.slice(from, found.index), mentions), { kind: 'link', href, children: [{ kind: 'text', text: address }] });
    from = found.index + address.length;
  }
  out.push(...withMentions(text.slice(from), mentions));
  return out;
}
