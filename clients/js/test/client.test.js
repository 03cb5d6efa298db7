import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../src/client.js';
import { memoryStorage, webStorage } from '../src/storage.js';
import { TestClock, seeded, settle } from './support/clock.js';
import { FakeServer, tokenOf } from './support/server.js';
import { start } from './support/start.js';

const texts = (entries) => entries.map((entry) => entry.content);

test('two users chat, and both see the same', async () => {
  const { client: alice, server, clock, received: atAlice } = await start();
  const { client: bob, received: atBob } = await start({ user: 'bob', server, clock });
  const { acked } = alice.send('user:bob', 'hi');
  await clock.until(() => atBob.length === 1 && atAlice.length === 1);
  assert.deepEqual(await clock.finish(acked).then(({ conversation, seq, duplicate }) => ({ conversation, seq, duplicate })), {
    conversation: 'direct:alice:bob',
    seq: 1,
    duplicate: false,
  });
  bob.send('direct:alice:bob', { any: ['json', 1] }, { kind: 'custom:x' });
  await clock.until(() => atAlice.length === 2 && atBob.length === 2);
  assert.deepEqual(texts(atAlice), ['hi', { any: ['json', 1] }]);
  assert.deepEqual(texts(atBob), texts(atAlice));
  assert.equal(atAlice[1].from, 'bob');
});

test('an ack that got lost: the same client id again, and written once', async () => {
  const { client, server, clock, received } = await start();
  server.refuse = (command) => (command.type === 'send' ? (server.write('alice', command.payload), 'silence') : null);
  const { clientId, acked } = client.send('user:bob', 'hi');
  await clock.until(() => server.sends.length === 1);
  server.refuse = (command) => (command.type === 'sync' ? { reason: 'overloaded', code: 503, retry: true } : null);
  server.cutAll();
  await clock.until(() => server.sends.length === 2);
  const ack = await clock.finish(acked);
  server.refuse = () => null;
  await clock.until(() => received.length > 0);
  assert.equal(ack.duplicate, true);
  assert.deepEqual(server.sends.map((c) => c.payload.client_id), [clientId, clientId]);
  assert.equal(server.conversations.get('direct:alice:bob').entries.length, 1);
  assert.deepEqual(texts(received), ['hi']);
});

test('what is written offline is sent in order, once there is a connection', async () => {
  const clock = new TestClock(seeded(3));
  const server = new FakeServer(clock);
  server.up = false;
  const { client } = await start({ clock, server, connect: false });
  client.connect();
  const sent = Array.from({ length: 100 }, (_, i) => client.send(i % 2 ? 'user:bob' : 'user:carol', i));
  await clock.advance(20_000);
  assert.equal(client.store.conversation('direct:alice:bob').messages.filter((m) => m.state === 'pending').length, 50);
  server.up = true;
  await clock.until(() => server.conversations.get('direct:alice:bob')?.entries.length === 50);
  await clock.finish(Promise.all(sent.map(({ acked }) => acked)));
  for (const [id, rest] of [['direct:alice:bob', 1], ['direct:alice:carol', 0]]) {
    const wanted = Array.from({ length: 50 }, (_, i) => 2 * i + Number(rest));
    assert.deepEqual(texts(server.conversations.get(id).entries), wanted);
  }
  const most = Math.max(...server.sends.map((c) => server.sends.filter((d) => d.at === c.at).length));
  assert.ok(most > 1, 'several are in flight');
});

test('never more in flight than the server announced', async () => {
  const clock = new TestClock(seeded(4));
  const server = new FakeServer(clock, { random: seeded(4), delayMs: 100 });
  server.limits = { ...server.limits, commands_in_flight: 12 };
  const { client } = await start({ clock, server });
  let inFlight = 0;
  let most = 0;
  server.refuse = (command) => {
    if (command.type !== 'send') return null;
    inFlight += 1;
    most = Math.max(most, inFlight);
    clock.setTimeout(() => (inFlight -= 1), 300);
    return null;
  };
  for (let i = 0; i < 60; i += 1) client.send('user:bob', i);
  await clock.until(() => server.conversations.get('direct:alice:bob')?.entries.length === 60);
  assert.ok(most >= 2 && most <= 12, `${most}`);
});

test('a refusal for good fails the promise and shows; the next one goes on', async () => {
  const { client, server, clock } = await start();
  server.refuse = ({ type, payload }) =>
    type === 'send' && payload.content === 'bad' ? { code: 403, reason: 'not_allowed', retry: false } : null;
  const bad = client.send('user:bob', 'bad');
  const good = client.send('user:bob', 'good');
  await clock.until(() => server.conversations.get('direct:alice:bob')?.entries.length === 1);
  await assert.rejects(clock.finish(bad.acked), { reason: 'not_allowed', code: 403, retry: false });
  assert.equal((await clock.finish(good.acked)).seq, 1);
  const failed = client.store.conversation('direct:alice:bob').messages.find((m) => m.state === 'failed');
  assert.deepEqual([failed.content, failed.error], ['bad', 'not_allowed']);
  server.refuse = () => null;
  const again = client.retry(bad.clientId);
  assert.notEqual(again.clientId, bad.clientId);
  assert.equal((await clock.finish(again.acked)).seq, 2);
});

