/**
 * The SDK against the real server, which is killed while everybody sends: afterwards every client has
 * been given exactly what the server's history holds, and everything that was sent is in it once, in
 * the sender's order.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../../src/index.js';
import { NodeWebSocket } from '../../src/node-websocket.js';
import { Server } from '../support/binary.js';

const ROUNDS = 8;
const PER_ROUND = 100;
const USERS = ['alice', 'bob', 'carol'];

/** Resolves when `done()` holds, which is looked at after each of the client's events. */
function reached(client, done) {
  return new Promise((resolve) => {
    const look = () => done() && (stop(), resolve(undefined));
    const stop = client.store.subscribe(look);
    look();
  });
}

test('killed while everybody sends: what was acked is there, once and in order', async (t) => {
  const server = await Server.start();
  const actors = [];
  t.after(async () => {
    for (const { client } of actors) client.close();
    await server.end();
  });
  for (const user of USERS) {
    const client = new Client({
      url: server.url,
      token: await server.token(user),
      WebSocket: NodeWebSocket,
      storage: null,
      device: `node-${user}`,
      reconnect: { baseMs: 20, maxMs: 100, attempts: Infinity },
    });
    const seen = new Map();
    client.on('entry', ({ conversation, seq }) => {
      seen.set(conversation, [...(seen.get(conversation) ?? []), seq]);
    });
    client.on('conversation', ({ conversation, reset }) => reset && seen.set(conversation, []));
    client.connect();
    actors.push({ user, client, seen, sent: new Map() });
  }
  const { conversation: group } = await actors[0].client.groups.create('All', USERS.slice(1));
  await Promise.all(actors.map(({ client }) => reached(client, () => client.store.conversation(group)?.headSeq > 0)));

  const acks = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { user, client, sent } of actors) {
      for (let i = 0; i < PER_ROUND; i += 1) {
        const to = i % 2 ? group : client.open(USERS.find((other) => other !== user));
        const { clientId, acked } = client.send(to, `${user} ${round} ${i}`);
        sent.set(to, [...(sent.get(to) ?? []), clientId]);
        acks.push(acked);
      }
    }
    // In the middle: some are acked, some on the way, some not sent yet.
    await acks[acks.length - 3 * PER_ROUND + round * 7];
    await server.kill();
    await server.resume();
  }
  const written = await Promise.all(acks);

  const heads = new Map();
  for (const { conversation, seq } of written) {
    heads.set(conversation, Math.max(seq, heads.get(conversation) ?? 0));
  }
  for (const { user, client, seen, sent } of actors) {
    const mine = [...heads].filter(([id]) => id === group || id.split(':').includes(user));
    for (const [id, head] of mine) {
      await reached(client, () => client.store.conversation(id)?.messages.at(-1)?.seq >= head);
      const entries = [];
      for (let more = true, after = 0; more; after = entries.at(-1).seq) {
        const page = await client.history(id, { after, limit: 200 });
        entries.push(...page.entries);
        more = page.more;
      }
      assert.deepEqual(entries.map((e) => e.seq), entries.map((_, i) => i + 1), `${id} is dense`);
      assert.deepEqual(seen.get(id), entries.map((e) => e.seq), `${user} was given ${id}`);
      const own = entries.filter((e) => e.from === user && e.type === 'message').map((e) => e.client_id);
      assert.deepEqual(own, sent.get(id) ?? [], `${user} → ${id}: once, in order`);
    }
  }
  const repeated = written.filter(({ duplicate }) => duplicate).length;
  t.diagnostic(`${ROUNDS} kills, ${written.length} messages, ${repeated} acks had been lost`);
});
