/**
 * Answers, mentions, forwards, pins, what is hidden and what expires: the SDK against the real server,
 * on several devices of a user and on those that were away.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heard, reached, refused, serveEach, shown, signIn } from '../support/sdk.js';

serveEach();

const seqs = (client, id) => shown(client, id).map(({ seq }) => seq);

test('replies, mentions and forwards', async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  const { conversation: id } = await alice.groups.create('Lunch', ['bob', 'carol']);
  const { seq } = await alice.send(id, 'Who comes?').acked;
  await alice.send(id, 'You, @bob?', { replyTo: seq, mentions: ['bob'] }).acked;
  await alice.send(id, '@all hurry', { mentionAll: true }).acked;
  await reached(bob, () => shown(bob, id).length === 4);
  const { unread, mentions, mentionSeq } = bob.store.conversation(id);
  assert.deepEqual([unread, mentions, mentionSeq], [3, 2, seq + 1]);
  assert.deepEqual(shown(bob, id).at(-2).replyTo, seq);
  await assert.rejects(bob.send(id, 'no', { mentionAll: true }).acked, refused('not_allowed'));

  await bob.forward('user:dave', id, seq).acked;
  await reached(bob, () => shown(bob, 'direct:bob:dave')[0]?.forwarded);
  const [forwarded] = shown(bob, 'direct:bob:dave');
  assert.deepEqual([forwarded.content, forwarded.forwarded.from], ['Who comes?', 'alice']);

  // A device that has never been there is told of the same.
  const carol = await signIn('carol');
  const view = carol.store.conversation(id);
  assert.deepEqual([view.unread, view.mentions], [3, 1]);
  const dave = await signIn('dave');
  await reached(dave, () => dave.store.conversation('direct:bob:dave') !== null);
  const [entry] = (await dave.history('direct:bob:dave')).entries;
  assert.deepEqual([entry.content, entry.forwarded.from], ['Who comes?', 'alice']);
});

test('pinned for both, deleted for me, cleared, and deleted for all', async () => {
  const alice = await signIn('alice');
  const phone = await signIn('alice', 'alice-2');
  const bob = await signIn('bob');
  const id = 'direct:alice:bob';
  for (const text of ['one', 'two', 'three', 'four']) await bob.send('user:alice', text).acked;
  await reached(phone, () => shown(phone, id).length === 4);
  await bob.messages.pin(id, 2);
  await reached(alice, () => shown(alice, id)[1].pinned);
  const { pins } = await alice.messages.pins(id);
  assert.deepEqual(pins.map(({ seq, by, entry }) => [seq, by, entry.content]), [[2, 'bob', 'two']]);
  await alice.messages.pin(id, 2, false);
  await reached(bob, () => !shown(bob, id)[1].pinned);

  await alice.messages.delete(id, 3);
  await reached(phone, () => shown(phone, id).length === 3);
  await alice.messages.clear(id, 1);
  await reached(phone, () => shown(phone, id).length === 2);
  assert.deepEqual([seqs(alice, id), seqs(phone, id), seqs(bob, id)], [[2, 4], [2, 4], [1, 2, 3, 4]]);
  const again = await signIn('alice', 'alice-3');
  if (shown(again, id).length < 2) await again.loadOlder(id);
  assert.deepEqual(seqs(again, id), [2, 4]);
  assert.equal(again.store.conversation(id).unread, 2);
  assert.deepEqual((await again.history(id)).entries.map(({ seq }) => seq), [2, 4]);
  await phone.messages.clear(id, 1_000);
  await reached(alice, () => shown(alice, id).length === 0);
  await bob.send('user:alice', 'what comes later is shown').acked;
  for (const client of [alice, phone]) await reached(client, () => shown(client, id).length === 1);

  const { conversation: group } = await alice.groups.create('Lunch', ['bob']);
  const { seq } = await bob.send(group, 'spam').acked;
  await assert.rejects(bob.messages.delete(group, seq, { for: 'all' }), refused('not_allowed'));
  await alice.messages.delete(group, seq, { for: 'all' });
  await reached(bob, () => shown(bob, group).at(-1).removed === 'deleted');
  assert.equal(shown(bob, group).at(-1).content, null);
});

test('a message that expires is gone here, there and in history', async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  const id = 'direct:alice:bob';
  await alice.send('user:bob', 'stays').acked;
  const gone = reached(bob, () => shown(bob, id).length === 1 && bob.store.conversation(id).headSeq === 2);
  await alice.send('user:bob', 'burns', { expiresInMs: 1_000 }).acked;
  await reached(bob, () => shown(bob, id).length === 2);
  await gone;
  await reached(alice, () => shown(alice, id).length === 1);
  assert.deepEqual((await bob.history(id)).entries.map(({ content }) => content), ['stays']);
  const again = await signIn('bob', 'bob-2');
  assert.equal(again.store.conversation(id).unread, 1);
});

test('a long history around a hit', async () => {
  const alice = await signIn('alice');
  const id = 'direct:alice:bob';
  const sent = Array.from({ length: 120 }, (_, i) => alice.send('user:bob', `${i + 1}`).acked);
  await Promise.all(sent);
  // Where another device has everything, this one gets only the newest ones by itself.
  const everything = heard(alice, 'receipt', ({ received_seq }) => received_seq === sent.length);
  const first = await signIn('bob', 'bob-1');
  await everything;
  first.close();
  const bob = await signIn('bob', 'bob-2');
  const oldest = bob.store.oldestSeq(id);
  assert.ok(oldest > 20, `not everything at once: from ${oldest}`);
  await bob.showAround(id, 20, 10);
  const view = () => bob.store.conversation(id);
  assert.equal(view().newer, true);
  assert.ok(seqs(bob, id).includes(20));
  while (view().newer) await bob.loadNewer(id, 40);
  while (view().older) await bob.loadOlder(id, 40);
  assert.deepEqual(seqs(bob, id), sent.map((_, i) => i + 1));
});
