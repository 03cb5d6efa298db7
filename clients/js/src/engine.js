/**
 * Ties the parts together: what comes from the connection goes to who it is for, what is to be sent
 * goes out in the order pulls, questions, outbox, and the application hears of it all.
 */
import { RECONNECT_DEFAULTS } from './backoff.js';
import { realClock } from './clock.js';
import { Emitter } from './emitter.js';
import { refuse } from './errors.js';
import { userOfToken } from './ids.js';
import { Link } from './link.js';
import { entryOfPush, eventOfPush } from './push.js';
import { Requests } from './requests.js';
import { Sending } from './sending.js';
import { defaultStorage } from './storage.js';
import { Store } from './store.js';
import { Syncing, windowOf } from './syncing.js';

/** Events that go to the application as they come. */
const EVENTS = new Set([
  'receipt',
  'typing',
  'message_hidden',
  'message_receipt',
  'conversation_updated',
  'group_request',
  'error',
]);

/**
 * @typedef {object} Subjects what the parts that stand by subject want to hear
 * @property {() => void} up a connection is open
 * @property {(page: any) => void} synced
 * @property {(type: string, payload: any) => boolean} event true where it was theirs
 * @property {(lag: {conversation?: string}) => void} lagged something may have been lost
 */

export class Engine {
  #options;
  #clock;
  #emitter;
  #requests;
  #subjects;
  #closed = false;
  #pumping = false;
  #unhint = () => {};
  /** @type {Link} */
  link;
  store;
  sending;
  syncing;

  /**
   * @param {import('./client.js').ClientOptions} options
   * @param {Subjects} subjects
   */
  constructor(options, subjects) {
    if (!options.getToken && typeof options.token !== 'string') {
      throw refuse('bad_argument', 'Give a token or getToken.');
    }
    this.#options = options;
    this.#subjects = subjects;
    this.#clock = options.clock ?? realClock;
    const clock = this.#clock;
    const logger = options.logger ?? console;
    this.#emitter = new Emitter((error) => logger.warn('hubbub: a listener threw', error));
    const storage = options.storage === undefined ? defaultStorage() : options.storage;
    const wake = () => this.#pump();
    const error = (event) => this.emit('error', event);
    this.store = new Store(clock);
    this.#requests = new Requests(clock, wake);
    this.sending = new Sending(
      { clock, storage, store: this.store, limits: options.outbox },
      { wake, error, acked: (item, ack) => this.#acked(item, ack) },
    );
    this.syncing = new Syncing(
      { clock, link: () => this.link, position: options.position },
      {
        wake,
        error,
        entry: (entry) => this.#deliver(entry),
        advanced: (conversation, cursor) => this.store.advanced(conversation, cursor),
        summary: (summary, change) => {
          this.store.summary(summary, change);
          this.emit('conversation', { conversation: summary.id, summary, reset: change.reset });
        },
        gone: (conversation) => {
          this.store.gone(conversation);
          this.emit('conversation', { conversation, gone: true, reset: true });
        },
        synced: (page) => {
          this.#subjects.synced(page);
          this.emit('synced', { rev: page.rev });
        },
      },
    );
    this.link = this.#newLink();
    if (options.token) this.sending.adopt(userOfToken(options.token));
  }

  /** A question, or a command that may be repeated at will. @param {string} type @param {object} payload */
  ask(type, payload) {
    return this.#requests.ask(type, payload);
  }

  on(type, listener, options) {
    return this.#emitter.on(type, listener, options);
  }

  emit(type, event) {
    this.#emitter.emit(type, event);
  }

  connect() {
    if (this.#closed) throw refuse('closed');
    this.#unhint();
    this.#unhint = listenToBrowser((usable) => this.link.hint(usable));
    this.link.open();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#unhint();
    this.link.close('closed');
    this.sending.close();
    this.#requests.fail(refuse('closed'));
    this.syncing.stop();
    this.store.stop();
  }

  #newLink() {
    const { token, getToken, url, reconnect } = this.#options;
    return new Link(
      {
        url: webSocketUrl(url),
        webSocket: () => this.#webSocket(),
        getToken: getToken ?? (() => token),
        renewable: getToken !== undefined,
        device: deviceOf(this.#options),
        reconnect: { ...RECONNECT_DEFAULTS, ...reconnect },
        clock: this.#clock,
      },
      {
        state: (state) => {
          this.store.setState(state);
          this.emit('state', state);
        },
        token: (used) => this.sending.adopt(userOfToken(used)),
        up: (session) => {
          this.sending.adopt(session.user);
          this.syncing.begin(session.epoch);
          this.#subjects.up();
          this.#pump();
        },
        event: (type, payload) => this.#receive(type, payload),
        down: () => {
          this.sending.cut();
          this.syncing.abandon();
        },
      },
    );
  }

  /** Sends what may be sent now: pulls first, then reads, which are few and somebody waits. */
  #pump() {
    const connection = this.link.connection;
    // A reply may come from within a call; one pump at a time keeps the order.
    if (!connection || this.#pumping) return;
    this.#pumping = true;
    this.syncing.pull();
    const window = windowOf(connection);
    while (connection.inFlight < window - 1 && this.#requests.sendNext(connection));
    this.sending.pump(connection, window);
    this.#pumping = false;
  }

  #receive(type, payload) {
    if (type === 'lag') this.#subjects.lagged(payload);
    if (this.syncing.receive(type, payload) || this.#subjects.event(type, payload)) return;
    if (type === 'token_expiring') {
      void this.#refresh();
    } else if (EVENTS.has(type)) {
      this.#told(type, payload);
    } else {
      const push = entryOfPush(type, payload);
      if (push?.conversation) this.syncing.offer(push);
      else if (push) this.#emitPush(eventOfPush(push));
    }
  }

  #told(type, payload) {
    this.store.event(type, payload);
    this.emit(type, payload);
  }

  #acked({ clientId, type, payload }, ack) {
    if (ack.conversation === undefined || !ack.seq) {
      const hidden = hiddenBy(type, payload, ack);
      if (hidden) this.#told('message_hidden', hidden);
      return;
    }
    const isSend = type === 'send';
    if (isSend) this.store.acked(clientId, ack.seq);
    if (!isSend || payload.forward || payload.expires_in_ms) {
      // What was written has words of the server: it is pulled.
      this.syncing.note(ack.conversation, ack.seq);
      return;
    }
    const { to, kind, content, reply_to, mentions, mention_all, receipt } = payload;
    this.syncing.offer({
      type: 'message',
      conversation: ack.conversation,
      seq: ack.seq,
      message_id: ack.message_id,
      from: this.store.user,
      to,
      kind,
      content,
      client_id: clientId,
      at: ack.timestamp,
      attempt: 1,
      ...(reply_to && { reply_to }),
      ...(mentions && { mentions }),
      ...(mention_all && { mention_all }),
      ...(receipt && { receipt }),
    });
    if (this.syncing.cursorOf(ack.conversation) >= ack.seq) this.store.takePending(clientId);
  }

  async #refresh() {
    const { getToken } = this.#options;
    const connection = this.link.connection;
    if (!getToken || !connection) return;
    try {
      const token = await getToken('expiring');
      connection.call('refresh', { token }, (error) => {
        if (error && error.reason !== 'disconnected') this.emit('error', error);
      });
    } catch (error) {
      // Without a new token the server closes with 4004, and it is asked for again.
      this.emit('error', error);
    }
  }