test('a refusal for now is tried again, when the server says', async () => {
  const { client, server, clock } = await start();
  let refusals = 2;
  server.refuse = ({ type }) =>
    type === 'send' && refusals-- > 0
      ? { code: 429, reason: 'rate_limited', retry: true, retry_after_ms: 2_000 }
      : null;
  const begun = clock.now();
  const { acked } = client.send('user:bob', 'hi');
  await clock.until(() => server.conversations.has('direct:alice:bob'));
  assert.equal((await clock.finish(acked)).seq, 1);
  assert.ok(clock.now() - begun >= 4_000);
  assert.equal(new Set(server.sends.map((c) => c.payload.client_id)).size, 1);
});

test('too big for the server fails here', async () => {
  const { client, clock } = await start();
  await assert.rejects(clock.finish(client.send('user:bob', 'x'.repeat(70_000)).acked), { reason: 'too_big' });
});

test('close codes: stop, or come again', async () => {
  const check = async (code, name, reason) => {
    const { client, server, clock } = await start();
    server.cutAll(code);
    await clock.advance(0);
    assert.equal(client.state.name, name, `${code}`);
    if (reason) assert.equal(/** @type {any} */ (client.state).reason, reason);
    client.close();
  };
  for (const code of [4003, 4005, 1008, 1009]) await check(code, 'closed');
  await check(4001, 'closed', 'unauthorized');
  await check(4004, 'closed', 'token_expired');
  for (const code of [1001, 1006, 4002, 4006, 4008, 4009, 4010]) await check(code, 'reconnecting');
});

test('an expired token is replaced, and one about to expire refreshed', async () => {
  const reasons = [];
  const clock = new TestClock();
  const server = new FakeServer(clock);
  const { client } = await start({
    clock,
    server,
    getToken: async (reason) => {
      reasons.push(reason);
      return tokenOf('alice');
    },
  });
  for (const socket of server.sockets) socket.deliver({ type: 'token_expiring', payload: { expires_at: 1 } });
  await clock.until(() => server.log.some((command) => command.type === 'refresh'));
  server.cutAll(4004);
  await clock.until(() => client.state.name === 'reconnecting');
  await clock.until(() => client.state.name === 'online');
  assert.deepEqual(reasons, ['connect', 'expiring', 'expired']);
});

test('a server that leaves says when to come back', async () => {
  const { client, server, clock } = await start();
  for (const socket of server.sockets) {
    socket.deliver({ type: 'bye', payload: { reconnect: true, retry_after_ms: 7_000 } });
  }
  await clock.advance(10);
  server.cutAll(1001);
  await clock.until(() => client.state.name === 'reconnecting');
  const state = /** @type {any} */ (client.state);
  assert.ok(state.at - clock.now() >= 7_000 && state.at - clock.now() < 8_000);
});

test('it gives up after the attempts it may make, and connect() tries again', async () => {
  const clock = new TestClock(() => 0.999);
  const server = new FakeServer(clock);
  const { client, states } = await start({ clock, server, reconnect: { attempts: 4 } });
  await clock.advance(10_000);
  server.up = false;
  const cut = clock.now();
  server.cutAll();
  await clock.until(() => client.state.name === 'offline');
  assert.equal(states.filter((name) => name === 'connecting').length, 1 + 4);
  assert.equal(Math.round((clock.now() - cut) / 1_000), 1 + 1 + 2 + 4);
  server.up = true;
  client.connect();
  await clock.until(() => client.state.name === 'online');
});

test('attempts are counted from the last connection that was synced', async () => {
  const clock = new TestClock(() => 0.5);
  const server = new FakeServer(clock);
  const { client, states } = await start({ clock, server, reconnect: { attempts: 2, stableMs: 1e9 } });
  let synced = 1;
  client.on('synced', () => (synced += 1));
  for (let round = 2; round < 10; round += 1) {
    server.cutAll(4008);
    await clock.until(() => synced === round);
  }
  server.refuse = ({ type }) => (type === 'sync' ? 'silence' : null);
  const before = states.length;
  for (const name of ['reconnecting', 'reconnecting', 'offline']) {
    await clock.until(() => client.state.name === 'online');
    server.cutAll(4008);
    await clock.until(() => client.state.name !== 'online');
    assert.equal(client.state.name, name);
  }
  assert.equal(states.slice(before).filter((name) => name === 'connecting').length, 2);
});

