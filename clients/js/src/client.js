/**
 * The client: one user on one device, over any number of connections.
 *
 * To the application it gives each entry of each conversation exactly once and in order; from the
 * application it takes messages at any time and has each written exactly once. The log on the server
 * is the truth; what is pushed is a hint. The parts that decide are pure and apart: `Replica` (what
 * is next), `Outbox` (what may be sent), `Link` (when to connect). This file ties them together.
 */
import { RECONNECT_DEFAULTS } from './backoff.js';
import { realClock } from './clock.js';
import { Confirm } from './confirm.js';
import { Emitter } from './emitter.js';
import { refuse } from './errors.js';
import { clientIds, conversationOf, userOfToken } from './ids.js';
import { Link } from './link.js';
import { Outbox, OUTBOX_DEFAULTS } from './outbox.js';
import { Replica } from './replica.js';
import { Requests } from './requests.js';
import { defaultStorage } from './storage.js';
import { Store } from './store.js';

/** Where the server does not announce how many commands may be in flight. */
const WINDOW_DEFAULT = 16;
/** Kept free for sync, pulls and reads while the outbox is being emptied. */
const WINDOW_RESERVE = 8;
/** Pulls at a time. */
const PULLS_MAX = 4;
const SYNC_RETRY_MS = 1_000;
/** While somebody types, others are told at most this often; their sign lasts 6 s. */
const TYPING_INTERVAL_MS = 3_000;
const DEDUPE_WINDOW_DEFAULT_MS = 30 * 24 * 3_600_000;

/**
 * @typedef {object} ClientOptions
 * @property {string} url `ws://host/ws`, or the server's `http://host`
 * @property {string} [token] a JWT
 * @property {(reason: 'connect' | 'expiring' | 'expired') => string | Promise<string>} [getToken]
 *   instead of `token`: gives a valid one
 * @property {string} [device] id of this client instance, kept over restarts
 * @property {import('./storage.js').OutboxStorage | null} [storage] where the outbox is kept;
 *   `localStorage` by default in browsers, null for nowhere
 * @property {any} [WebSocket] constructor, where the platform's own is not to be used
 * @property {{warn: (...args: any[]) => void}} [logger] `console` by default
 * @property {import('./backoff.js').ReconnectOptions} [reconnect]
 * @property {{itemsMax: number, bytesMax: number}} [outbox]
 * @property {{epoch: string, cursors: Record<string, number>, rev?: number}} [position] what
 *   `position()` gave to an earlier run: entries before are not delivered again
 * @property {import('./clock.js').Clock} [clock] time and chance, for tests
 *
 * @typedef {{conversation: string, seq: number, message_id: string, timestamp: number,
 *   duplicate: boolean, group?: string}} Written
 */

export class Client {
  #options;
  #clock;
  #emitter;
  #link;
  #replica;
  #outbox;
  #requests;
  #confirm;
  #storage;
  #newId;
  #closed = false;
  #syncCalled = false;
  #syncTimer = null;
  /** Pulls under way. */
  #pulls = 0;
  #pullTimer = null;
  #outboxTimer = null;
  #pumping = false;
  /** Whose kept outbox was taken in. @type {string | null} */
  #adopted = null;
  /** Read cursors that the server has not acked. @type {Map<string, {seq: number, sent: number}>} */
  #reads = new Map();
  /** When each conversation was last told that we type. @type {Map<string, number>} */
  #typingTold = new Map();
  #unhint = () => {};
  /** What a page shows. */
  store;

