/**
 * What people keep and find again on the chat page, in Chromium against the real server: answers,
 * mentions, forwards and pins; drafts, mutes and hidden conversations on two devices; links to groups.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bench, newChat, open, PHONE, say, shot, shown } from '../support/browser.js';

const here = bench();

const message = (page, text) =>
  page.getByTestId('message').filter({ has: page.getByTestId('text').filter({ hasText: text }) });

async function act(page, text, what) {
  await message(page, text).hover();
  await message(page, text).getByTestId('act').click();
  await page.getByTestId('menu').getByTestId(what).first().click();
}

test('an answer with a mention: the badge, the way there, and what is answered', async () => {
  const alice = await here.signIn('alice');
  const bob = await here.signIn('bob', { viewport: PHONE });
  await alice.getByTestId('new-group').click();
  await alice.getByTestId('group-name').fill('Lunch');
  await alice.getByTestId('group-members').fill('bob');
  await alice.getByTestId('group-create').click();
  await alice.getByTestId('system').waitFor();
  await say(alice, 'Where do we meet?');
  const row = bob.getByTestId('conversation').filter({ hasText: 'Lunch' });
  await row.click();
  await say(bob, 'At the gate');
  await bob.getByTestId('back').click();
  await shown(alice, 'At the gate');

  await act(alice, 'At the gate', 'reply');
  await alice.getByTestId('draft').pressSequentially('Which one, @b');
  await alice.getByTestId('mention-choice').filter({ hasText: '@bob' }).click();
  await alice.getByTestId('draft').press('Enter');
  await row.getByTestId('mention-badge').waitFor();
  await shot(bob, 'phone-mention');
  await row.click();
  const answer = message(bob, 'Which one');
  await answer.getByTestId('quote').filter({ hasText: 'At the gate' }).waitFor();
  assert.equal(await answer.locator('.mention.me').textContent(), '@bob');
  await answer.getByTestId('quote').click();
  await bob.locator('.message.hit').filter({ hasText: 'At the gate' }).waitFor();

  await act(alice, 'Where do we meet?', 'pin');
  await message(bob, 'Where do we meet?').getByTestId('pin').waitFor();
  await bob.getByTestId('thread-menu').click();
  await bob.getByTestId('menu').getByTestId('pins').click();
  await bob.getByTestId('list-row').filter({ hasText: 'Where do we meet?' }).click();
  await bob.locator('.message.hit').filter({ hasText: 'Where do we meet?' }).waitFor();

  await newChat(alice, 'carol');
  await say(alice, 'Hello Carol');
  await open(alice, await alice.getByTestId('conversation').filter({ hasText: 'Lunch' }).getAttribute('data-conversation'));
  await act(alice, 'At the gate', 'forward');
  await alice.getByTestId('pick').filter({ hasText: 'carol' }).click();
  await alice.getByTestId('toast').filter({ hasText: 'Forwarded' }).waitFor();
  await open(alice, 'direct:alice:carol');
  await message(alice, 'At the gate').getByTestId('forwarded').filter({ hasText: 'bob' }).waitFor();
  await act(alice, 'Hello Carol', 'delete');
  await message(alice, 'Hello Carol').waitFor({ state: 'detached' });
  await shot(alice, 'forwarded');
  assert.deepEqual(here.complaints, []);
});

test('drafts, mutes and hidden conversations are the same on two devices', async () => {
  const alice = await here.signIn('alice');
  const phone = await here.signIn('alice', { viewport: PHONE });
  const bob = await here.nodeClient('bob');
  await bob.send('user:alice', 'hi').acked;
  const id = 'direct:alice:bob';
  const row = phone.locator(`[data-conversation="${id}"]`);
  await row.waitFor();
  await open(alice, id);
  await alice.getByTestId('draft').fill('half a sen');
  await row.filter({ hasText: 'Draft: half a sen' }).waitFor();
  await alice.getByTestId('thread-menu').click();
  await alice.getByTestId('menu').getByTestId('mute-conversation').click();
  await row.getByTestId('is-mute').waitFor();
  await alice.getByTestId('thread-menu').click();
  await alice.getByTestId('menu').getByTestId('pin-conversation').click();
  await row.getByTestId('is-pin').waitFor();
  await shot(phone, 'phone-settings');
  await alice.getByTestId('thread-menu').click();
  await alice.getByTestId('menu').getByTestId('hide-conversation').click();
  await row.waitFor({ state: 'detached' });
  await bob.send('user:alice', 'are you there?').acked;
  await row.click();
  await phone.getByTestId('draft').waitFor();
  assert.equal(await phone.getByTestId('draft').inputValue(), 'half a sen');
  assert.deepEqual(here.complaints, []);
});

test('a link leads into a group', async () => {
  const alice = await here.signIn('alice');
  const bob = await here.signIn('bob', { viewport: PHONE });
  await alice.getByTestId('new-group').click();
  await alice.getByTestId('group-name').fill('Lunch');
  await alice.getByTestId('group-create').click();
  await alice.getByTestId('system').waitFor();
  await alice.getByTestId('group-info').click();
  await alice.getByTestId('info-link').click();
  await alice.getByTestId('info-address').waitFor();
  const address = await alice.getByTestId('info-address').inputValue();
  await bob.goto(address);
  await bob.getByTestId('join-submit').click();
  await bob.getByTestId('thread-title').filter({ hasText: 'Lunch' }).waitFor();
  await alice.getByTestId('member').nth(1).waitFor();
  await shot(alice, 'group-link');
  assert.deepEqual(here.complaints, []);
});
