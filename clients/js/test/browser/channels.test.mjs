/**
 * Channels against the real server: what was published is seen once and in order, over any number of
 * connections, or a reset says that something is gone.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { refused, serveEach, server, signIn } from '../support/sdk.js';

const directory = mkdtempSync(path.join(tmpdir(), 'hubbub-channels-'));
const file = path.join(directory, 'hubbub.toml');
writeFileSync(
  file,
  `[server]
shards = 2
[namespaces.orders]
subscribe = "everyone"
publish = "everyone"
history = "everyone"
presence = "everyone"
wildcard = "everyone"
history_size = 100
recover = true
track_presence = true
join_leave = true
[namespaces.prices]
subscribe = "everyone"
publish = "everyone"
cache = true
[namespaces.moves]
subscribe = "everyone"
publish = "everyone"
delivery = "volatile"
[namespaces.staff]
publish = "everyone"
`,
);
after(() => rmSync(directory, { recursive: true }));
serveEach({ HUBBUB_CONFIG: file });

/** The data of everything that comes on a channel. */
function collected(channel) {
  const data = [];
  channel.on('publication', (publication) => data.push(publication.data));
  return data;
}

/** Resolves when `done()` holds, which is looked at after each event of the channel. */
const until = (channel, done) =>
  new Promise((resolve) => {
    const stops = [];
    const look = () => {
      if (!done()) return;
      for (const stop of stops) stop();
      resolve(undefined);
    };
    for (const type of ['publication', 'reset', 'joined', 'left']) stops.push(channel.on(type, look));
    look();
  });

test('a subscription holds over reconnects, and nothing is missed or doubled', async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  const [here, there] = [alice.channel('orders:7'), bob.channel('orders:7')];
  const seen = collected(there);
  let resets = 0;
  there.on('reset', () => (resets += 1));
  await there.subscribe();
  for (let n = 1; n <= 3; n += 1) assert.equal((await here.publish({ n })).offset, n);
  await until(there, () => seen.length === 3);
  const { position } = there;
  bob.close();
  for (let n = 4; n <= 6; n += 1) await here.publish({ n });

  // Another run of the application, which knows where it was.
  const again = await signIn('bob', 'bob-2');
  const channel = again.channel('orders:7');
  const rest = collected(channel);
  await channel.subscribe({ position });
  await here.publish({ n: 7 });
  await until(channel, () => rest.length === 4);
  assert.deepEqual([...seen, ...rest].map(({ n }) => n), [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(resets, 0);

  const page = await channel.history({ limit: 2 });
  assert.deepEqual([page.publications.map(({ data }) => data.n), page.more], [[6, 7], true]);
  const twice = await here.publish('once', { clientId: 'p-1' });
  assert.deepEqual(await here.publish('once', { clientId: 'p-1' }), twice);
});

test('a server that was started again has forgotten, and says so', async () => {
  const alice = await signIn('alice');
  const channel = alice.channel('orders:8');
  const seen = collected(channel);
  let resets = 0;
  channel.on('reset', () => (resets += 1));
  await channel.subscribe();
  await channel.publish(1);
  await until(channel, () => seen.length === 1);
  await server.kill();
  await server.resume();
  await until(channel, () => resets === 1);
  await channel.publish(2);
  await until(channel, () => seen.length === 2);
  assert.deepEqual(seen, [1, 2]);
});

test('a cache, a pattern, and what is volatile', async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  await alice.channel('prices:a').publish(7);
  const last = collected(bob.channel('prices:a'));
  await bob.channel('prices:a').subscribe();
  assert.deepEqual(last, [7]);
  const all = bob.channel('orders:eu-*');
  const wide = collected(all);
  await all.subscribe();
  // The homes of the channels hear of the pattern a little later.
  for (let n = 1; wide.length < 3; n += 1) {
    await alice.channel(`orders:us-${n}`).publish('no');
    await alice.channel(`orders:eu-${n}`).publish(n);
    await bob.channel(`orders:eu-${n}`).history();
  }
  assert.ok(wide.every((data) => data !== 'no'));
  const moves = collected(bob.channel('moves:x'));
  await bob.channel('moves:x').subscribe();
  assert.deepEqual(await alice.channel('moves:x').publish([1, 2], { key: 'alice' }), {});
  await until(bob.channel('moves:x'), () => moves.length === 1);
});

test('who is there, who comes and who goes', async () => {
  const alice = await signIn('alice');
  const channel = alice.channel('orders:9');
  const moves = [];
  channel.on('joined', ({ user }) => moves.push(`${user} joined`));
  channel.on('left', ({ user }) => moves.push(`${user} left`));
  await channel.subscribe();
  const bob = await signIn('bob');
  await bob.channel('orders:9').subscribe();
  await until(channel, () => moves.includes('bob joined'));
  const { users, total } = await channel.presence();
  assert.deepEqual([users, total], [[{ user: 'alice', connections: 1 }, { user: 'bob', connections: 1 }], 2]);
  bob.close();
  await until(channel, () => moves.includes('bob left'));
});

test('what is not permitted is refused, and not asked for again', async () => {
  const alice = await signIn('alice');
  const channel = alice.channel('staff:1');
  let ended = 0;
  channel.on('unsubscribed', () => (ended += 1));
  await assert.rejects(channel.subscribe(), refused('not_allowed'));
  await assert.rejects(channel.history(), refused('not_allowed'));
  await assert.rejects(alice.channel('nowhere:1').publish(1), refused('channel_unknown'));
  assert.equal(ended, 1);
});
