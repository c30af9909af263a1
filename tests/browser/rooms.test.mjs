/**
 * Rooms and who is in them: direct ones, channels, roles, bringing in, putting out, leaving; replies.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ONCE_SENT } from './support/people.mjs';
import { world } from './support/world.mjs';

const it = world();
let ana;
let ben;
let cleo;

/** Chooses something in the menu of a member. */
async function member(person, user, what) {
  await person.page.locator(`[data-testid=member][data-user=${user}]`).getByTestId('member-menu').click();
  await person.page.getByRole('menuitem', { name: what, exact: true }).click();
}

test('a direct room is one for two, whoever starts it', async () => {
  ana = await it.arrives('ana');
  ben = await it.arrives('ben');
  cleo = await it.arrives('cleo');
  await ana.starts({ kind: 'direct', members: 'ben' });
  await ana.say('Just us');
  await ben.opens('ana');
  await ben.sees('Just us');
  await ana.sees('Just us', 'read');
  await ben.starts({ kind: 'direct', members: 'ana' });
  assert.equal(await ben.at('room-item').count(), 1);
  await ben.page.locator('.room-head .dot.online').waitFor();
});

test('nobody with that name, no name, no person: the dialog says what is wrong', async () => {
  await ana.at('new-room').click();
  await ana.at('new-create').click();
  await ana.at('new-error').filter({ hasText: 'Give the room a name' }).waitFor();
  await ana.at('new-name').fill('Attic');
  await ana.at('new-members').fill('nobody-is-called-that');
  await ana.at('new-create').click();
  await ana.at('new-error').filter({ hasText: 'nobody with that user name' }).waitFor();
  await ana.at('close').click();
});

test('a name shown to others reaches them', async () => {
  await ben.at('me-menu').click();
  await ben.at('own-name').fill('Ben Okoro');
  await ben.at('own-name-save').click();
  await ben.at('me').filter({ hasText: 'Ben Okoro' }).waitFor();
  await ben.at('close').click();
  await ana.page.reload();
  await ana.inRoom('Ben Okoro');
});

test('a room is named anew, and gets a topic', async () => {
  await ana.starts({ name: 'Attic', members: 'ben' });
  await ben.opens('Attic');
  await ana.at('details').click();
  await ana.at('room-rename').fill('Loft');
  await ana.at('room-topic').fill('What is stored where');
  await ana.at('room-save').click();
  await ben.inRoom('Loft');
  await ben.at('note').filter({ hasText: 'named the room “Loft”' }).waitFor();
  await ben.page.locator('.room-title p').filter({ hasText: 'What is stored where' }).waitFor();
});

test('somebody is brought in, and everybody sees who', async () => {
  await ana.at('invite-user').fill('nobody');
  await ana.at('invite').click();
  await ana.at('invite-error').filter({ hasText: 'nobody called nobody' }).waitFor();
  await ana.at('invite-user').fill('cleo');
  await ana.at('invite').click();
  await cleo.opens('Loft');
  await ben.at('note').filter({ hasText: 'brought in cleo' }).waitFor();
  await ana.page.locator('[data-testid=member][data-user=cleo]').waitFor();
});

test('a role gives rights, and the page shows what they are', async () => {
  await ben.at('details').click();
  assert.equal(await ben.page.locator('[data-testid=member][data-user=cleo]').getByTestId('member-menu').count(), 1);
  await member(ana, 'ben', 'Make moderator');
  await ben.page.locator('[data-testid=member][data-user=ben]').filter({ hasText: 'Moderator' }).waitFor();
  await member(ben, 'cleo', 'Remove');
  await cleo.at('toast').filter({ hasText: 'no longer in this room' }).waitFor();
  await cleo.roomItem('Loft').waitFor({ state: 'detached' });
  await ben.page.locator('[data-testid=member][data-user=cleo]').waitFor({ state: 'detached' });
});

test('who is banned cannot be brought in until the ban is lifted', async () => {
  await ana.at('invite-user').fill('cleo');
  await ana.at('invite').click();
  await cleo.opens('Loft');
  await member(ana, 'cleo', 'Ban');
  await cleo.roomItem('Loft').waitFor({ state: 'detached' });
  await ana.at('invite-user').fill('cleo');
  await ana.at('invite').click();
  await ana.at('unban').click();
  await cleo.roomItem('Loft').waitFor();
});

test('the last owner cannot leave, others can', async () => {
  await ana.at('leave').click();
  await ana.at('leave-sure').click();
  await ana.at('toast').filter({ hasText: 'last owner' }).waitFor();
  await ben.at('leave').click();
  await ben.at('leave-sure').click();
  await ben.roomItem('Loft').waitFor({ state: 'detached' });
  await ana.at('note').filter({ hasText: 'Ben Okoro left' }).waitFor();
});

test('in a channel only some write', async () => {
  await ana.starts({ kind: 'channel', name: 'Notices', topic: 'House news', open: true });
  await ana.say('The lift is repaired');
  await cleo.at('browse').click();
  await cleo.at('public-room').filter({ hasText: 'Notices' }).getByTestId('join').click();
  await cleo.inRoom('Notices');
  await cleo.page.locator('.read-only').waitFor();
  assert.equal(await cleo.at('composer').count(), 0);
  await cleo.page.reload();
  await cleo.sees('The lift is repaired');
  await ana.at('member').nth(1).waitFor();
  await member(ana, 'cleo', 'Make member');
  await cleo.at('composer').fill('Thank you');
  await cleo.at('composer').press('Enter');
  await ana.sees('Thank you');
});

test('a reply shows what it answers, and leads there', async () => {
  await cleo.message('The lift is repaired').hover();
  await cleo.message('The lift is repaired').getByTestId('reply').click();
  await cleo.at('replying').filter({ hasText: 'The lift is repaired' }).waitFor();
  await cleo.say('At last');
  await cleo.sees('At last', ...ONCE_SENT);
  const quote = ana.message('At last').getByTestId('quote');
  await quote.filter({ hasText: 'The lift is repaired' }).waitFor();
  await quote.click();
  await ana.page.locator('.message.flash').filter({ hasText: 'The lift is repaired' }).waitFor();
});

test('presence follows what a person sets', async () => {
  await ana.opens('Ben Okoro');
  await ana.page.locator('.room-head .dot.online').waitFor();
  await ben.at('me-menu').click();
  await ben.at('status').getByText('Busy').click();
  await ana.page.locator('.room-head .dot.dnd').waitFor();
  await ben.at('status').getByText('Hidden').click();
  await ana.page.locator('.room-head .dot').waitFor({ state: 'detached' });
});

test('the browsers had nothing to report', () => it.content());
