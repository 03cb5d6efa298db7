/**
 * The fake server on a real port: WebSockets over TCP (for the Node WebSocket's test), and the chat
 * page's files, so that the page can be looked at without the server binary:
 * `node test/support/http.js`.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { realClock } from '../../src/clock.js';
import { FakeServer, tokenOf } from './server.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** One unmasked frame, as servers send them. */
export function serverFrame(opcode, payload, fin = true) {
  const head = payload.length < 126 ? Buffer.alloc(2) : Buffer.alloc(payload.length < 65_536 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | opcode;
  if (head.length === 2) head[1] = payload.length;
  else if (head.length === 4) head.writeUInt16BE(payload.length, 2, (head[1] = 126));
  else head.writeBigUInt64BE(BigInt(payload.length), 2, (head[1] = 127));
  return Buffer.concat([head, payload]);
}

/** Reads a client's masked frames. */
export function clientFrames(onFrame) {
  let bytes = Buffer.alloc(0);
  return (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    for (;;) {
      if (bytes.length < 2) return;
      let length = bytes[1] & 0x7f;
      let at = 2;
      if (length === 126) [length, at] = bytes.length < 4 ? [Infinity, 4] : [bytes.readUInt16BE(2), 4];
      else if (length === 127) [length, at] = bytes.length < 10 ? [Infinity, 10] : [Number(bytes.readBigUInt64BE(2)), 10];
      if (bytes.length < at + 4 + length) return;
      const mask = bytes.subarray(at, at + 4);
      const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + length).map((b, i) => b ^ mask[i & 3]));
      const first = bytes[0];
      const masked = (bytes[1] & 0x80) !== 0;
      bytes = bytes.subarray(at + 4 + length);
      onFrame({ opcode: first & 0x0f, fin: (first & 0x80) !== 0, masked, payload });
    }
  };
}

/** Answers an upgrade; `null` when it is none. */
export function accept(request, socket) {
  const key = request.headers['sec-websocket-key'];
  const chosen = request.headers['sec-websocket-protocol']?.split(',')[0].trim();
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${createHash('sha1').update(key + GUID).digest('base64')}`,
    ...(chosen ? [`Sec-WebSocket-Protocol: ${chosen}`] : []),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
}

/** @returns {Promise<{port: number, fake: FakeServer, close: () => void}>} */
export async function serve({ port = 0, fake = new FakeServer(realClock) } = {}) {
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://x');
    if (pathname === '/dev/token') {
      let body = '';
      for await (const chunk of request) body += chunk;
      const { user } = JSON.parse(body);
      response.end(JSON.stringify({ token: tokenOf(user), user }));
      return;
    }
    const file = pathname.startsWith('/sdk/')
      ? path.join(ROOT, 'clients/js/src', path.basename(pathname))
      : path.join(ROOT, 'web', pathname === '/' ? 'index.html' : path.basename(pathname));
    try {
      const content = await readFile(file);
      response.writeHead(200, {
        'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream',
        'content-security-policy': "default-src 'self'; connect-src 'self' ws: wss:",
      });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.on('upgrade', (request, socket) => {
    accept(request, socket);
    const inner = new fake.WebSocket();
    const waiting = [];
    inner.onopen = () => waiting.splice(0).forEach((text) => inner.send(text));
    inner.onmessage = ({ data }) => socket.write(serverFrame(1, Buffer.from(data)));
    inner.onclose = ({ code }) => {
      const payload = Buffer.alloc(2);
      payload.writeUInt16BE(code === 1006 || code === 1005 ? 1001 : code);
      socket.end(serverFrame(8, payload));
    };
    socket.on('error', () => inner.close());
    socket.on('close', () => inner.close());
    socket.on(
      'data',
      clientFrames(({ opcode, payload }) => {
        if (opcode === 8) socket.end(serverFrame(8, payload));
        else if (opcode === 1 && inner.readyState === 1) inner.send(payload.toString());
        else if (opcode === 1) waiting.push(payload.toString());
      }),
    );
  });
  await new Promise((listening) => server.listen(port, '127.0.0.1', () => listening(undefined)));
  return {
    port: /** @type {any} */ (server.address()).port,
    fake,
    close: () => {
      server.close();
      server.closeAllConnections();
      fake.cutAll();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { port } = await serve();
  console.log(`http://127.0.0.1:${port}/`);
}
