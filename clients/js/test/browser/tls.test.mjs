/**
 * `https` and `wss`: the chat page in Chromium, and Node's own TLS (OpenSSL) beside it, against the
 * real server under a self-signed certificate.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import tls from 'node:tls';
import { bench, newChat, online, open, PATIENCE_MS, say, shown } from '../support/browser.js';

const here = bench({ args: ['--ignore-certificate-errors'], server: { tls: true } });

/** The addresses of the WebSockets that the pages of a profile opened, as they come. */
function socketsOf(context) {
  const sockets = [];
  context.on('page', (page) => page.on('websocket', (socket) => sockets.push(socket.url())));
  return sockets;
}

/** A connection of Node's own TLS that accepts every certificate, and the newest session to resume. */
async function connect(options = {}) {
  const socket = tls.connect({ port: here.server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
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
  const contexts = [await here.context(), await here.context()];
  const [hers, his] = contexts.map(socketsOf);
  const alice = await here.signIn('alice', { context: contexts[0] });
  const bob = await here.signIn('bob', { context: contexts[1] });
  await newChat(alice, 'bob');
  await say(alice, 'before');
  await open(bob, 'direct:alice:bob');
  await shown(bob, 'before');

  const renewed = new X509Certificate(await here.server.renew()).fingerprint256;
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const { socket } = await connect();
    const { fingerprint256 } = socket.getPeerCertificate();
    assert.match(await ask(socket), /^HTTP\/1\.1 200 /);
    if (fingerprint256 === renewed) break;
    assert.ok(Date.now() < end, 'the new certificate is not served');
  }

  await say(bob, 'after');
  await shown(alice, 'after');
  await bob.reload();
  await online(bob);
  for (const sockets of [hers, his]) {
    assert.ok(sockets.every((url) => url.startsWith('wss://')), String(sockets));
  }
  assert.equal(hers.length, 1, 'her connection went on');
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
