/**
 * Text to tree: what is understood, what stays text, and that no input takes long.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './support/load.mjs';
import { CORPUS } from './support/xss.mjs';

const { understand, MARKDOWN_CHARS } = await load('/src/text/markdown.ts');
const { flat } = await load('/src/text/nodes.ts');
const { mentionsIn } = await load('/src/text/links.ts');

const markdown = (text, mentions = []) => understand(text, 'markdown', mentions);
const paragraph = (...children) => [{ kind: 'paragraph', children }];
const text = (words) => ({ kind: 'text', text: words });

/** Every node of a tree. */
function* nodesOf(nodes) {
  for (const node of nodes) {
    yield node;
    if (node.children) yield* nodesOf(node.children);
    for (const item of node.items ?? []) yield* nodesOf(item);
  }
}

test('emphasis, code and links', () => {
  assert.deepEqual(markdown('a **b** *c* ~~d~~ `e`'), paragraph(
    text('a '), { kind: 'strong', children: [text('b')] }, text(' '), { kind: 'em', children: [text('c')] }, text(' '),
    { kind: 'del', children: [text('d')] }, text(' '), { kind: 'code', text: 'e' },
  ));
  assert.deepEqual(markdown('[here](https://example.org/a)'), paragraph({ kind: 'link', href: 'https://example.org/a', children: [text('here')] }));
  assert.deepEqual(markdown('see https://example.org.'), paragraph(text('see '), { kind: 'link', href: 'https://example.org/', children: [text('https://example.org')] }, text('.')));
});

test('blocks', () => {
  assert.deepEqual(markdown('```js\nlet a;\n```'), [{ kind: 'code', text: 'let a;' }]);
  assert.equal(markdown('> said')[0].kind, 'quote');
  assert.deepEqual(markdown('- a\n- b')[0].items.length, 2);
  assert.equal(markdown('3. a')[0].start, 3);
  assert.deepEqual(markdown('- [x] done')[0].items[0][0].children[0], text('☑ '));
  assert.equal(markdown('# Title')[0].kind, 'heading');
});

test('lines stay lines', () => {
  assert.equal(markdown('one\ntwo')[0].children.map((node) => node.text).join(''), 'one\ntwo');
});

test('what only looks like markdown stays to be read', () => {
  for (const words of ['    indented', '[id]: https://example.org', 'Title\n=====', '<b>bold</b>', '&amp; &lt;', '#tag', '| a | b |\n|---|---|\n| 1 | 2 |', '#']) {
    assert.equal(flat(markdown(words)), words.replace(/\s+/g, ' ').trim(), words);
  }
});

test('pictures become links', () => {
  assert.deepEqual(markdown('![cat](https://example.org/cat.png)'), paragraph({ kind: 'link', href: 'https://example.org/cat.png', children: [text('cat')] }));
});

test('nothing of the corpus becomes anything but text and safe links', () => {
  for (const attack of CORPUS) {
    for (const format of ['plain', 'markdown']) {
      for (const node of nodesOf(understand(attack, format, []))) {
        assert.ok(!('html' in node));
        if (node.kind === 'link') assert.match(node.href, /^(https?|mailto):/, attack);
      }
    }
  }
});

test('mentions are those of the event, and end where a name ends', () => {
  assert.deepEqual(markdown('hi @ana.', ['ana']), paragraph(text('hi '), { kind: 'mention', user: 'ana' }, text('.')));
  assert.deepEqual(markdown('hi @ana', []), paragraph(text('hi @ana')));
  assert.deepEqual(markdown('**@room** now', ['@room'])[0].children[0], { kind: 'strong', children: [{ kind: 'mention', user: 'room' }] });
  const people = new Set(['ana', 'ana.b', 'ben']);
  assert.deepEqual(mentionsIn('@ana.b, @ben: @ben and @nobody @room mail@ana', people), ['ana.b', 'ben', '@room']);
});

test('no input takes long', () => {
  const bombs = ['[', '*', '`', '<', '>', '_', '![', '](', '**a ', '~~', '[a](', '> ', '- ', '1. ', '\\', '&', '<a ', '`a', '@', 'http://', '\n', ' ', '*_'];
  for (const bomb of bombs) {
    const long = bomb.repeat(Math.floor(MARKDOWN_CHARS / bomb.length));
    // Of the processor's time: a busy machine is no fault of the text.
    const began = process.cpuUsage();
    understand(long, 'markdown', []);
    understand(`${long}x`, 'markdown', []);
    const took = process.cpuUsage(began).user / 1000;
    assert.ok(took < 500, `${JSON.stringify(bomb)} took ${took.toFixed(0)} ms`);
  }
  assert.equal(understand('> '.repeat(900), 'markdown', []).length, 1);
});
