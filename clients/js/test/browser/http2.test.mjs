/**
 * WebSockets over HTTP/2 (RFC 8441) in Chromium: it uses the connection that brought the page, each
 * WebSocket a stream of it. The server's log says which connection each came over.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bench, newChat, open, say, shown } from '../support/browser.js';

/** WebSockets of one page, besides the page's own. */
const OTHERS = 6;

const here = bench({
  args: ['--ignore-certificate-errors'],
  server: {
    tls: true,
    environment: {
      HUBBUB_LOG_LEVEL: 'debug',
      HUBBUB_ECHO_ENABLED: 'true',
      HUBBUB_COMPRESSION_ENABLED: 'true',
    },
  },
});

/** The peer's address of each WebSocket that came over HTTP/2, in order. */
const streams = () =>
  [...here.server.log.matchAll(/a WebSocket over HTTP\/2 remote=(\S+)/g)].map(([, remote]) => remote);

/** A tab on which `user` has signed in. */
async function signIn(context, user) {
  const page = await here.signIn(user, { context });
  const protocol = await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
  assert.equal(protocol, 'h2');
  return page;
}

test('the WebSockets of a browser are streams of the connection that brought the page', async () => {
  const context = await here.context();
  const alice = await signIn(context, 'alice');

  // More clients in the same page write to her, in a ring to each other, and get what comes.
  const got = await alice.evaluate(async (others) => {
    const { Client } = await import('/sdk/index.js');
    const getToken = async (user) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch('/dev/token', { method: 'POST', headers, body: JSON.stringify({ user }) });
      return (await answer.json()).token;
    };
    const clients = Array.from({ length: others }, (_, n) => {
      const options = { url: location.origin, storage: null, device: `ring-${n}` };
      return new Client({ ...options, getToken: () => getToken(`user${n}`) });
    });
    window.clients = clients;
    const next = (n) => (n + 1) % others;
    const all = clients.map(
      (client, n) =>
        new Promise((come) => {
          client.on('message', ({ from, content }) => from === `user${n}` || come(`${from}: ${content}`));
        }),
    );
    clients.forEach((client) => client.connect());
    await Promise.all(
      clients.flatMap((client, n) => [
        client.send(`user:user${next(n)}`, `round ${n}`).acked,
        client.send('user:alice', `to alice ${n}`).acked,
      ]),
    );
    return Promise.all(all);
  }, OTHERS);
  const around = Array.from({ length: OTHERS }, (_, n) => (n + OTHERS - 1) % OTHERS);
  assert.deepEqual(got, around.map((n) => `user${n}: round ${n}`));
  await open(alice, 'direct:alice:user0');
  await shown(alice, 'to alice 0');
  const answer = alice.evaluate(
    () =>
      new Promise((come) => {
        window.clients[0].on('message', ({ from, content }) => from === 'alice' && come(content));
      }),
  );
  await say(alice, 'back');
  assert.equal(await answer, 'back');

  assert.equal(streams().length, 1 + OTHERS);
  assert.equal(new Set(streams()).size, 1, String(streams()));

  // A second tab of the same profile shares it; another profile has a connection of its own.
  const second = await signIn(context, 'alice');
  const bob = await signIn(await here.context(), 'bob');
  const used = streams();
  assert.equal(used.length, 3 + OTHERS);
  assert.equal(used[1 + OTHERS], used[0]);
  assert.notEqual(used[2 + OTHERS], used[0]);
  // What ends with it is its stream only.
  await second.close();
  await newChat(alice, 'bob');
  await say(alice, 'Hello Bob!');
  await open(bob, 'direct:alice:bob');
  await shown(bob, 'Hello Bob!');
  await say(bob, 'Hello Alice!');
  await shown(alice, 'Hello Alice!');
});

test('close codes come through, and a WebSocket that ends leaves its siblings', async () => {
  const context = await here.context();
  const page = await signIn(context, 'alice');
  const closed = await page.evaluate(async () => {
    const open = (protocols = []) => new WebSocket(location.origin.replace('http', 'ws') + '/ws', protocols);
    const end = (socket) =>
      new Promise((come) => {
        socket.onclose = ({ code, wasClean }) => come({ code, wasClean });
      });
    const refused = open();
    refused.onopen = () => {
      refused.send(JSON.stringify({ type: 'auth', id: '1', payload: { token: 'bad' } }));
    };
    const left = open();
    left.onopen = () => left.close(1000);
    return Promise.all([end(refused), end(left), end(open(['chess']))]);
  });
  assert.deepEqual(closed, [
    { code: 4001, wasClean: true },
    { code: 1000, wasClean: true },
    // Refused before it was one.
    { code: 1006, wasClean: false },
  ]);
  assert.equal(streams().length, 3);
  assert.equal(new Set(streams()).size, 1, String(streams()));
  await newChat(page, 'alice2');
  await say(page, 'still here');
  await page.locator('#messages .own .mark[data-state=sent]').waitFor();
});

test('compression is agreed on, and large messages come back whole', async () => {
  const page = await signIn(await here.context(), 'alice');
  const texts = ['short', 'compressible '.repeat(100_000), ''];
  const { extensions, echoes } = await page.evaluate(async (texts) => {
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/echo');
    await new Promise((come) => (socket.onopen = come));
    const echoes = [];
    for (const text of texts) {
      const echo = new Promise((come) => (socket.onmessage = ({ data }) => come(data)));
      socket.send(text);
      echoes.push(await echo);
    }
    return { extensions: socket.extensions, echoes };
  }, texts);
  assert.match(extensions, /^permessage-deflate/);
  assert.ok(echoes.every((echo, n) => echo === texts[n]), String(echoes.map((echo) => echo.length)));
  assert.equal(streams().length, 2);
});
