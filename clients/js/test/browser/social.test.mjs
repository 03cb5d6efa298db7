/**
 * What people do with each other on the chat page, in Chromium against the real server: messages are
 * answered, changed and taken back, and groups are led. Screenshots go to `out/`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bench, newChat, open, PHONE, say, shot, shown } from '../support/browser.js';

const here = bench({ server: { environment: { HUBBUB_PUSH_SEND: 'everyone' } } });

/** The message with a text, in the open conversation. */
const message = (page, text) =>
  page.getByTestId('message').filter({ has: page.getByTestId('text').filter({ hasText: text }) });

/** Does something to a message by its menu. */
async function act(page, text, what) {
  await message(page, text).hover();
  await message(page, text).getByTestId('act').click();
  await page.getByTestId('menu').getByTestId(what).first().click();
}

/** Nothing of the page sticks out at its sides. */
async function fits(page) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= PHONE.width, `${width} pixels`);
}

test('a message is edited, reacted to and taken back, and both see it', async () => {
  const alice = await here.signIn('alice');
  const bob = await here.signIn('bob', { viewport: PHONE });
  await newChat(alice, 'bob');
  await say(alice, 'Helo Bob!', 'Wrong window');
  await open(bob, 'direct:alice:bob');
  await shown(bob, 'Wrong window');

  await act(alice, 'Helo Bob!', 'edit');
  await alice.getByTestId('about').waitFor();
  await say(alice, 'Hello Bob!');
  await message(bob, 'Hello Bob!').getByTestId('edited').waitFor();
  assert.equal(await bob.getByTestId('message').count(), 2);

  await act(bob, 'Hello Bob!', 'emoji');
  const chip = message(alice, 'Hello Bob!').getByTestId('reaction');
  await chip.filter({ hasText: '👍 1' }).waitFor();
  await chip.click();
  await message(bob, 'Hello Bob!').getByTestId('reaction').filter({ hasText: '👍 2' }).waitFor();
  await chip.click();
  await message(bob, 'Hello Bob!').getByTestId('reaction').filter({ hasText: '👍 1' }).waitFor();

  await alice.getByTestId('lasting').click();
  await alice.getByTestId('lasting-minute').click();
  await say(alice, 'Not for long');
  await message(bob, 'Not for long').getByTestId('clock').waitFor();
  assert.equal(await message(alice, 'Hello Bob!').getByTestId('clock').count(), 0);
  await alice.getByTestId('lasting').click();
  await alice.getByTestId('lasting-ever').click();

  await act(alice, 'Wrong window', 'recall');
  await message(bob, 'The message was taken back').waitFor();
  assert.equal(await bob.getByText('Wrong window').count(), 0);

  await act(alice, 'Hello Bob!', 'versions');
  await alice.getByTestId('list-row').nth(1).filter({ hasText: 'Hello Bob!' }).waitFor();
  await alice.getByTestId('list-close').click();
  await bob.reload();
  await open(bob, 'direct:alice:bob');
  await message(bob, 'Hello Bob!').getByTestId('reaction').filter({ hasText: '👍 1' }).waitFor();
  await message(bob, 'Hello Bob!').getByTestId('act').click();
  await shot(bob, 'phone-menu');
  await fits(bob);
  await bob.keyboard.press('Escape');
  await shot(alice, 'changed');
  assert.deepEqual(here.complaints, []);
});

test('a group is led: who asks is approved, an announcement stands above, one is muted and leaves', async () => {
  const alice = await here.signIn('alice');
  const bob = await here.signIn('bob', { viewport: PHONE });
  await alice.getByTestId('new-group').click();
  await alice.getByTestId('group-name').fill('Lunch');
  await alice.getByTestId('group-join').selectOption('approval');
  await alice.getByTestId('group-create').click();
  await alice.getByTestId('system').filter({ hasText: 'You created' }).waitFor();
  const group = (await alice.getByTestId('conversation').first().getAttribute('data-conversation')).slice(6);

  await bob.getByTestId('join').click();
  await bob.getByTestId('join-group').fill(group);
  await bob.getByTestId('join-note').fill('I am hungry');
  await bob.getByTestId('join-submit').click();
  await bob.getByTestId('toast').filter({ hasText: 'You asked' }).waitFor();
  await alice.getByTestId('toast').filter({ hasText: 'bob asks to join' }).waitFor();
  await alice.getByTestId('group-info').click();
  await alice.getByTestId('join-request').filter({ hasText: 'I am hungry' }).waitFor();
  await shot(alice, 'group-requests');
  await alice.getByTestId('approve').click();
  await alice.getByTestId('member').filter({ hasText: 'bob' }).waitFor();
  await open(bob, `group:${group}`);

  await alice.getByTestId('info-edit').locator('summary').click();
  await alice.getByTestId('info-announce').fill('Noodles at noon');
  await alice.getByTestId('info-save').click();
  await bob.getByTestId('announcement').filter({ hasText: 'Noodles at noon' }).waitFor();
  await alice.getByTestId('member').filter({ hasText: 'bob' }).getByTestId('member-menu').click();
  await alice.getByTestId('mute').click();
  await bob.getByTestId('not-member').filter({ hasText: 'You may only read here until' }).waitFor();
  assert.equal(await bob.getByTestId('draft').isVisible(), false);
  await shot(bob, 'phone-muted');
  await fits(bob);
  await alice.getByTestId('member').filter({ hasText: 'bob' }).getByTestId('member-menu').click();
  await alice.getByTestId('menu').getByText('Unmute').click();
  await bob.getByTestId('draft').waitFor();
  await say(bob, 'Thanks');
  await shown(alice, 'Thanks');
  await bob.getByTestId('group-info').click();
  await bob.getByTestId('member').nth(1).waitFor();
  await shot(bob, 'phone-group');
  await fits(bob);
  await bob.keyboard.press('Escape');

  await alice.getByTestId('member').filter({ hasText: 'bob' }).getByTestId('member-menu').click();
  await alice.getByTestId('menu').getByTestId('ban').click();
  await bob.getByTestId('not-member').filter({ hasText: 'not in this group any more' }).waitFor();
  await alice.getByTestId('info-bans').click();
  await alice.getByTestId('list-row').filter({ hasText: 'bob' }).waitFor();
  await alice.getByTestId('row-action').click();
  await alice.getByTestId('list-row').waitFor({ state: 'detached' });
  await alice.getByTestId('list-close').click();
  await alice.getByTestId('system').filter({ hasText: 'lifted the ban' }).waitFor();
  assert.deepEqual(here.complaints, []);
});

