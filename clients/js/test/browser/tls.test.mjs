/**
 * `https` and `wss`: the chat page in Chromium, and Node's own TLS (OpenSSL) beside it, against the
 * real server under a self-signed certificate. `CHROMIUM` and `HUBBUB_BIN` say where browser and
 * server are.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import tls from 'node:tls';
import { chromium } from 'playwright-core';
import { Server } from './server.mjs';

const PATIENCE_MS = 20_000;

let browser;
let server;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--ignore-certificate-errors',
    ],
  });
});
after(() => browser?.close());
beforeEach(async () => {
  server = await Server.start({ tls: true });
});
afterEach(() => server?.end());

const online = (page) => page.locator('[data-testid=chat][data-state=online]').waitFor();

/** A page on which `user` has signed in, and the addresses of the WebSockets it opened. */
async function signIn(user) {
  const page = await (await browser.newContext({ locale: 'en-US' })).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket.url()));
  await page.goto(server.url);
  await page.getByTestId('signin-name').fill(user);
  await page.getByTestId('signin-submit').click();
  await online(page);
  return { page, sockets };
}

async function say(page, text) {
  await page.getByTestId('draft').fill(text);
  await page.getByTestId('draft').press('Enter');
}

const shown = (page, text) =>
  page.getByTestId('messages').getByTestId('text').filter({ hasText: text }).waitFor();

/** A connection of Node's own TLS that accepts every certificate, and the newest session to resume. */
async function connect(options = {}) {
  const socket = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let session;
  socket.on('session', (newest) => (session = newest));
  await once(socket, 'secureConnect');
  return { socket, session: () => session };
}

/** What a request is answered with. */
async function ask(socket) {
  socket.write('GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  let answer = '';
  for await (const bytes of socket) answer += bytes;
  return answer;
}

test('two pages chat over wss, and go on while the certificate is renewed', { timeout: 3 * PATIENCE_MS }, async () => {
  const alice = await signIn('alice');
  const bob = await signIn('bob');
  await alice.page.getByTestId('new-chat').click();
  await alice.page.getByTestId('chat-user').fill('bob');
  await alice.page.getByTestId('chat-start').click();
  await say(alice.page, 'before');
  await bob.page.locator('[data-conversation="direct:alice:bob"]').click();
  await shown(bob.page, 'before');

  const renewed = new X509Certificate(await server.renew()).fingerprint256;
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const { socket } = await connect();
    const { fingerprint256 } = socket.getPeerCertificate();
    assert.match(await ask(socket), /^HTTP\/1\.1 200 /);
    if (fingerprint256 === renewed) break;
    assert.ok(Date.now() < end, 'the new certificate is not served');
  }

  await say(bob.page, 'after');
  await shown(alice.page, 'after');
  await bob.page.reload();
  await online(bob.page);
  for (const { sockets } of [alice, bob]) {
    assert.ok(sockets.every((url) => url.startsWith('wss://')), String(sockets));
  }
  assert.equal(alice.sockets.length, 1, 'her connection went on');
});

test('OpenSSL speaks both versions and resumes; renegotiation is refused', { timeout: PATIENCE_MS }, async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const only = { minVersion: version, maxVersion: version };
    const first = await connect(only);
    assert.equal(first.socket.getProtocol(), version);
    assert.match(await ask(first.socket), /^HTTP\/1\.1 200 /);
    const second = await connect({ ...only, session: first.session() });
    assert.ok(second.socket.isSessionReused(), version);
    assert.match(await ask(second.socket), /^HTTP\/1\.1 200 /);
  }
  const { socket } = await connect({ maxVersion: 'TLSv1.2' });
  const refused = new Promise((come) => socket.once('error', come));
  socket.renegotiate({}, () => {});
  assert.match(String(await refused), /no renegotiation/);
});