test('few pulls at a time, and all within the window', async () => {
  const check = async (window, most) => {
    const clock = new TestClock(seeded(6));
    const server = new FakeServer(clock, { random: seeded(6), delayMs: 100 });
    server.limits = { ...server.limits, commands_in_flight: window };
    for (let n = 0; n < 12; n += 1) server.group(`g${n}`, ['alice', 'bob']);
    const begin = (i) => {
      for (let n = 0; n < 12; n += 1) {
        server.write('bob', { to: `group:g${n}`, content: i, client_id: `${n}-${i}` });
      }
    };
    begin(0);
    const { client, received } = await start({ clock, server });
    await clock.until(() => received.length === 12);
    server.link.lose = 1;
    begin(1);
    let inFlight = 0;
    let pulls = 0;
    const seen = { inFlight: 0, pulls: 0 };
    for (const socket of server.sockets) {
      const send = socket.send.bind(socket);
      socket.send = (text) => {
        const { type, id } = JSON.parse(text);
        if (id !== undefined) inFlight += 1;
        if (type === 'pull') pulls += 1;
        seen.inFlight = Math.max(seen.inFlight, inFlight);
        seen.pulls = Math.max(seen.pulls, pulls);
        send(text);
      };
      const { onmessage } = socket;
      socket.onmessage = (message) => {
        const { type, payload } = JSON.parse(message.data);
        if (type === 'ack') inFlight -= 1;
        if (type === 'ack' && payload.entries && !('floor_seq' in payload)) pulls -= 1;
        onmessage(message);
      };
    }
    for (const socket of server.sockets) server.ping(socket);
    const histories = Array.from({ length: 30 }, (_, n) => client.history(`group:g${n % 12}`));
    await clock.until(() => received.length === 24);
    await clock.finish(Promise.all(histories));
    assert.ok(seen.inFlight <= window, `${seen.inFlight} of ${window}`);
    assert.equal(seen.pulls, most);
    client.close();
  };
  await check(16, 4);
  await check(3, 2);
  await check(2, 1);
});

test('a server that has gone silent is given up', async () => {
  const { client, clock } = await start();
  await clock.advance(44_000);
  assert.equal(client.state.name, 'online');
  await clock.advance(1_100);
  assert.notEqual(client.state.name, 'online');
});

test('hints of the browser: tries at once, or makes sure', async () => {
  const listeners = new Map();
  const target = { addEventListener: (type, f) => listeners.set(type, f) };
  const globals = /** @type {any} */ (globalThis);
  globals.window = target;
  globals.document = { ...target, visibilityState: 'visible' };
  try {
    const clock = new TestClock(() => 0.999);
    const server = new FakeServer(clock);
    const { client } = await start({ clock, server });
    server.up = false;
    server.cutAll();
    await clock.advance(2_500);
    assert.equal(client.state.name, 'reconnecting');
    server.up = true;
    listeners.get('online')();
    await clock.advance(10);
    assert.equal(client.state.name, 'online');
    server.refuse = ({ type }) => (type === 'ping' ? 'silence' : null);
    listeners.get('offline')();
    await clock.advance(4_900);
    assert.equal(client.state.name, 'online');
    await clock.advance(200);
    assert.notEqual(client.state.name, 'online');
    client.close();
  } finally {
    delete globals.window;
    delete globals.document;
  }
});

test('a ping is answered, and its heads are pulled', async () => {
  const clock = new TestClock();
  const server = new FakeServer(clock, { random: () => 0, lose: 1 });
  server.write('bob', { to: 'user:alice', content: 0, client_id: 'b0' });
  const { server: s, received } = await start({ clock, server });
  server.write('bob', { to: 'user:alice', content: 1, client_id: 'b1' });
  await clock.advance(5_000);
  assert.deepEqual(texts(received), [0], 'the push was lost');
  for (const socket of s.sockets) s.ping(socket);
  await clock.advance(10);
  assert.deepEqual(texts(received), [0, 1]);
  assert.ok(s.log.some((command) => command.type === 'pong'));
});

test('received is coalesced', async () => {
  const { server, clock, received } = await start({ user: 'bob' });
  server.write('alice', { to: 'user:bob', content: 0, client_id: 'a' });
  await clock.advance(1_000);
  const before = server.log.length;
  for (let i = 1; i <= 120; i += 1) {
    server.write('alice', { to: 'user:bob', content: i, client_id: `a${i}` });
  }
  await clock.advance(1_000);
  assert.equal(received.length, 121);
  const confirmations = server.log.slice(before).filter((command) => command.type === 'received');
  assert.deepEqual(confirmations.map((c) => c.payload.seq), [51, 101, 121]);
});