test('what is pushed shows, counts as unread, and is read', async () => {
  const shop = await here.nodeClient('shop');
  await shop.push('user:alice', 'order_update', { title: 'Order 17', text: 'on its way' });
  const alice = await here.signIn('alice', { viewport: PHONE });
  const row = alice.locator('[data-conversation="system:user:alice"]');
  await row.filter({ hasText: 'Order 17: on its way' }).waitFor();
  assert.equal(await row.getByTestId('unread').textContent(), '1');
  await shop.push('user:alice', 'notification', 'Back at nine', { durable: false });
  await alice.getByTestId('toast').filter({ hasText: 'Back at nine' }).waitFor();
  await row.click();
  await shown(alice, 'Order 17: on its way');
  await alice.waitForFunction(() => document.title === 'Hubbub');
  await shot(alice, 'phone-pushes');
  assert.deepEqual(here.complaints, []);
});

test('friends: asked on a phone, accepted, seen there, and blocked', async () => {
  const alice = await here.signIn('alice');
  const bob = await here.signIn('bob', { viewport: PHONE });
  await bob.getByTestId('tab-friends').click();
  await bob.getByTestId('friend-user').fill('alice');
  await bob.getByTestId('friend-note').fill('It is me');
  await bob.getByTestId('friend-request').click();
  await bob.getByTestId('person-requested').filter({ hasText: 'alice' }).waitFor();
  await alice.getByTestId('toast').filter({ hasText: 'bob wants to be your friend' }).waitFor();
  await alice.getByTestId('friends-badge').filter({ hasText: '1' }).waitFor();
  await alice.getByTestId('tab-friends').click();
  await alice.getByTestId('person-received').filter({ hasText: 'It is me' }).waitFor();
  await shot(alice, 'friend-request');
  await alice.getByTestId('friend-accept').click();
  const atBob = bob.getByTestId('person-friend').filter({ hasText: 'alice' });
  await atBob.getByTestId('friend-status').filter({ hasText: 'online' }).waitFor();

  await alice.getByTestId('settings').click();
  await alice.getByTestId('presence-status').selectOption('busy');
  await shot(alice, 'settings');
  await alice.keyboard.press('Escape');
  await atBob.getByTestId('friend-status').filter({ hasText: 'busy' }).waitFor();
  await shot(bob, 'phone-friends');
  await fits(bob);

  await atBob.getByTestId('friend').click();
  await bob.getByTestId('typing').filter({ hasText: 'busy' }).waitFor();
  await say(bob, 'Hi!');
  await bob.locator('#messages .own .mark[data-state=delivered]').waitFor();
  await alice.getByTestId('friend-menu').click();
  await alice.getByTestId('friend-block').click();
  await alice.getByTestId('confirm-yes').click();
  await alice.getByTestId('person-blocked').filter({ hasText: 'bob' }).waitFor();
  await say(bob, 'Hello?');
  await bob.getByTestId('failure').filter({ hasText: 'do not accept' }).waitFor();
  await shot(bob, 'phone-refused');
  await alice.getByTestId('friend-unblock').click();
  await alice.getByTestId('person-friend').waitFor();
  await bob.getByTestId('retry').click();
  await bob.getByTestId('failure').waitFor({ state: 'detached' });
  await alice.getByTestId('tab-chats').click();
  await open(alice, 'direct:alice:bob');
  await shown(alice, 'Hello?');
  assert.deepEqual(here.complaints, []);
});