  /** @param {ClientOptions} options */
  constructor(options) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    const logger = options.logger ?? console;
    this.#emitter = new Emitter((error) => logger.warn('hubbub: a listener threw', error));
    this.#storage = options.storage === undefined ? defaultStorage() : options.storage;
    this.#newId = clientIds(this.#clock);
    this.#outbox = new Outbox(options.outbox ?? OUTBOX_DEFAULTS);
    this.#requests = new Requests(this.#clock, () => this.#pump());
    this.store = new Store(this.#clock);
    this.#confirm = new Confirm(this.#clock, (conversation) => {
      const seq = this.#replica.cursorOf(conversation);
      if (seq) this.#link.connection?.post('received', { conversation, seq });
    });
    this.#replica = new Replica(
      {
        entry: (entry) => this.#deliver(entry),
        advanced: (conversation, cursor) => {
          this.store.advanced(conversation, cursor);
          this.#confirm.touch(conversation);
        },
        summary: (summary, change) => {
          this.store.summary(summary, change);
          if (summary.received_seq < (this.#replica.cursorOf(summary.id) ?? 0)) {
            this.#confirm.touch(summary.id);
          }
          this.#emit('conversation', { conversation: summary.id, summary, reset: change.reset });
        },
        gone: (conversation) => {
          this.store.gone(conversation);
          this.#emit('conversation', { conversation, gone: true, reset: true });
        },
        needSync: () => this.#sync(),
      },
      options.position,
    );
    const token = options.token;
    if (!options.getToken && typeof token !== 'string') {
      throw refuse('bad_argument', 'Give a token or getToken.');
    }
    this.#link = new Link(
      {
        url: webSocketUrl(options.url),
        webSocket: () => this.#webSocket(),
        getToken: options.getToken ?? (() => token),
        renewable: options.getToken !== undefined,
        device: options.device,
        reconnect: { ...RECONNECT_DEFAULTS, ...options.reconnect },
        clock: this.#clock,
      },
      {
        state: (state) => {
          this.store.setState(state);
          this.#emit('state', state);
        },
        token: (used) => this.#adopt(userOfToken(used)),
        up: (session) => this.#up(session),
        event: (type, payload) => this.#receive(type, payload),
        down: () => this.#down(),
      },
    );
    if (token) this.#adopt(userOfToken(token));
  }

  /** Who is signed in; null until a token or the server said. */
  get user() {
    return this.store.user;
  }

  /** @returns {import('./link.js').LinkState} */
  get state() {
    return this.#link.state;
  }

  /**
   * Listens to `state`, `message`, `conversation`, `entry` (messages and group changes in one
   * order), `receipt`, `typing`, `synced` or `error`.
   * @param {string} type
   * @param {(event: any) => void} listener
   * @param {{signal?: AbortSignal}} [options]
   * @returns {() => void} ends the listening
   */
  on(type, listener, options) {
    return this.#emitter.on(type, listener, options);
  }

  /** Connects; while waiting for the next attempt, tries at once. */
  connect() {
    if (this.#closed) throw refuse('closed');
    this.#unhint();
    this.#unhint = listenToBrowser((usable) => this.#link.hint(usable));
    this.#link.open();
  }

  /** Ends for good. What waits in the outbox fails here and stays in the storage. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#unhint();
    this.#link.close('closed');
    this.#outbox.fail(refuse('closed'));
    this.#requests.fail(refuse('closed'));
    this.#confirm.stop();
    this.store.stop();
    for (const timer of [this.#syncTimer, this.#pullTimer, this.#outboxTimer]) {
      this.#clock.clearTimeout(timer);
    }
  }

  /** Where the application has got in each conversation, for `options.position` of the next run. */
  position() {
    return this.#replica.position();
  }

  // Messages.

  /**
   * Sends a message, now or as soon as there is a connection.
   * @param {string} to `user:ID`, `group:ID` or a conversation id
   * @param {any} content any JSON; for kind `text` a string
   * @param {{kind?: string, clientId?: string}} [options]
   * @returns {{clientId: string, acked: Promise<Written>}} `acked` once it is durable
   * @throws {import('./errors.js').HubbubError} `queue_full`, `closed`, `bad_argument`
   */
  send(to, content, { kind = 'text', clientId = this.#newId() } = {}) {
    if (content === undefined) throw refuse('bad_argument', 'The content is missing.');
    const item = this.#item('send', { to, content, kind }, this.#conversationOf(to), clientId);
    return { clientId, acked: this.#enqueue(item) };
  }

  /**
   * Sends again what has failed, under a new client id.
   * @param {string} clientId
   */
  retry(clientId) {
    const failed = this.store.takePending(clientId);
    if (!failed || this.#outbox.has(clientId)) throw refuse('bad_argument', 'Nothing failed there.');
    const { to, content, kind } = failed.payload;
    return this.send(to, content, { kind });
  }

  /**
   * Forgets a failed message.
   * @param {string} clientId
   */
  discard(clientId) {
    if (!this.#outbox.has(clientId)) this.store.takePending(clientId);
  }

  /**
   * A page of messages in their current state, oldest first.
   * @param {string} conversation
   * @param {{before?: number, after?: number, limit?: number}} [range] seqs, exclusive
   * @returns {Promise<{entries: any[], head_seq: number, floor_seq: number, more: boolean}>}
   */
  history(conversation, { before, after, limit } = {}) {
    return this.#requests.ask('history', { conversation, before, after, limit });
  }

  /**
   * Reads the page of history in front of what the store has, into the store.
   * @param {string} conversation
   * @param {number} [limit]
   */
  async loadOlder(conversation, limit = 50) {
    const before = this.store.oldestSeq(conversation);
    if (before === null || !this.store.conversation(conversation).older) return;
    this.store.prepend(conversation, await this.history(conversation, { before, limit }), before);
  }

  /**
   * Begins a conversation with a user, in the store; on the server the first message does.
   * @param {string} user
   * @returns {string} its id
   */
  open(user) {
    const id = this.#conversationOf(`user:${user}`);
    this.store.begin(id, user);
    return id;
  }

  /**
   * The user has read everything up to `seq`.
   * @param {string} conversation
   * @param {number} seq
   */
  read(conversation, seq) {
    if (!this.store.read(conversation, seq)) return;
    const read = this.#reads.get(conversation) ?? { seq: 0, sent: 0 };
    if (seq <= read.seq) return;
    read.seq = seq;
    this.#reads.set(conversation, read);
    if (read.sent === 0) void this.#sendRead(conversation, read);
  }

  /**
   * The user types, or has stopped. Call it as often as there are key strokes.
   * @param {string} conversation
   * @param {boolean} active
   */
  typing(conversation, active) {
    const connection = this.#link.connection;
    const told = this.#typingTold.get(conversation);
    const now = this.#clock.now();
    const isKnown = active
      ? told !== undefined && now - told < TYPING_INTERVAL_MS
      : told === undefined;
    if (!connection || isKnown) return;
    if (active) this.#typingTold.set(conversation, now);
    else this.#typingTold.delete(conversation);
    connection.post('typing', { conversation, active });
  }

  /**
   * The conversations as the server lists them, most recently changed first. Their newest entries
   * also go to the store, for those of which a sync brought none.
   * @param {{beforeRev?: number, limit?: number}} [page]
   * @returns {Promise<{conversations: any[], next?: number}>}
   */
  async conversations({ beforeRev, limit } = {}) {
    const page = await this.#requests.ask('conversations', { before_rev: beforeRev, limit });
    for (const { last } of page.conversations) if (last) this.store.preview(last);
    return page;
  }

  // Groups. Each resolves once it is durable.

  /**
   * @param {string} name
   * @param {string[]} [members] invited at once
   * @param {{join?: 'invite' | 'open'}} [options]
   * @returns {Promise<Written>} with `group` and `conversation`
   */
  createGroup(name, members = [], { join = 'invite' } = {}) {
    const clientId = this.#newId();
    return this.#enqueue(this.#item('group_create', { name, members, join }, clientId, clientId));
  }

  /** @param {string} group @param {{name?: string, join?: 'invite' | 'open'}} change */
  updateGroup(group, change) {
    return this.#groupCommand('group_update', group, change);
  }

  /** @param {string} group @param {string[]} members */
  invite(group, members) {
    return this.#groupCommand('group_invite', group, { members });
  }

  /** @param {string} group */
  join(group) {
    return this.#groupCommand('group_join', group, {});
  }

  /** @param {string} group */
  leave(group) {
    return this.#groupCommand('group_leave', group, {});
  }

  /** @param {string} group @param {string} user */
  kick(group, user) {
    return this.#groupCommand('group_kick', group, { user });
  }

  /** @param {string} group @param {string} user @param {'owner' | 'admin' | 'member'} role */
  setRole(group, user, role) {
    return this.#groupCommand('group_role', group, { user, role });
  }

  /** @param {string} group */
  dissolve(group) {
    return this.#groupCommand('group_dissolve', group, {});
  }

  /**
   * A page of members in the order of user ids.
   * @param {string} group
   * @param {{after?: string, limit?: number}} [page]
   * @returns {Promise<{members: any[], count: number, next?: string}>}
   */
  members(group, { after, limit } = {}) {
    return this.#requests.ask('group_members', { group: bareGroup(group), after, limit });
  }

  #groupCommand(type, group, rest) {
    const id = bareGroup(group);
    return this.#enqueue(this.#item(type, { group: id, ...rest }, `group:${id}`, this.#newId()));
  }

  // The outbox.

  #item(type, payload, lane, clientId) {
    return { clientId, type, payload, lane, at: this.#clock.now() };
  }

  /** @returns {Promise<Written>} */
  #enqueue(item) {
    if (this.#closed) throw refuse('closed');
    if (this.#outbox.has(item.clientId)) throw refuse('bad_argument', 'This client id is in use.');
    const acked = new Promise((resolve, reject) => {
      this.#outbox.add(item, (error, ack) => {
        this.#settled(item, error);
        if (error) reject(error);
        else resolve(ack);
      });
    });
    // The store shows the failure too: not to look at the promise is no mistake.
    acked.catch(() => {});
    // Before it is known who is signed in, neither store nor storage know whose it is.
    if (this.user !== null) this.#register(item);
    this.#pump();
    return /** @type {Promise<Written>} */ (acked);
  }

  #register(item) {
    if (item.type === 'send') this.store.pending(item);
    this.#keep('put', item);
  }

  /** Takes in what this user left unsent. */
  #adopt(user) {
    if (user === null || this.#adopted === user) return;
    this.#adopted = user;
    if (this.store.user !== null && this.store.user !== user) this.store.clear();
    this.store.user = user;
    for (const item of this.#outbox.items()) {
      item.lane = conversationOf(item.lane, user);
      this.#register(item);
    }
    if (!this.#storage) return;
    const take = (items) => {
      const taken = this.#outbox.adopt(items, (item) => (error) => this.#settled(item, error));
      for (const item of taken) if (item.type === 'send') this.store.pending(item);
      this.#pump();
    };
    try {
      const loaded = this.#storage.load(user);
      if (Array.isArray(loaded)) take(loaded);
      else loaded.then(take, (error) => this.#emit('error', error));
    } catch (error) {
      this.#emit('error', error);
    }
  }

  #settled(item, error) {
    // Closing is no outcome: the next run sends it.
    if (error?.reason === 'closed') return;
    this.#keep('remove', item);
    if (error && item.type === 'send') this.store.failed(item.clientId, error.reason);
  }

  #keep(how, item) {
    const user = this.store.user;
    if (!this.#storage || user === null) return;
    const failed = (error) => this.#emit('error', error);
    try {
      const done =
        how === 'put' ? this.#storage.put(user, item) : this.#storage.remove(user, item.clientId);
      if (done) done.catch(failed);
    } catch (error) {
      // A full or forbidden storage costs only what a restart would lose.
      failed(error);
    }
  }

  /** Sends what may be sent now: pulls first, then reads, which are few and somebody waits. */
  #pump() {
    const connection = this.#link.connection;
    // A reply may come from within a call; one pump at a time keeps the order.
    if (!connection || this.#pumping) return;
    this.#pumping = true;
    this.#pull();
    const { limits = {} } = connection.session;
    const now = this.#clock.now();
    const window = windowOf(connection);
    while (connection.inFlight < window - 1 && this.#requests.sendNext(connection));
    this.#outbox.expire(now, limits.dedupe_window_ms ?? DEDUPE_WINDOW_DEFAULT_MS);
    while (connection.inFlight < Math.max(1, window - WINDOW_RESERVE)) {
      const next = this.#outbox.next(now);
      if (!next) break;
      this.#sendItem(connection, next, limits.message_bytes ?? Infinity);
    }
    this.#pumping = false;
    this.#clock.clearTimeout(this.#outboxTimer);
    const wakeAt = this.#outbox.wakeAt(now);
    if (wakeAt !== null) {
      this.#outboxTimer = this.#clock.setTimeout(() => this.#pump(), wakeAt - now);
    }
  }

  #sendItem(connection, { item, after }, bytesMax) {
    const { clientId, type, payload } = item;
    if (item.bytes > bytesMax) {
      this.#outbox.settle(clientId, refuse('too_big'));
      return;
    }
    const named = { ...payload, client_id: clientId };
    if (type === 'send' && after !== null) named.after = after;
    item.inFlight = true;
    connection.call(type, named, (error, ack) => {
      if (error?.reason === 'disconnected') return;
      if (!error) {
        this.#acked(item, ack);
      } else if (error.retry) {
        this.#outbox.postpone(clientId, error, this.#clock.now(), this.#clock.random);
      } else {
        this.#outbox.settle(clientId, error);
      }
      this.#pump();
    });
  }

  #acked(item, ack) {
    const { clientId, type, payload } = item;
    const now = this.#clock.now();
    this.#outbox.settle(clientId, null, ack);
    if (type !== 'send') {
      // What a group command wrote is the server's own wording: it is pulled.
      this.#replica.note(ack.conversation, ack.seq, now);
    } else {
      this.store.acked(clientId, ack.seq);
      this.#replica.offer(
        {
          type: 'message',
          conversation: ack.conversation,
          seq: ack.seq,
          message_id: ack.message_id,
          from: this.user,
          to: payload.to,
          kind: payload.kind,
          content: payload.content,
          client_id: clientId,
          at: ack.timestamp,
          attempt: 1,
        },
        now,
      );
      if ((this.#replica.cursorOf(ack.conversation) ?? 0) >= ack.seq) this.store.takePending(clientId);
    }
    this.#pull();
  }

  async #sendRead(conversation, read) {
    while (read.sent < read.seq && !this.#closed) {
      read.sent = read.seq;
      try {
        await this.#requests.ask('read', { conversation, seq: read.sent });
      } catch (error) {
        // The cursor stays where it is on the server; the next `read` moves it further.
        if (error.retry && !this.#closed) {
          read.sent = -1;
          await new Promise((wait) => this.#clock.setTimeout(() => wait(undefined), SYNC_RETRY_MS));
          continue;
        }
      }
    }
    this.#reads.delete(conversation);
  }

  // The connection.

  #up(session) {
    this.#adopt(session.user);
    this.#typingTold.clear();
    this.#replica.begin(session.epoch);
    this.#syncCalled = false;
    this.#callSync();
    this.#pump();
  }

  #down() {
    this.#outbox.cut();
    this.#replica.abandonSync();
    this.#confirm.stop();
    for (const timer of [this.#syncTimer, this.#pullTimer, this.#outboxTimer]) {
      this.#clock.clearTimeout(timer);
    }
  }

  #receive(type, payload) {
    const now = this.#clock.now();
    if (type === 'message' || type === 'group_changed' || type === 'void') {
      const { conversation, seq } = payload;
      // Known already: the confirmation got lost or waits; the server is told again.
      if (seq <= (this.#replica.cursorOf(conversation) ?? 0)) this.#confirm.touch(conversation);
      this.#replica.offer({ type, ...payload }, now);
      this.#pull();
    } else if (type === 'ping') {
      for (const [conversation, head] of Object.entries(payload.heads ?? {})) {
        if (head > (this.#replica.cursorOf(conversation) ?? 0)) {
          this.#replica.note(conversation, head, now);
        } else {
          this.#confirm.touch(conversation);
        }
      }
      if (payload.resync) this.#sync();
      this.#pull();
    } else if (type === 'lag') {
      this.#replica.note(payload.conversation, payload.head, now);
      this.#pull();
    } else if (type === 'receipt') {
      this.store.receipt(payload);
      this.#emit('receipt', payload);
    } else if (type === 'typing') {
      this.store.typing(payload);
      this.#emit('typing', payload);
    } else if (type === 'token_expiring') {
      void this.#refresh();
    } else if (type === 'error') {
      this.#emit('error', payload);
    }
  }

  async #refresh() {
    const { getToken } = this.#options;
    const connection = this.#link.connection;
    if (!getToken || !connection) return;
    try {
      const token = await getToken('expiring');
      connection.call('refresh', { token }, (error) => {
        if (error && error.reason !== 'disconnected') this.#emit('error', error);
      });
    } catch (error) {
      // Without a new token the server closes with 4004, and it is asked for again.
      this.#emit('error', error);
    }
  }

  #sync() {
    if (this.#syncCalled || !this.#link.connection) return;
    this.#replica.beginSync();
    this.#callSync();
  }

  #callSync() {
    this.#syncCalled = true;
    const connection = this.#link.connection;
    const bytesMax = connection?.session.limits?.message_bytes;
    connection?.call('sync', this.#replica.syncRequest(bytesMax), (error, page) => {
      if (connection !== this.#link.connection) return;
      if (!error) {
        this.#syncCalled = false;
        if (this.#replica.applySync(page, this.#clock.now())) {
          this.#callSync();
        } else if (!this.#syncCalled) {
          this.#link.progressed();
          this.#emit('synced', { rev: page.rev });
        }
        this.#pump();
      } else if (error.retry) {
        const ms = error.retryAfterMs ?? SYNC_RETRY_MS;
        this.#syncTimer = this.#clock.setTimeout(() => this.#callSync(), ms);
      } else {
        this.#emit('error', error);
        connection.end(1006, `sync: ${error.reason}`);
      }
    });
  }

  /**
   * Pulls the holes that are due, and sets the timer for the next one. A few at a time: the server
   * answers one after the other and meanwhile reads nothing else. The rest waits for a reply.
   */
  #pull() {
    const connection = this.#link.connection;
    if (!connection) return;
    const room = () => Math.min(PULLS_MAX - this.#pulls, windowOf(connection) - 1 - connection.inFlight);
    for (const range of this.#replica.due(this.#clock.now(), Math.max(0, room()))) {
      this.#pulls += 1;
      connection.call('pull', range, (error, page) => {
        this.#pulls -= 1;
        if (error?.reason === 'disconnected') return;
        const now = this.#clock.now();
        if (error) this.#replica.pullFailed(range.conversation, now);
        else this.#replica.applyPull(range.conversation, page, now);
        this.#pump();
      });
    }
    this.#clock.clearTimeout(this.#pullTimer);
    const at = this.#replica.nextDue;
    if (at !== null && room() > 0) {
      this.#pullTimer = this.#clock.setTimeout(() => this.#pull(), Math.max(0, at - this.#clock.now()));
    }
  }

  // To the application.

  #deliver(entry) {
    // It is in the log although its ack is still under way, or was lost with a connection.
    if (entry.from === this.user && this.#outbox.has(entry.client_id)) {
      const { conversation, seq, message_id, at } = entry;
      this.#outbox.settle(entry.client_id, null, {
        conversation,
        seq,
        message_id,
        timestamp: at,
        duplicate: true,
      });
    }
    this.store.entry(entry);
    this.#emit('entry', entry);
    if (entry.type === 'message') this.#emit('message', entry);
    else this.#emit('conversation', { conversation: entry.conversation, change: entry, reset: false });
  }

  #emit(type, event) {
    this.#emitter.emit(type, event);
  }

  #conversationOf(to) {
    return this.user === null ? to : conversationOf(to, this.user);
  }

  async #webSocket() {
    const own = this.#options.WebSocket ?? globalThis.WebSocket;
    return own ?? (await import('./node-websocket.js')).NodeWebSocket;
  }
}

/**
 * How many commands may be in flight. One of them is kept for the sync.
 * @param {import('./connection.js').Connection} connection
 * @returns {number}
 */
function windowOf(connection) {
  return Math.max(2, connection.session.limits?.commands_in_flight ?? WINDOW_DEFAULT);
}

/** Takes `group:ID` and `ID`. */
function bareGroup(group) {
  return group.startsWith('group:') ? group.slice('group:'.length) : group;
}

/** @param {string} url */
function webSocketUrl(url) {
  const parsed = new URL(url);
  parsed.protocol = parsed.protocol.replace(/^http/, 'ws');
  if (parsed.pathname === '/') parsed.pathname = '/ws';
  return parsed.href;
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
