/** Friends, blocks, profile and privacy: the SDK against the real server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heard, refused, serveEach, signIn } from '../support/sdk.js';

serveEach();

/** Resolves when `done()` holds, which is looked at after each relation that comes. */
const related = (client, done) => (done() ? Promise.resolve() : heard(client, 'relation', done));

test('friends: asked and accepted on all devices, and blocked', async () => {
  const alice = await signIn('alice');
  const phone = await signIn('alice', 'alice-2');
  const bob = await signIn('bob');
  const asked = heard(bob, 'relation');
  await alice.friends.request('bob', 'It is me');
  assert.deepEqual((({ user, state, note }) => [user, state, note])(await asked), ['alice', 'received', 'It is me']);
  const both = [heard(alice, 'relation', (r) => r.state === 'friend'), heard(phone, 'relation', (r) => r.state === 'friend')];
  await bob.friends.accept('alice');
  await Promise.all(both);
  assert.equal(phone.friends.of('bob').state, 'friend');
  await bob.send('user:alice', 'hello').acked;
  await alice.friends.block('bob');
  await assert.rejects(bob.send('user:alice', 'hello?').acked, refused('refused'));
  await assert.rejects(alice.send('user:bob', 'no').acked, refused('blocked'));

  // A device that was away learns it all at once.
  const tablet = await signIn('alice', 'alice-3');
  await related(tablet, () => tablet.friends.of('bob')?.blocked === true);
  await alice.friends.unblock('bob');
  await alice.friends.remove('bob');
  await related(tablet, () => tablet.friends.list.length === 0);
  await bob.send('user:alice', 'still here').acked;
});

test('one\'s own profile and privacy', async () => {
  const alice = await signIn('alice');
  const phone = await signIn('alice', 'alice-2');
  const told = heard(phone, 'user_updated');
  await alice.people.update({ about: 'On holiday' });
  assert.equal((await told).user.about, 'On holiday');
  await alice.people.setPrivacy({ messages: 'nobody' });
  assert.equal(alice.people.me.privacy.messages, 'nobody');
  const bob = await signIn('bob');
  await assert.rejects(bob.send('user:alice', 'hi').acked, refused('refused'));
  const [seen] = await bob.people.users(['alice', 'nobody-there']);
  assert.deepEqual([seen.id, seen.about], ['alice', 'On holiday']);
  await alice.people.update({ about: null });
  assert.equal(alice.people.me.user.about, undefined);
});
