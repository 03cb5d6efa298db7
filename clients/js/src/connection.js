/**
 * One WebSocket, from its opening to its end: authenticates, pairs replies with commands, answers
 * the heartbeat, and notices when the server has gone silent.
 *
 * Knows nothing of conversations, and never reconnects: `closed` is called exactly once, and that is
 * the end of this object.
 */
import { HubbubError, refuse } from './errors.js';

const OPEN = 1;
/** From the first packet to `connected`. */
const OPENING_MS = 15_000;
/** How much later than announced a heartbeat may come. */
const SILENCE_MS = 15_000;
const HEARTBEAT_DEFAULT_MS = 30_000;
/** No close code came: the connection broke (RFC 6455 §7.1.5). */
const ABNORMAL = 1006;

/**
 * @typedef {(error: HubbubError | null, payload?: any, timestamp?: number) => void} Reply
 *
 * @typedef {object} ConnectionEvents
 * @property {(connected: any) => void} connected the session is open
 * @property {(type: string, payload: any) => void} event anything else that answers no command
 * @property {(end: {code: number, reason: string, bye: any}) => void} closed
 */

export class Connection {
  #socket;
  #clock;
  #events;
  /** @type {Map<string, Reply>} */
  #replies = new Map();
  #nextId = 1;
  #ended = false;
  #bye = null;
  #silenceMs = OPENING_MS;
  #lastHeard;
  #timer = null;
  /** The payload of `connected`; null before. @type {any} */
  session = null;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {any} options.WebSocket constructor
   * @param {string} options.token
   * @param {{id: string, kind?: string, name?: string} | undefined} options.device
   * @param {import('./clock.js').Clock} options.clock
   * @param {ConnectionEvents} events
   */
  constructor({ url, WebSocket, token, device, clock }, events) {
    this.#clock = clock;
    this.#events = events;
    this.#lastHeard = clock.now();
    this.#watch();
    this.#socket = new WebSocket(url, ['hubbub.v1.json']);
    this.#socket.onopen = () => {
      // The token travels in the first command and not in the address, which ends up in logs.
      this.call('auth', device ? { token, device } : { token }, (error) => {
        if (!error || this.session) return;
        const refused = error.reason === 'token_expired' ? 4004 : 4001;
        this.end(error.code === 401 ? refused : ABNORMAL, error.reason);
      });
    };
    this.#socket.onmessage = (message) => this.#receive(message.data);
    this.#socket.onerror = () => {};
    this.#socket.onclose = (close) => this.#end(close.code ?? ABNORMAL, close.reason ?? '');
  }

  /** Whether commands can be sent. */
  get ready() {
    return this.session !== null && !this.#ended;
  }

  /** Commands without a reply yet. */
  get inFlight() {
    return this.#replies.size;
  }

  /**
   * Sends a command and hands its reply to `reply`, once; `disconnected` when none came.
   * @param {string} type
   * @param {object} payload
   * @param {Reply} reply
   */
  call(type, payload, reply) {
    if (this.#ended) {
      queueMicrotask(() => reply(refuse('disconnected')));
      return;
    }
    const id = String(this.#nextId);
    this.#nextId += 1;
    this.#replies.set(id, reply);
    this.#write({ type, id, payload });
  }

  /**
   * Sends a command that needs no reply.
   * @param {string} type
   * @param {object} payload
   */
  post(type, payload) {
    this.#write({ type, payload });
  }

  /**
   * Closes.
   * @param {number} code as the client will see it in `closed`
   * @param {string} reason
   */
  end(code, reason) {
    const socket = this.#socket;
    this.#end(code, reason);
    try {
      socket.close(1000);
    } catch {
      // It was not open yet; nothing of it is heard any more in any case.
    }
  }

  /**
   * Asks for a sign of life, and gives the connection up when none comes.
   * @param {number} ms how long it may take
   */
  probe(ms) {
    if (!this.session) return;
    this.post('ping', {});
    const since = this.#lastHeard;
    this.#clock.setTimeout(() => {
      if (!this.#ended && this.#lastHeard === since) this.end(ABNORMAL, 'silent');
    }, ms);
  }

  #write(message) {
    if (this.#ended || this.#socket.readyState !== OPEN) return;
    try {
      this.#socket.send(JSON.stringify(message));
    } catch {
      // The socket has just ended; `closed` follows, and everything is sent again.
    }
  }

  #receive(data) {
    if (this.#ended) return;
    this.#lastHeard = this.#clock.now();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      message = null;
    }
    if (!message || typeof message !== 'object') return;
    const { type, id, timestamp, payload = {} } = message;
    if (type === 'ack' || (type === 'error' && this.#replies.has(id))) {
      const reply = this.#replies.get(id);
      this.#replies.delete(id);
      if (type === 'ack') reply?.(null, payload, timestamp);
      else reply?.(new HubbubError(payload));
    } else if (type === 'connected') {
      this.session = payload;
      this.#silenceMs = (payload.heartbeat_ms ?? HEARTBEAT_DEFAULT_MS) + SILENCE_MS;
      this.#events.connected(payload);
    } else {
      if (type === 'ping') this.post('pong', {});
      if (type === 'bye') this.#bye = payload;
      this.#events.event(type, payload);
    }
  }

  /** One timer, set again when it fires: traffic only writes down a time. */
  #watch() {
    const left = this.#lastHeard + this.#silenceMs - this.#clock.now();
    if (left <= 0) {
      this.end(ABNORMAL, this.session ? 'silent' : 'opening_timeout');
      return;
    }
    this.#timer = this.#clock.setTimeout(() => this.#watch(), left);
  }

  #end(code, reason) {
    if (this.#ended) return;
    this.#ended = true;
    this.#clock.clearTimeout(this.#timer);
    const replies = [...this.#replies.values()];
    this.#replies.clear();
    for (const reply of replies) reply(refuse('disconnected'));
    this.#events.closed({ code, reason, bye: this.#bye });
  }
}
