/**
 * The SDK against the real server, subject by subject: what one client does, the others are told, and
 * a device that was offline finds it after its sync.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heard, reached, refused, serveEach, server, shown, signIn } from '../support/sdk.js';

serveEach({ HUBBUB_PUSH_SEND: 'everyone', HUBBUB_PRESENCE_GRACE_MS: '50' });

const same = ({ seq, content, removed, reactions, pinned, editedAt }) => ({
  seq,
  content,
  removed,
  reactions,
  pinned,
  edited: editedAt !== null,
});

test('edit, react and recall: live, by sync and by history', async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  const id = 'direct:alice:bob';
  await alice.send('user:bob', 'helo').acked;
  await alice.send('user:bob', 'oops').acked;
  await reached(bob, () => shown(bob, id).length === 2);
  bob.close();

  await alice.messages.edit(id, 1, 'hello');
  await alice.messages.react(id, 1, '👍');
  await alice.messages.react(id, 1, '🎉');
  await alice.messages.react(id, 1, '🎉', false);
  await alice.messages.recall(id, 2);
  const wanted = [
    { seq: 1, content: 'hello', removed: null, pinned: false, edited: true },
    { seq: 2, content: null, removed: 'recalled', pinned: false, edited: false, reactions: [] },
  ];
  const thumb = (mine) => [{ emoji: '👍', count: 1, users: ['alice'], mine }];
  await reached(alice, () => shown(alice, id)[1]?.removed === 'recalled');
  assert.deepEqual(shown(alice, id).map(same), [{ ...wanted[0], reactions: thumb(true) }, wanted[1]]);

  // A device that was offline, and one that has never been there.
  for (const options of [{ position: bob.position() }, {}]) {
    const again = await signIn('bob', 'bob-2', options);
    if (shown(again, id).length < 2) await again.loadOlder(id);
    await reached(again, () => shown(again, id)[1]?.removed === 'recalled');
    assert.deepEqual(shown(again, id).map(same), [{ ...wanted[0], reactions: thumb(false) }, wanted[1]]);
    assert.equal(again.store.conversation(id).unread, 1);
    again.close();
  }
  const { versions } = await alice.messages.edits(id, 1);
  assert.deepEqual(versions.map(({ content }) => content), ['helo', 'hello']);
  const { reactions } = await alice.messages.reactions(id, 1);
  assert.deepEqual(reactions.map(({ emoji, user }) => [emoji, user]), [['👍', 'alice']]);
  await assert.rejects(alice.messages.edit(id, 2, 'too late'), refused('removed'));
});

test('a group: asking and approving, announcing, muting, banning, handing over', async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  const { group, conversation } = await alice.groups.create('Lunch', [], { join: 'approval' });
  const asked = heard(alice, 'group_request');
  assert.deepEqual(await bob.groups.join(group, { note: 'me too' }), { requested: true });
  assert.deepEqual(((r) => [r.user, r.note, r.state])(await asked), ['bob', 'me too', 'pending']);
  const { requests } = await alice.groups.requests(group);
  assert.deepEqual(requests.map(({ user, note }) => [user, note]), [['bob', 'me too']]);
  await alice.groups.approve(group, 'bob');
  await reached(bob, () => bob.store.conversation(conversation)?.member === true);

  await alice.groups.announce(group, 'Noodles at noon');
  await reached(bob, () => bob.store.conversation(conversation).announcement === 'Noodles at noon');
  await alice.groups.mute(group, { user: 'bob', until: Date.now() + 60_000 });
  await reached(bob, () => bob.store.conversation(conversation).muted !== null);
  await assert.rejects(bob.send(conversation, 'mmh').acked, (error) => error.reason === 'muted' && error.until > 0);
  await alice.groups.mute(group, { user: 'bob', muted: false });
  await alice.groups.mute(group);
  await reached(bob, () => bob.store.conversation(conversation).allMuted !== null);
  await assert.rejects(bob.send(conversation, 'mmh').acked, refused('muted'));
  await alice.groups.mute(group, { muted: false });
  await bob.send(conversation, 'at last').acked;

  const again = await signIn('bob', 'bob-2');
  const { announcement, muted, allMuted, role } = again.store.conversation(conversation);
  assert.deepEqual([announcement, muted, allMuted, role], ['Noodles at noon', null, null, 'member']);

  await alice.groups.ban(group, 'bob');
  await reached(bob, () => bob.store.conversation(conversation).member === false);
  await assert.rejects(bob.groups.join(group), refused('banned'));
  assert.deepEqual((await alice.groups.bans(group)).bans.map(({ user, by }) => [user, by]), [['bob', 'alice']]);
  await alice.groups.unban(group, 'bob');
  await alice.groups.update(group, { join: 'open' });
  await bob.groups.join(group);
  await reached(bob, () => bob.store.conversation(conversation).member === true);
  await alice.groups.transfer(group, 'bob');
  await reached(bob, () => bob.store.conversation(conversation).role === 'owner');
  await reached(alice, () => alice.store.conversation(conversation).role === 'admin');
  await bob.groups.dissolve(group);
  await reached(alice, () => alice.store.conversation(conversation).member === false);
});

test('pushes: durable ones also later and once, volatile ones now', async () => {
  const shop = await signIn('shop');
  const alice = await signIn('alice');
  const live = heard(alice, 'push:order_update');
  const { written } = await shop.push('user:alice', 'order_update', { order: 17 });
  assert.deepEqual(written.map(({ conversation, seq }) => [conversation, seq]), [['system:user:alice', 1]]);
  const { data, from, seq } = await live;
  assert.deepEqual([data, from, seq], [{ order: 17 }, 'shop', 1]);
  const cursor = heard(alice, 'push:cursor');
  await shop.push(['user:alice', 'user:bob'], 'cursor', [4, 17], { durable: false });
  const volatile = await cursor;
  assert.deepEqual([volatile.data, volatile.conversation], [[4, 17], undefined]);

  await shop.push(['user:alice', 'user:bob'], 'notification', 'Back at nine');
  const bob = await signIn('bob');
  await reached(bob, () => shown(bob, 'system:user:bob').length === 1);
  const [kept] = shown(bob, 'system:user:bob');
  assert.deepEqual([kept.kind, kept.content], ['push:notification', 'Back at nine']);
  assert.equal(bob.store.conversation('system:user:bob').unread, 1);
  bob.read('system:user:bob', 1);
  assert.equal(bob.store.conversation('system:user:bob').unread, 0);
});

test('presence: told to who watches, also after a reconnection, and not of the invisible', async () => {
  const alice = await signIn('alice', 'alice-1', { reconnect: { baseMs: 20, maxMs: 100, attempts: Infinity } });
  const status = (is) => heard(alice, 'online_status', () => alice.presence.of('bob')?.status === is);
  await alice.presence.watch(['bob']);
  assert.equal(alice.presence.of('bob').status, 'offline');
  const online = status('online');
  const bob = await signIn('bob', 'bob-1', { deviceKind: 'web' });
  await online;
  for (const [set, seen] of [['busy', 'busy'], ['invisible', 'offline'], ['online', 'online']]) {
    const told = status(seen);
    await bob.presence.set(/** @type {any} */ (set));
    await told;
  }
  const offline = status('offline');
  bob.close();
  await offline;
  assert.ok(alice.presence.of('bob').last_seen > 0);

  await server.kill();
  await server.resume();
  await heard(alice, 'synced');
  const again = status('online');
  await signIn('bob', 'bob-1');
  await again;
});
