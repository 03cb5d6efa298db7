/**
 * A WebSocket client (RFC 6455) for Node versions without one of their own: as much of the browser's
 * interface as the SDK uses, over `node:http`. Text only, as the JSON protocol is; no extensions.
 *
 * Invariant: `onclose` is called exactly once, whatever went wrong, and nothing after it.
 */
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
/** How long the server may take to answer our close frame. */
const CLOSING_MS = 2_000;

const CONTINUATION = 0x0;
const TEXT = 0x1;
const BINARY = 0x2;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;

/**
 * One masked frame (RFC 6455 §5.2).
 * @param {number} opcode
 * @param {Buffer} payload
 */
export function encodeFrame(opcode, payload) {
  const length = payload.length;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const frame = Buffer.allocUnsafe(2 + extended + 4 + length);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) frame.writeUInt16BE(length, 2);
  if (extended === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  const mask = randomBytes(4);
  const start = 2 + extended + 4;
  mask.copy(frame, start - 4);
  for (let i = 0; i < length; i += 1) frame[start + i] = payload[i] ^ mask[i & 3];
  return frame;
}

/** A frame that breaks the protocol, with the close code that names how. */
export class FrameError extends Error {
  /** @param {number} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Takes bytes in any pieces and gives whole messages and control frames. */
export class FrameReader {
  #chunks = [];
  #length = 0;
  #fragments = [];
  #fragmentsLength = 0;
  #opcode = 0;

  /**
   * @param {Buffer} chunk
   * @returns {{opcode: number, payload: Buffer}[]}
   * @throws {FrameError}
   */
  push(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const out = [];
    for (let frame = this.#frame(); frame; frame = this.#frame()) {
      const whole = this.#assemble(frame);
      if (whole) out.push(whole);
    }
    return out;
  }

