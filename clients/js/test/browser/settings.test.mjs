/**
 * What users keep about conversations, who got and read what, and links to groups: the SDK against the
 * real server.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heard, reached, refused, serveEach, shown, signIn } from '../support/sdk.js';

serveEach();

test('settings of a conversation, on all devices', async () => {
  const alice = await signIn('alice');
  const phone = await signIn('alice', 'alice-2');
  const bob = await signIn('bob');
  const id = 'direct:alice:bob';
  await bob.send('user:alice', 'hi').acked;
  await reached(phone, () => shown(phone, id).length === 1);
  await reached(alice, () => shown(alice, id).length === 1);
  const until = Date.now() + 60_000;
  const settings = ({ pinned, mutedUntil, hidden, draft }) => [pinned, mutedUntil, hidden, draft];
  await alice.settings.update(id, { pinned: true, muted_until: until, hidden: true, draft: 'half a' });
  await reached(phone, () => phone.store.conversation(id).hidden);
  assert.deepEqual(settings(phone.store.conversation(id)), [true, until, true, 'half a']);
  const tablet = await signIn('alice', 'alice-3');
  assert.deepEqual(settings(tablet.store.conversation(id)), [true, until, true, 'half a']);
  await bob.send('user:alice', 'hey').acked;
  for (const client of [alice, phone, tablet]) {
    await reached(client, () => !client.store.conversation(id).hidden);
  }
  await phone.settings.unmute(id);
  await phone.settings.draft(id, '');
  await reached(alice, () => alice.store.conversation(id).mutedUntil === null);
  await reached(alice, () => alice.store.conversation(id).draft === '');
  alice.read(id, 2);
  await alice.settings.markUnread(id);
  await reached(phone, () => phone.store.conversation(id).markedUnread);
  phone.read(id, 2);
  await reached(alice, () => !alice.store.conversation(id).markedUnread);
  const again = await signIn('alice', 'alice-4');
  assert.deepEqual(settings(again.store.conversation(id)), [true, null, false, '']);
});

test('receipts: asked for with a message, and asked afterwards', async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  const { conversation: id } = await alice.groups.create('Lunch', ['bob', 'carol']);
  const read = heard(alice, 'message_receipt', ({ status }) => status === 'read');
  const { clientId, acked } = alice.send(id, 'Noon', { receipt: true });
  const { seq } = await acked;
  await reached(bob, () => bob.store.conversation(id)?.headSeq === seq);
  bob.read(id, seq);
  const told = await read;
  assert.deepEqual([told.conversation, told.seq, told.client_id, told.user], [id, seq, clientId, 'bob']);
  const { received, read: readBy, total, members } = await alice.messages.receipts(id, seq);
  assert.deepEqual([received, readBy, total], [1, 1, 2]);
  assert.deepEqual(members.map(({ user, read_seq }) => [user, read_seq >= seq]).sort(), [['bob', true], ['carol', false]]);
});

test('a link to a group lets in until it is revoked', async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  const { group, conversation } = await alice.groups.create('Lunch');
  await assert.rejects(bob.groups.join(group), refused('not_allowed'));
  const { link } = await alice.groups.createLink(group, { usesMax: 2 });
  await bob.groups.join(group, { link });
  await reached(bob, () => bob.store.conversation(conversation)?.member === true);
  const [{ link: name, uses_left }] = (await alice.groups.links(group)).links;
  assert.equal(uses_left, 1);
  await alice.groups.revokeLink(group, name);
  const carol = await signIn('carol');
  await assert.rejects(carol.groups.join(group, { link }), refused('link_invalid'));
});
