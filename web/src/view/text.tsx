/**
 * A message's text as elements. There is no way from a text to HTML here: every string becomes a text node.
 */
import { Fragment, type ComponentChildren } from 'preact';
import { memo } from '../memo.js';
import { understand } from '../text/markdown.js';
import type { Block, Inline } from '../text/nodes.js';
import type { Session } from '../session.js';

export const Text = memo(function Text({ session, text, format, mentions }: {
  session: Session; text: string; format: 'plain' | 'markdown'; mentions: readonly string[] | undefined;
}) {
  return <Blocks session={session} blocks={understand(text, format, mentions ?? [])} />;
});

function Blocks({ session, blocks }: { session: Session; blocks: readonly Block[] }) {
  const block = (one: Block): ComponentChildren => {
    switch (one.kind) {
      case 'paragraph': return <p><Inlines session={session} nodes={one.children} /></p>;
      case 'heading': return <p class="heading"><Inlines session={session} nodes={one.children} /></p>;
      case 'code': return <pre tabIndex={0}><code>{one.text}</code></pre>;
      case 'quote': return <blockquote><Blocks session={session} blocks={one.children} /></blockquote>;
      case 'rule': return <hr />;
      case 'list': {
        const items = one.items.map((item, n) => <li key={n}><Blocks session={session} blocks={item} /></li>);
        return one.start === undefined ? <ul>{items}</ul> : <ol start={one.start}>{items}</ol>;
      }
    }
  };
  return <>{blocks.map((one, n) => <Fragment key={n}>{block(one)}</Fragment>)}</>;
}

function Inlines({ session, nodes }: { session: Session; nodes: readonly Inline[] }) {
  const inline = (node: Inline): ComponentChildren => {
    switch (node.kind) {
      case 'text': return node.text;
      case 'code': return <code>{node.text}</code>;
      case 'mention': return <Mention session={session} user={node.user} />;
      case 'link':
        return <a href={node.href} target="_blank" rel="noopener noreferrer nofollow"><Inlines session={session} nodes={node.children} /></a>;
      case 'strong': return <strong><Inlines session={session} nodes={node.children} /></strong>;
      case 'em': return <em><Inlines session={session} nodes={node.children} /></em>;
      case 'del': return <del><Inlines session={session} nodes={node.children} /></del>;
    }
  };
  return <>{nodes.map((node, n) => <Fragment key={n}>{inline(node)}</Fragment>)}</>;
}

function Mention({ session, user }: { session: Session; user: string }) {
  const me = user === session.me || user === 'room';
  return <span class={`mention ${me ? 'of-me' : ''}`} title={user}>@{user === 'room' ? 'room' : session.nameOf(user)}</span>;
}
