/**
 * The promise of the SDK, over links that lose, repeat, delay and cut, with a server that restarts:
 * what a client wrote is in the log once and in its order, and what it was given is the log, each
 * entry once, in order; and what it shows is what the log says, with all edits, recalls and reactions.
 * A failing seed is printed; `SEED=n npm test` replays it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../src/client.js';
import { memoryStorage } from '../src/storage.js';
import { seeded, TestClock } from './support/clock.js';
import { FullServer, stateOf } from './support/operations.js';
import { tokenOf } from './support/server.js';

const SEEDS = 300;

const sorted = (reactions) => [...reactions].sort((a, b) => (a.emoji < b.emoji ? -1 : 1));

/** Does something to a message. */
function change({ messages }, id, seq, random) {
  const chance = random();
  if (chance < 0.3) messages.edit(id, seq, `edited ${chance}`);
  else if (chance < 0.4) messages.recall(id, seq);
  else messages.react(id, seq, chance < 0.7 ? '👍' : '🎉', random() < 0.6);
}

async function run(seed) {
  const random = seeded(seed);
  const clock = new TestClock(random);
  const server = new FullServer(clock, {
    random,
    lose: random() * 0.3,
    repeat: random() * 0.3,
    delayMs: random() * 1_500,
    cut: random() * 0.05,
    hide: 0.5,
  });
  server.group('g', ['alice', 'bob', 'ghost']);
  const users = ['alice', 'bob'].map((user) => {
    const storage = memoryStorage();
    const seen = new Map();
    const written = new Map();
    const begin = () => {
      const client = new Client({
        url: 'ws://fake/ws',
        token: tokenOf(user),
        WebSocket: server.WebSocket,
        clock,
        storage,
        logger: { warn: (...args) => { throw args[1]; } },
        reconnect: { attempts: Infinity },
      });
      client.on('entry', (entry) => {
        const list = seen.get(entry.conversation) ?? [];
        seen.set(entry.conversation, list);
        list.push(entry.seq);
      });
      client.on('conversation', (change) => {
        if (!change.reset) return;
        seen.set(change.conversation, []);
      });
      client.connect();
      return client;
    };
    return { user, client: begin(), seen, written, begin };
  });
  let n = 0;
  for (let round = 0; round < 60; round += 1) {
    const actor = users[Math.floor(random() * 2)];
    const chance = random();
    if (chance < 0.6) {
      const to = random() < 0.5 ? 'group:g' : `user:${actor.user === 'alice' ? 'bob' : 'alice'}`;
      const { clientId } = actor.client.send(to, `${(n += 1)}`);
      const list = actor.written.get(to) ?? [];
      actor.written.set(to, [...list, clientId]);
    } else if (chance < 0.7) {
      const known = [...server.conversations.values()].filter((c) => c.members.includes(actor.user));
      const c = known[Math.floor(random() * known.length)];
      const targets = c?.entries.filter(({ type }) => type === 'message') ?? [];
      if (targets.length > 0) change(actor.client, c.id, targets[Math.floor(random() * targets.length)].seq, random);
    } else if (chance < 0.75) {
      server.write('ghost', { to: 'group:g', content: 'x', client_id: `ghost-${round}` });
    } else if (chance < 0.8) {
      server.cutAll();
    } else if (chance < 0.83) {
      server.up = !server.up;
      if (!server.up) server.cutAll();
    } else if (chance < 0.86) {
      // The application restarts: what it had not sent is in the storage.
      actor.client.close();
      actor.seen.clear();
      actor.client = actor.begin();
    }
    await clock.advance(random() * 900);
  }
  server.up = true;
  server.link.cut = 0;
  const allSeen = ({ user, client }) =>
    [...server.conversations.values()].every(
      (c) => !c.members.includes(user) || client.position().cursors[c.id] === c.entries.length,
    );
  const nothingPending = ({ client }) =>
    client.store
      .getSnapshot()
      .conversations.every((c) => client.store.conversation(c.id).messages.every((m) => m.seq !== null));
  const quiet = () => users.every((actor) => allSeen(actor) && nothingPending(actor));
  for (let i = 0; i < 60 && !quiet(); i += 1) {
    await clock.advance(15_000);
    for (const socket of server.sockets) if (socket.synced) server.ping(socket);
  }
  assert.ok(quiet(), 'everything arrives in the end');

  for (const { user, seen, written, client } of users) {
    for (const [to, ids] of written) {
      const id = to.startsWith('user:') ? 'direct:alice:bob' : to;
      const mine = server.conversations.get(id).entries.filter((e) => e.from === user && e.type === 'message');
      assert.deepEqual(mine.map((e) => e.client_id), ids, `${user} → ${to}: written once, in order`);
    }
    for (const c of server.conversations.values()) {
      if (!c.members.includes(user)) continue;
      const got = seen.get(c.id) ?? [];
      const visible = c.entries.map((e) => e.seq).filter((seq) => !c.voids.has(seq));
      assert.deepEqual(got, visible.slice(visible.length - got.length), `${user} in ${c.id}`);
      const shown = client.store.conversation(c.id)?.messages ?? [];
      const messages = got.filter((seq) => c.entries[seq - 1].type === 'message');
      assert.deepEqual(shown.map((m) => m.seq), messages, `${user} is shown ${c.id}`);
      for (const message of shown) {
        const { content, removed = null, reactions = [] } = stateOf(c.entries, message.seq, user);
        assert.deepEqual([message.content, message.removed], [content, removed], `${user} in ${c.id}: ${message.seq}`);
        assert.deepEqual(sorted(message.reactions), sorted(reactions), `${user} in ${c.id}: ${message.seq}`);
      }
    }
    client.close();
  }
  return n;
}

test('exactly once and in order over lossy links', async (t) => {
  const only = process.env.SEED;
  const seeds = only ? [Number(only)] : Array.from({ length: SEEDS }, (_, i) => i + 1);
  let messages = 0;
  for (const seed of seeds) {
    try {
      messages += await run(seed);
    } catch (error) {
      error.message = `SEED=${seed}: ${error.message}`;
      throw error;
    }
  }
  t.diagnostic(`${seeds.length} seeds, ${messages} messages`);
  assert.ok(messages > 0);
});