  #frame() {
    if (this.#length < 2) return null;
    const header = this.#peek(Math.min(this.#length, 10));
    const opcode = header[0] & 0x0f;
    const fin = (header[0] & 0x80) !== 0;
    if (header[0] & 0x70) throw new FrameError(1002, 'reserved bits');
    if (header[1] & 0x80) throw new FrameError(1002, 'masked by the server');
    let length = header[1];
    let start = 2;
    if (length === 126) {
      start = 4;
      if (this.#length < start) return null;
      length = header.readUInt16BE(2);
    } else if (length === 127) {
      start = 10;
      if (this.#length < start) return null;
      const long = header.readBigUInt64BE(2);
      if (long > BigInt(MESSAGE_BYTES_MAX)) throw new FrameError(1009, 'too big');
      length = Number(long);
    }
    if (opcode >= CLOSE && (!fin || length > 125)) throw new FrameError(1002, 'bad control frame');
    if (this.#fragmentsLength + length > MESSAGE_BYTES_MAX) throw new FrameError(1009, 'too big');
    if (this.#length < start + length) return null;
    return { fin, opcode, payload: this.#take(start + length).subarray(start) };
  }

  #assemble({ fin, opcode, payload }) {
    if (opcode >= CLOSE) {
      if (opcode > PONG) throw new FrameError(1002, 'unknown opcode');
      return { opcode, payload };
    }
    if (opcode > BINARY) throw new FrameError(1002, 'unknown opcode');
    if ((opcode === CONTINUATION) !== (this.#opcode !== 0)) {
      throw new FrameError(1002, 'fragments out of order');
    }
    if (opcode !== CONTINUATION) this.#opcode = opcode;
    this.#fragments.push(payload);
    this.#fragmentsLength += payload.length;
    if (!fin) return null;
    const whole = { opcode: this.#opcode, payload: Buffer.concat(this.#fragments) };
    this.#fragments = [];
    this.#fragmentsLength = 0;
    this.#opcode = 0;
    return whole;
  }

  #peek(n) {
    this.#merge();
    return this.#chunks[0].subarray(0, n);
  }

  #take(n) {
    this.#merge();
    const taken = this.#chunks[0].subarray(0, n);
    const rest = this.#chunks[0].subarray(n);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#length -= n;
    return taken;
  }

  #merge() {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
  }
}

export class NodeWebSocket {
  readyState = 0;
  onopen = () => {};
  onerror = (_event) => {};
  /** @type {(event: {data: string}) => void} */
  onmessage = () => {};
  /** @type {(event: {code: number, reason: string}) => void} */
  onclose = () => {};
  #socket = null;
  #request;
  #reader = new FrameReader();
  #utf8 = new TextDecoder('utf-8', { fatal: true });
  #closeCode = 1006;
  #closeReason = '';
  #closeSent = false;

  /**
   * @param {string} url `ws:` or `wss:`
   * @param {string[]} [protocols]
   */
  constructor(url, protocols = []) {
    const target = new URL(url);
    const secure = target.protocol === 'wss:';
    target.protocol = secure ? 'https:' : 'http:';
    const key = randomBytes(16).toString('base64');
    /** @type {Record<string, string>} */
    const headers = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': key,
    };
    if (protocols.length > 0) headers['Sec-WebSocket-Protocol'] = protocols.join(', ');
    this.#request = (secure ? https : http).request(target, { headers, agent: false });
    this.#request.on('upgrade', (response, socket, head) => {
      const accept = createHash('sha1').update(key + GUID).digest('base64');
      const chosen = response.headers['sec-websocket-protocol'];
      if (
        response.headers['sec-websocket-accept'] !== accept ||
        (chosen !== undefined && !protocols.includes(chosen))
      ) {
        socket.destroy();
        this.#finish();
        return;
      }
      this.#open(socket, head);
    });
    this.#request.on('response', (response) => {
      response.resume();
      this.#fail(new Error(`HTTP ${response.statusCode} instead of an upgrade`));
    });
    this.#request.on('error', (error) => this.#fail(error));
    this.#request.end();
  }

  /** @param {string} text */
  send(text) {
    if (this.readyState !== 1) throw new Error('The socket is not open.');
    this.#socket.write(encodeFrame(TEXT, Buffer.from(text)));
  }

  close(code = 1000, reason = '') {
    if (this.readyState === 0) {
      this.#request.destroy();
      this.#finish();
    } else if (this.readyState === 1) {
      this.#sendClose(code, reason);
    }
  }

  #open(socket, head) {
    this.#socket = socket;
    this.readyState = 1;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => this.onerror(error));
    socket.on('close', () => this.#finish());
    socket.on('end', () => socket.end());
    this.onopen();
    if (head.length > 0) this.#read(head);
  }

  #read(chunk) {
    if (this.readyState === 3) return;
    try {
      for (const { opcode, payload } of this.#reader.push(chunk)) this.#handle(opcode, payload);
    } catch (error) {
      this.#closeCode = error instanceof FrameError ? error.code : 1007;
      this.#sendClose(this.#closeCode, '');
      this.#socket.end();
    }
  }

  #handle(opcode, payload) {
    if (opcode === PING) {
      if (!this.#closeSent) this.#socket.write(encodeFrame(PONG, payload));
    } else if (opcode === CLOSE) {
      this.#closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#closeReason = payload.subarray(2).toString();
      this.#sendClose(payload.length >= 2 ? this.#closeCode : 1000, '');
      this.#socket.end();
    } else if (opcode === TEXT && this.readyState === 1) {
      const data = this.#utf8.decode(payload);
      this.onmessage({ data });
    } else if (opcode === BINARY) {
      throw new FrameError(1003, 'binary');
    }
  }

  #sendClose(code, reason) {
    this.readyState = 2;
    if (this.#closeSent) return;
    this.#closeSent = true;
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code, 0);
    payload.write(reason, 2);
    this.#socket.write(encodeFrame(CLOSE, payload));
    setTimeout(() => this.#socket.destroy(), CLOSING_MS).unref();
  }

  #fail(error) {
    if (this.readyState === 3) return;
    this.onerror(error);
    this.#finish();
  }

  #finish() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose({ code: this.#closeCode, reason: this.#closeReason });
  }
}
