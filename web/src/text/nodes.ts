/**
 * What a message's text is once it is understood: a tree that a view makes elements of, and nothing else can come out of.
 *
 * Absent: HTML. There is no node for it, so that none can be shown as such.
 */
export type Inline =
  | { readonly kind: 'text' | 'code'; readonly text: string }
  | { readonly kind: 'mention'; readonly user: string }
  | { readonly kind: 'strong' | 'em' | 'del'; readonly children: readonly Inline[] }
  /** `href` is of a scheme that `links.ts` lets through. */
  | { readonly kind: 'link'; readonly href: string; readonly children: readonly Inline[] };

export type Block =
  | { readonly kind: 'paragraph' | 'heading'; readonly children: readonly Inline[] }
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'quote'; readonly children: readonly Block[] }
  | { readonly kind: 'list'; readonly start: number | undefined; readonly items: readonly (readonly Block[])[] }
  | { readonly kind: 'rule' };

/** All that a person reads of a tree, in one line. */
export function flat(blocks: readonly Block[]): string {
  const inline = (nodes: readonly Inline[]): string => nodes.map((node) => {
    if ('children' in node) return inline(node.children);
    return node.kind === 'mention' ? `@${node.user}` : node.text;
  }).join('');
  return blocks.map((block): string => {
    switch (block.kind) {
      case 'code': return block.text;
      case 'rule': return '—';
      case 'quote': return flat(block.children);
      case 'list': return block.items.map(flat).join(' ');
      default: return inline(block.children);
    }
  }).join(' ').replace(/\s+/g, ' ').trim();
}