  #deliver(entry) {
    if (entry.from === this.store.user) this.sending.written(entry);
    this.store.entry(entry);
    this.emit('entry', entry);
    if (entry.type === 'push') this.#emitPush(eventOfPush(entry));
    else if (entry.type !== 'group_changed') this.emit(entry.type, entry);
    else this.emit('conversation', { conversation: entry.conversation, change: entry, reset: false });
  }

  #emitPush(event) {
    this.emit('push', event);
    this.emit(`push:${event.type}`, event);
  }

  async #webSocket() {
    const own = this.#options.WebSocket ?? globalThis.WebSocket;
    return own ?? (await import('./node-websocket.js')).NodeWebSocket;
  }
}

/** @param {import('./client.js').ClientOptions} options */
function deviceOf({ device, deviceKind, deviceName }) {
  if (!device) return undefined;
  return {
    id: device,
    ...(deviceKind && { kind: deviceKind }),
    ...(deviceName && { name: deviceName }),
  };
}

/** @param {string} url */
function webSocketUrl(url) {
  const parsed = new URL(url);
  parsed.protocol = parsed.protocol.replace(/^http/, 'ws');
  if (parsed.pathname === '/') parsed.pathname = '/ws';
  return parsed.href;
}

/** What an own command hid, which only the user's other devices are told; of `clear` the server says up to where. */
function hiddenBy(type, { conversation, seq, for: whom }, { through = seq }) {
  if (type === 'clear') return { conversation, through };
  return type === 'delete' && whom === 'me' ? { conversation, seqs: [seq] } : null;
}

/** Hints of a browser that the network may be back, or gone. @returns {() => void} */
function listenToBrowser(hint) {
  const { window, document } = globalThis;
  if (!window || !document) return () => {};
  const changed = () => document.visibilityState === 'visible' && hint(true);
  const stop = new AbortController();
  window.addEventListener('online', () => hint(true), { signal: stop.signal });
  window.addEventListener('offline', () => hint(false), { signal: stop.signal });
  document.addEventListener('visibilitychange', changed, { signal: stop.signal });
  return () => stop.abort();
}
