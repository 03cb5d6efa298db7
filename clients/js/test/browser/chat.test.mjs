/**
 * The chat page in Chromium against the real server: two people chat, the server is killed and comes
 * back, and nothing is lost, doubled or out of order. Screenshots go to `out/`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bench, marked, newChat, online, open, PHONE, say, shot, shows } from '../support/browser.js';

const here = bench();

test('two people chat, the server is killed, and nothing is lost, doubled or out of order', async () => {
  const alice = await here.signIn('alice');
  const bob = await here.signIn('bob', { colorScheme: 'dark' });
  const id = 'direct:alice:bob';

  await newChat(alice, 'bob');
  await say(alice, 'Hello Bob!', 'Two lines,\nand <b>no bold</b>.');
  await marked(alice, 'delivered');
  const badge = bob.locator(`[data-conversation="${id}"]`).getByTestId('unread');
  await badge.waitFor();
  await bob.waitForFunction(() => document.title === '(2) Hubbub');
  assert.equal(await badge.textContent(), '2');

  await open(bob, id);
  await bob.getByTestId('separator').waitFor();
  await badge.waitFor({ state: 'hidden' });
  await marked(alice, 'read');
  await say(bob, 'Hello Alice!');
  const before = ['Hello Bob!', 'Two lines,\nand <b>no bold</b>.', 'Hello Alice!'];
  await shows(alice, before);

  await bob.getByTestId('draft').pressSequentially('I am');
  await alice.getByTestId('typing').filter({ hasText: 'bob is typing' }).waitFor();
  await shot(alice, 'typing');
  await bob.getByTestId('draft').fill('');

  await here.server.kill();
  for (const page of [alice, bob]) await page.getByTestId('banner').waitFor();
  const fromAlice = Array.from({ length: 5 }, (_, i) => `alice, written offline ${i + 1}`);
  const fromBob = Array.from({ length: 3 }, (_, i) => `bob, written offline ${i + 1}`);
  await say(alice, ...fromAlice);
  await say(bob, ...fromBob);
  await shows(alice, [...before, ...fromAlice]);
  const pending = alice.locator('[data-testid=message][data-state=pending]');
  assert.equal(await pending.count(), fromAlice.length);
  await shot(alice, 'offline');

  await here.server.resume();
  for (const page of [alice, bob]) {
    // The page comes back by itself; somebody impatient presses the button.
    await page.getByTestId('banner-action').click({ timeout: 1_000 }).catch(() => {});
    await online(page);
    await page.getByTestId('banner').waitFor({ state: 'hidden' });
  }
  await marked(alice, 'read');
  await marked(bob, 'read');
  const texts = (page) =>
    page.getByTestId('text').evaluateAll((all) => all.map((p) => p.textContent));
  const atAlice = await texts(alice);
  assert.deepEqual(await texts(bob), atAlice, 'both see the same, in the same order');
  assert.deepEqual(atAlice.slice(0, before.length), before);
  assert.deepEqual(atAlice.filter((text) => text.startsWith('alice,')), fromAlice);
  assert.deepEqual(atAlice.filter((text) => text.startsWith('bob,')), fromBob);
  assert.equal(atAlice.length, before.length + fromAlice.length + fromBob.length);

  await alice.reload();
  await online(alice);
  await open(alice, id);
  await shows(alice, atAlice);
  await shot(alice, 'desktop');
  await shot(bob, 'dark');
  assert.deepEqual(here.complaints, []);
});

test('what was written offline survives closing the page', async () => {
  const alice = await here.signIn('alice');
  await newChat(alice, 'bob');
  await say(alice, 'first');
  await marked(alice, 'sent');
  await here.server.kill();
  await alice.getByTestId('banner').waitFor();
  await say(alice, 'second', 'third');
  const kept = await alice.context().storageState();
  await alice.close();
  await here.server.resume();
  await here.signIn('alice', { storageState: kept });
  const bob = await here.signIn('bob');
  await open(bob, 'direct:alice:bob');
  await shows(bob, ['first', 'second', 'third']);
  assert.deepEqual(here.complaints, []);
});

test('a long history is read page by page, and the place is kept', async () => {
  const bob = await here.nodeClient('bob');
  const count = 170;
  const texts = Array.from({ length: count }, (_, i) => `message ${i + 1}`);
  const sent = texts.map((text) => bob.send('user:alice', text).acked);
  const seqs = (await Promise.all(sent)).map(({ seq }) => seq);
  assert.deepEqual(seqs, texts.map((_, i) => i + 1), 'in order');

  // Another device of hers has everything: the page gets only the newest ones by itself.
  const phone = await here.nodeClient('alice');
  await new Promise((all) => bob.on('receipt', (r) => r.received_seq === count && all(undefined)));
  phone.close();

  const alice = await here.signIn('alice', { viewport: PHONE });
  await open(alice, 'direct:alice:bob');
  await alice.getByTestId('message').first().waitFor();
  assert.ok((await alice.getByTestId('message').count()) < count, 'not everything at once');
  assert.equal(await alice.title(), '(99+) Hubbub', 'what was not seen is not read');
  const scroller = alice.getByTestId('scroller');
  let pages = 0;
  for (; pages < 10; pages += 1) {
    const first = alice.getByTestId('message').first();
    const key = await first.getAttribute('data-key');
    if ((await first.getAttribute('data-seq')) === '1') break;
    const moved = await scroller.evaluate(async (element, topKey) => {
      element.scrollTop = 0;
      const top = () => element.querySelector(`[data-key="${topKey}"]`).getBoundingClientRect().top;
      const before = top();
      while (element.querySelector('.message').dataset.key === topKey) {
        await new Promise((drawn) => requestAnimationFrame(drawn));
      }
      return Math.abs(top() - before);
    }, key);
    assert.ok(moved < 2, `what was at the top moved by ${moved} pixels`);
  }
  assert.ok(pages >= 2, `${pages} pages`);
  await shows(alice, texts);
  await scroller.evaluate((element) => (element.scrollTop = 0));
  await alice.getByTestId('older').waitFor();
  await shot(alice, 'history');

  await bob.send('user:alice', 'the last one').acked;
  await shows(alice, [...texts, 'the last one']);
  assert.ok((await scroller.evaluate((element) => element.scrollTop)) < 500, 'the place is kept');
  await alice.getByTestId('jump').click();
  await alice.getByText('the last one').last().waitFor();
  await alice.waitForFunction(() => document.title === 'Hubbub');
  assert.deepEqual(here.complaints, []);
});

test('groups, in Chinese, on a phone', async () => {
  const alice = await here.signIn('alice', { viewport: PHONE, locale: 'zh-CN' });
  const bob = await here.signIn('bob');
  assert.equal(await alice.getByTestId('new-group').textContent(), '新群组');
  await alice.getByTestId('new-group').click();
  await alice.getByTestId('group-name').fill('午饭');
  await alice.getByTestId('group-members').fill('bob,carol');
  await alice.getByTestId('group-create').click();
  await alice.getByTestId('thread-title').filter({ hasText: '午饭' }).waitFor();
  await alice.getByTestId('system').filter({ hasText: '你创建了群组“午饭”' }).waitFor();
  await say(alice, '中午吃什么?');

  const row = bob.getByTestId('conversation').filter({ hasText: '午饭' });
  await row.filter({ hasText: 'alice: 中午吃什么?' }).waitFor();
  await row.click();
  await say(bob, 'Noodles!');
  await bob.getByTestId('group-info').click();
  await bob.getByTestId('member').nth(2).waitFor();
  assert.equal(await bob.getByTestId('info-count').textContent(), '3 members');
  assert.equal(await bob.getByTestId('invite').isVisible(), false, 'a member does not invite');
  await shot(bob, 'group-info');
  await bob.getByTestId('leave').click();
  await bob.getByTestId('not-member').waitFor();

  await alice.getByTestId('system').filter({ hasText: 'bob退出了群组' }).waitFor();
  await shows(alice, ['中午吃什么?', 'Noodles!']);
  await alice.getByTestId('group-info').click();
  await alice.getByTestId('invite-users').fill('dave、erin');
  await alice.getByTestId('invite').click();
  await alice.getByTestId('member').nth(3).waitFor();
  await alice.keyboard.press('Escape');
  await alice.getByTestId('system').filter({ hasText: '你邀请了dave, erin' }).waitFor();
  await shot(alice, 'phone-chinese');

  // Enter that chooses a candidate of an input method sends nothing.
  await alice.getByTestId('draft').fill('nihao');
  await alice.getByTestId('draft').evaluate((box) => {
    box.dispatchEvent(new CompositionEvent('compositionstart', { bubbles: true }));
    box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
    box.dispatchEvent(new CompositionEvent('compositionend', { bubbles: true }));
  });
  assert.equal(await alice.getByTestId('draft').inputValue(), 'nihao');

  await alice.getByTestId('back').click();
  await alice.getByTestId('conversation').first().waitFor();
  await shot(alice, 'phone-list');
  await alice.getByTestId('settings').click();
  await alice.getByTestId('settings-dialog').getByTestId('language').click();
  await alice.keyboard.press('Escape');
  assert.equal(await alice.getByTestId('new-group').textContent(), 'New group');
  const width = await alice.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= PHONE.width, `nothing sticks out: ${width}`);
  assert.deepEqual(here.complaints, []);
});

test('signing in says what is wrong, and signing out ends it', async () => {
  const alice = await here.signIn('alice');
  await alice.getByTestId('settings').click();
  await alice.getByTestId('signout').click();
  await alice.getByTestId('signin-name').fill('not a name');
  await alice.getByTestId('signin-submit').click();
  await alice.getByTestId('signin-error').filter({ hasText: 'without spaces' }).waitFor();
  await alice.getByTestId('signin-mode').click();
  await alice.getByTestId('signin-token').fill('not-a-token');
  await alice.getByTestId('signin-submit').click();
  await alice.getByTestId('signin-error').filter({ hasText: 'did not accept' }).waitFor();
  await alice.getByTestId('signin-token').fill(await here.server.token('carol'));
  await alice.getByTestId('signin-submit').click();
  await online(alice);
  assert.equal(await alice.getByTestId('me').textContent(), 'carol');
  await alice.reload();
  await online(alice);
  assert.equal(await alice.getByTestId('me').textContent(), 'carol');
  assert.deepEqual(here.complaints, []);
});
