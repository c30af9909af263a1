/**
 * Two people in two browsers, across a `kill -9` of the server. The steps stand on each other.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ONCE_SENT, Person, launch } from './support/people.mjs';
import { Server } from './support/server.mjs';
import { RECONNECT_MS } from './support/wait.mjs';

const MARKUP = '<img src=x onerror="document.title=\'broken\'"><b>bold</b>';

let server;
let browser;
let ana;
let ben;
const said = [];

async function exchange(from, to, text) {
  await from.say(text);
  said.push(text);
  await from.sees(text, ...ONCE_SENT);
  await to.sees(text);
}

before(async () => {
  server = await Server.start();
  browser = await launch();
  ana = await Person.arrive(browser, 'ana', server.page);
  ben = await Person.arrive(browser, 'ben', server.page);
});

after(async () => {
  await browser?.close();
  await server?.end();
});

test('two people sign up through the page', async () => {
  await ana.signUp();
  await ben.signUp();
  assert.equal(await ana.at('me').textContent(), 'ana');
});

test('one makes a room with the other, and both have it', async () => {
  await ana.starts({ name: 'Garden', members: 'ben' });
  await ben.roomItem('Garden').waitFor();
});

test('an unopened room counts the unread, an opened one does not', async () => {
  await ana.say('Are you there?');
  said.push('Are you there?');
  await ben.roomItem('Garden').getByTestId('unread').filter({ hasText: /^1/ }).waitFor();
  assert.match(await ben.page.title(), /^\(1\)/);
  await ben.opens('Garden');
  await ben.sees('Are you there?');
  await ben.roomItem('Garden').getByTestId('unread').waitFor({ state: 'detached' });
});

test('both exchange messages and see what the other reads', async () => {
  await exchange(ben, ana, 'Here I am');
  await exchange(ana, ben, 'The tomatoes are ripe');
  await exchange(ben, ana, 'I bring a basket\nand two chairs');
  await ana.sees('The tomatoes are ripe', 'read');
  await ben.sees('Here I am', 'read');
});

test('typing is shown to the other one', async () => {
  await ben.at('composer').pressSequentially('Soo');
  await ana.at('typing').filter({ hasText: 'ben is typing' }).waitFor();
  await ben.at('composer').fill('');
  await ana.at('typing').filter({ hasText: /^$/ }).waitFor({ state: 'attached' });
});

test('markup is shown as text', async () => {
  await exchange(ana, ben, MARKUP);
  for (const person of [ana, ben]) assert.equal(await person.at('messages').locator('img, b').count(), 0);
});

test('a killed server shows as a lost connection', async () => {
  for (const person of [ana, ben]) person.outage = true;
  assert.equal(await server.kill(), 'SIGKILL');
  for (const person of [ana, ben]) await person.at('banner').waitFor();
});

test('what is written meanwhile is shown as pending', async () => {
  for (const text of ['Is the gate open?', 'I have the key']) {
    await ana.say(text);
    said.push(text);
    await ana.sees(text, 'pending');
  }
  await ana.at('banner').filter({ hasText: '2 messages wait' }).waitFor();
});

test('both pages come back by themselves, and what was pending is delivered', async () => {
  await server.start();
  for (const person of [ana, ben]) await person.online(RECONNECT_MS);
  for (const person of [ana, ben]) person.outage = false;
  for (const text of ['Is the gate open?', 'I have the key']) {
    await ana.sees(text, ...ONCE_SENT);
    await ben.sees(text);
  }
  await exchange(ben, ana, 'Come in');
});

test('everything is there once and in order, on both pages', async () => {
  for (const person of [ana, ben]) await person.shows(said);
});

test('a reload keeps the login, the room and every message', async () => {
  for (const person of [ana, ben]) {
    await person.page.reload();
    await person.online();
    await person.inRoom('Garden');
    await person.shows(said);
    assert.equal(await person.page.locator('[data-testid=message]:is([data-state=written],[data-state=pending])').count(), 0);
  }
});

test('a message survives a reload before it could be sent', async () => {
  const text = 'Kept in the outbox';
  // The page itself comes from the server, so here the server stays and the browser's sending is cut off.
  await ana.page.evaluate(() => { WebSocket.prototype.send = () => {}; });
  await ana.say(text);
  said.push(text);
  await ana.sees(text, 'pending');
  await ana.page.reload();
  await ana.online();
  await ana.sees(text, ...ONCE_SENT);
  await ben.sees(text);
  for (const person of [ana, ben]) await person.shows(said);
});

test('somebody finds a public room and joins it', async () => {
  await ana.starts({ name: 'Square', open: true });
  await ben.at('browse').click();
  await ben.at('public-room').filter({ hasText: 'Square' }).getByTestId('join').click();
  await ben.inRoom('Square');
  await ben.say('Good morning');
  await ana.sees('Good morning');
});

test('somebody signs out and in again', async () => {
  await ben.at('me-menu').click();
  await ben.at('sign-out').click();
  await ben.at('auth').waitFor();
  await ben.signIn();
  await ben.opens('Garden');
  await ben.sees(said.at(-1));
});

test('neither page had an error, a warning or a violation of its policy', () => {
  for (const person of [ana, ben]) person.content();
});
