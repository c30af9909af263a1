/**
 * Markdown as a tree: the tokens are of the library, what is shown of them is decided here.
 *
 * D-1  what is not understood, HTML above all, is shown as the text it is;
 * D-2  no input takes long or throws: what is too long or too deep is plain text.
 *
 * Pictures are shown as links: nothing is loaded from anywhere because of what somebody wrote.
 */
import { Lexer, Tokenizer, type Token, type Tokens } from 'marked';
import { safeHref, withLinks, withMentions } from './links.js';
import { flat, type Block, type Inline } from './nodes.js';

/** Longer texts are shown as they are. */
export const MARKDOWN_CHARS = 8_000;
/** Brackets, stars and quotes that may stand in a text; a crafted text of nothing else takes the library quadratic time. */
const MARKS_MAX = 1_000;
const DEPTH_MAX = 12;

/** Writing, not typesetting: indented lines are no code, underlined ones no headings, and what looks like a reference stays to be seen. */
class ChatTokenizer extends Tokenizer {
  override code(): undefined { return undefined; }
  override lheading(): undefined { return undefined; }
  override def(): undefined { return undefined; }
  override table(): undefined { return undefined; }
}

class TooDeep extends Error {}

/** Understands a text as `format` says; `mentions` are those of the event. */
export function understand(text: string, format: 'plain' | 'markdown', mentions: readonly string[]): Block[] {
  const plain = (): Block[] => [{ kind: 'paragraph', children: withLinks(text, mentions) }];
  if (format === 'plain' || text.length > MARKDOWN_CHARS || (text.match(/[[\]*_`~<>&\\|]/g)?.length ?? 0) > MARKS_MAX) return plain();
  try {
    const lexer = new Lexer({ gfm: true, breaks: true, tokenizer: new ChatTokenizer() });
    const tree = blocks(lexer.lex(text), mentions, 0);
    return flat(tree) === '' ? plain() : tree;
  } catch {
    return plain();
  }
}

function blocks(tokens: readonly Token[], mentions: readonly string[], depth: number): Block[] {
  if (depth > DEPTH_MAX) throw new TooDeep();
  return tokens.flatMap((token) => block(token, mentions, depth));
}

function block(token: Token, mentions: readonly string[], depth: number): Block[] {
  switch (token.type) {
    case 'space': return [];
    case 'hr': return [{ kind: 'rule' }];
    case 'code': return [{ kind: 'code', text: (token as Tokens.Code).text }];
    case 'blockquote': return [{ kind: 'quote', children: blocks((token as Tokens.Blockquote).tokens, mentions, depth + 1) }];
    case 'heading': return [{ kind: 'heading', children: inlines((token as Tokens.Heading).tokens, mentions, depth + 1) }];
    case 'paragraph': return [{ kind: 'paragraph', children: inlines((token as Tokens.Paragraph).tokens, mentions, depth + 1) }];
    case 'text': {
      const { tokens, text } = token as Tokens.Text;
      return [{ kind: 'paragraph', children: tokens ? inlines(tokens, mentions, depth + 1) : withMentions(text, mentions) }];
    }
    case 'list': {
      const { ordered, start, items } = token as Tokens.List;
      const of = (item: Tokens.ListItem): Block[] => {
        const inner = blocks(item.tokens.filter(({ type }) => type !== 'checkbox'), mentions, depth + 1);
        if (!item.task) return inner;
        const box: Inline = { kind: 'text', text: item.checked ? '☑ ' : '☐ ' };
        const [first, ...rest] = inner;
        if (first?.kind === 'paragraph') return [{ kind: 'paragraph', children: [box, ...first.children] }, ...rest];
        return [{ kind: 'paragraph', children: [box] }, ...inner];
      };
      return [{ kind: 'list', start: ordered ? Number(start) || 1 : undefined, items: items.map(of) }];
    }
    default: return [{ kind: 'paragraph', children: [{ kind: 'text', text: token.raw.replace(/\n+$/, '') }] }];
  }
}

function inlines(tokens: readonly Token[], mentions: readonly string[], depth: number): Inline[] {
  if (depth > DEPTH_MAX) throw new TooDeep();
  return tokens.flatMap((token) => inline(token, mentions, depth));
}

function inline(token: Token, mentions: readonly string[], depth: number): Inline[] {
  switch (token.type) {
    case 'strong': case 'em': case 'del':
      return [{ kind: token.type, children: inlines((token as Tokens.Strong).tokens, mentions, depth + 1) }];
    case 'codespan': return [{ kind: 'code', text: (token as Tokens.Codespan).text }];
    case 'br': return [{ kind: 'text', text: '\n' }];
    case 'escape': return [{ kind: 'text', text: (token as Tokens.Escape).text }];
    case 'text': {
      const { text, tokens } = token as Tokens.Text;
      return tokens ? inlines(tokens, mentions, depth + 1) : withMentions(text, mentions);
    }
    case 'link': {
      const { href, tokens, raw } = token as Tokens.Link;
      const safe = safeHref(href);
      if (safe === undefined) return withMentions(raw, mentions);
      return [{ kind: 'link', href: safe, children: inlines(tokens, [], depth + 1) }];
    }
    case 'image': {
      const { href, text, raw } = token as Tokens.Image;
      const safe = safeHref(href);
      return [safe === undefined ? { kind: 'text', text: raw } : { kind: 'link', href: safe, children: [{ kind: 'text', text: text || href }] }];
    }
    default: return [{ kind: 'text', text: token.raw }];
  }
}