test('read moves forward, is sent once, and shows as a mark', async () => {
  const { client: alice, server, clock } = await start();
  const { client: bob, received } = await start({ user: 'bob', server, clock });
  alice.send('user:bob', 'hi');
  await clock.until(() => received.length === 1);
  const mark = () => alice.store.conversation('direct:alice:bob').messages[0].state;
  await clock.advance(1_000);
  assert.equal(mark(), 'delivered');
  assert.equal(bob.store.getSnapshot().unread, 1);
  bob.read('direct:alice:bob', 1);
  bob.read('direct:alice:bob', 1);
  assert.equal(bob.store.getSnapshot().unread, 0);
  await clock.advance(1_000);
  assert.equal(mark(), 'read');
  assert.equal(server.log.filter((command) => command.type === 'read').length, 1);
});

test('typing is told every three seconds at most, and ends by itself', async () => {
  const { client: alice, server, clock } = await start();
  const { client: bob, received } = await start({ user: 'bob', server, clock });
  alice.send('user:bob', 'hi');
  await clock.until(() => received.length === 1);
  for (let i = 0; i < 40; i += 1) {
    alice.typing('direct:alice:bob', true);
    await clock.advance(100);
  }
  assert.equal(server.log.filter((command) => command.type === 'typing').length, 2);
  assert.deepEqual(bob.store.conversation('direct:alice:bob').typing, ['alice']);
  await clock.advance(6_000);
  assert.deepEqual(bob.store.conversation('direct:alice:bob').typing, []);
});

test('the outbox survives a restart of the application', async () => {
  const check = async (storage) => {
    const clock = new TestClock(seeded(5));
    const server = new FakeServer(clock);
    server.up = false;
    const first = await start({ clock, server, storage, connect: false });
    first.client.connect();
    const { clientId, acked } = first.client.send('user:bob', 'kept');
    await settle();
    first.client.close();
    await assert.rejects(acked, { reason: 'closed' });
    server.up = true;
    const second = await start({ clock, server, storage });
    await clock.until(() => second.received.length === 1);
    assert.equal(second.received[0].client_id, clientId);
    await settle();
    assert.deepEqual(await storage.load('alice'), []);
  };
  await check(memoryStorage());
  await check(webStorage(fakeLocalStorage()));
  const memory = memoryStorage();
  await check({
    load: async (user) => memory.load(user),
    put: async (user, item) => memory.put(user, item),
    remove: async (user, id) => memory.remove(user, id),
  });
});

test('a position given to the next run: nothing twice', async () => {
  const first = await start();
  first.server.write('bob', { to: 'user:alice', content: 1, client_id: '1' });
  await first.clock.advance(10_000);
  const position = first.client.position();
  first.client.close();
  first.server.write('bob', { to: 'user:alice', content: 2, client_id: '2' });
  const second = await start({ clock: first.clock, server: first.server, position });
  assert.deepEqual(texts(first.received), [1]);
  assert.deepEqual(texts(second.received), [2]);
});

test('history in front of a reset is read on request', async () => {
  const clock = new TestClock();
  const server = new FakeServer(clock);
  for (let i = 1; i <= 130; i += 1) server.write('bob', { to: 'user:alice', content: i, client_id: `${i}` });
  const { client, received } = await start({ clock, server });
  const id = 'direct:alice:bob';
  await clock.until(() => received.length === 40);
  const load = async () => {
    const loading = client.loadOlder(id, 50);
    await clock.advance(10);
    await loading;
  };
  assert.equal(client.store.conversation(id).older, true);
  await load();
  await load();
  await load();
  const { messages, older } = client.store.conversation(id);
  assert.deepEqual(messages.map((m) => m.content), Array.from({ length: 130 }, (_, i) => i + 1));
  assert.equal(older, false);
});

test('listeners: several, ended by their function or a signal, and one that throws harms nobody', async () => {
  const clock = new TestClock();
  const warnings = [];
  const client = new Client({
    url: 'http://fake',
    token: 'opaque',
    storage: null,
    clock,
    WebSocket: new FakeServer(clock).WebSocket,
    logger: { warn: (...args) => warnings.push(args) },
  });
  const heard = [];
  const abort = new AbortController();
  client.on('state', () => { throw new Error('mine'); });
  const stop = client.on('state', () => heard.push('a'));
  client.on('state', () => heard.push('b'), { signal: abort.signal });
  client.connect();
  stop();
  abort.abort();
  client.close();
  assert.deepEqual(heard, ['a', 'b']);
  assert.equal(warnings.length, 2);
  assert.throws(() => client.send('user:bob', 'x'), { reason: 'closed' });
});

function fakeLocalStorage() {
  const map = new Map();
  return /** @type {any} */ ({
    get length() {
      return map.size;
    },
    key: (i) => [...map.keys()][i] ?? null,
    getItem: (key) => map.get(key) ?? null,
    setItem: (key, value) => map.set(key, value),
    removeItem: (key) => map.delete(key),
  });
}
