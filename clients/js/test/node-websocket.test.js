import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { Client } from '../src/client.js';
import { FrameReader, NodeWebSocket, encodeFrame } from '../src/node-websocket.js';
import { accept, clientFrames, serve, serverFrame } from './support/http.js';

const text = (s) => Buffer.from(s);
const closing = (code, reason = '') => {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, text(reason)]);
};

/** A server that writes `bytes` after the handshake; tells what the client did. */
async function against(bytes, { protocol } = {}) {
  const server = http.createServer();
  const heard = [];
  server.on('upgrade', (request, socket) => {
    if (protocol) request.headers['sec-websocket-protocol'] = protocol;
    accept(request, socket);
    socket.on('error', () => {});
    socket.on('data', clientFrames((frame) => {
      heard.push(frame);
      if (frame.opcode === 8) socket.end();
    }));
    for (const chunk of bytes) socket.write(chunk);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {any} */ (server.address());
  const socket = new NodeWebSocket(`ws://127.0.0.1:${port}/`, ['hubbub.v1.json']);
  const messages = [];
  socket.onmessage = ({ data }) => messages.push(data);
  const close = await new Promise((closed) => {
    let times = 0;
    socket.onclose = (event) => {
      times += 1;
      closed({ ...event, times });
    };
  });
  server.close();
  server.closeAllConnections();
  return { messages, close, heard };
}

test('messages, fragments with a ping between, and the close handshake', async () => {
  const { messages, close, heard } = await against([
    serverFrame(1, text('one')),
    serverFrame(1, text('t'), false),
    serverFrame(9, text('?')),
    serverFrame(0, text('wo')),
    serverFrame(1, text('长'.repeat(30_000))),
    serverFrame(8, closing(4005, 'Replaced')),
  ]);
  assert.deepEqual(messages, ['one', 'two', '长'.repeat(30_000)]);
  assert.deepEqual(close, { code: 4005, reason: 'Replaced', times: 1 });
  assert.deepEqual(heard.map((f) => [f.opcode, f.masked, f.payload.toString('latin1')]), [
    [10, true, '?'],
    [8, true, '\x0f\xa5'],
  ]);
});

test('a server that breaks the protocol is closed with a code', async () => {
  const check = async (bytes, code) => assert.equal((await against([bytes])).close.code, code);
  await check(serverFrame(1, Buffer.from([0xff, 0xfe])), 1007);
  await check(serverFrame(2, text('x')), 1003);
  await check(serverFrame(0, text('x')), 1002);
  await check(serverFrame(9, text('x'), false), 1002);
  await check(serverFrame(11, text('x')), 1002);
  await check(encodeFrame(1, text('masked')), 1002);
  await check(Buffer.from([0xc1, 0]), 1002);
  await check(Buffer.from([0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0]), 1009);
});

test('an upgrade that does not happen ends with 1006', async () => {
  assert.equal((await against([], { protocol: 'another' })).close.code, 1006);
  const server = http.createServer((_, response) => response.writeHead(503).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {any} */ (server.address());
  const ended = (url) => new Promise((closed) => (new NodeWebSocket(url).onclose = closed));
  assert.equal((await ended(`ws://127.0.0.1:${port}/`)).code, 1006);
  server.close();
  await once(server, 'close');
  assert.equal((await ended(`ws://127.0.0.1:${port}/`)).code, 1006, 'nobody listens');
});

test('frames in pieces of any size', () => {
  const bytes = Buffer.concat([serverFrame(1, text('a')), serverFrame(1, text('b'.repeat(70_000)))]);
  for (const size of [1, 2, 3, 7, 1_000, 69_999, 100_000]) {
    const reader = new FrameReader();
    const got = [];
    const step = size === 1 ? bytes.length : size;
    for (let at = 0; at < bytes.length; at += step) got.push(...reader.push(bytes.subarray(at, at + step)));
    assert.deepEqual(got.map((f) => f.payload.length), [1, 70_000]);
  }
  const reader = new FrameReader();
  const small = serverFrame(1, text('x'.repeat(300)));
  const got = [...small].flatMap((byte) => reader.push(Buffer.from([byte])));
  assert.equal(got[0].payload.length, 300);
});

test('the client over real sockets, with no WebSocket of the platform', async () => {
  const { port, fake, close } = await serve();
  const options = { url: `http://127.0.0.1:${port}`, WebSocket: NodeWebSocket, storage: null };
  const token = (user) => `x.${btoa(JSON.stringify({ sub: user }))}.x`;
  const alice = new Client({ ...options, token: token('alice') });
  const bob = new Client({ ...options, token: token('bob') });
  const arrived = new Promise((message) => bob.on('message', message));
  alice.connect();
  bob.connect();
  const { seq } = await alice.send('user:bob', '你好').acked;
  assert.equal(seq, 1);
  assert.equal((await arrived).content, '你好');
  assert.equal(fake.sends.length, 1);
  alice.close();
  bob.close();
  close();
});
