/**
 * The client: one user on one device, over any number of connections.
 *
 * To the application it gives each entry of each conversation exactly once and in order; from the
 * application it takes messages at any time and has each written exactly once. The log on the server
 * is the truth; what is pushed is a hint. The parts that decide are pure and apart: `Replica` (what
 * is next), `Outbox` (what may be sent), `Link` (when to connect). `Engine` ties them together; this
 * file is what the application sees: messages, and everything else by subject in `messages`, `groups`, `settings`, `people`, `friends`, `presence`.
 */
import { Channels } from './channels.js';
import { realClock } from './clock.js';
import { Engine } from './engine.js';
import { refuse } from './errors.js';
import { Friends } from './friends.js';
import { Groups } from './groups.js';
import { conversationOf } from './ids.js';
import { Messages } from './messages.js';
import { People } from './people.js';
import { Presence } from './presence.js';
import { pushPayload } from './push.js';
import { Reading } from './reading.js';
import { Settings } from './settings.js';

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
 * @property {string} [deviceKind] what the device is, as others may see it: `web`, `phone`, …
 * @property {string} [deviceName] what the user calls it
 *
 * @typedef {import('./sending.js').Written} Written
 *
 * @typedef {object} SendOptions
 * @property {string} [kind] `text` by default
 * @property {string} [clientId]
 * @property {number} [replyTo] seq of the message that it answers
 * @property {string[]} [mentions] user ids, at most 50
 * @property {boolean} [mentionAll] everybody in the group, for owner and admins
 * @property {number} [expiresInMs] after this time it is gone for everybody
 * @property {boolean} [receipt] `message_receipt` events tell who received and read it
 */

export class Client {
  #engine;
  #reading;
  /** What a page shows. @type {import('./store.js').Store} */
  store;
  /** Edit, recall, delete, react, pin. @type {Messages} */
  messages;
  /** @type {Groups} */
  groups;
  /** What the user sets for a conversation. @type {Settings} */
  settings;
  /** Profile, privacy, devices. @type {People} */
  people;
  /** @type {Friends} */
  friends;
  /** @type {Presence} */
  presence;
  #channels;

  /** @param {ClientOptions} options */
  constructor(options) {
    this.#engine = new Engine(options, {
      up: () => {
        this.#reading.begin();
        this.presence.begin();
        this.#channels.begin();
      },
      lagged: (lag) => this.#channels.lagged(lag),
      synced: (page) => {
        if (page.relations_rev) this.friends.noticed(page.relations_rev);
      },
      event: (type, payload) => this.#heard(type, payload),
    });
    const { sending, store, link } = this.#engine;
    /** @type {import('./messages.js').Calls} */
    const calls = {
      ask: (type, payload) => this.#engine.ask(type, payload),
      write: (type, payload, lane) => sending.write(type, payload, lane),
    };
    const emit = (type, event) => this.#engine.emit(type, event);
    this.store = store;
    this.#reading = new Reading(calls, options.clock ?? realClock, () => link.connection);
    this.messages = new Messages(calls);
    this.groups = new Groups(calls, sending.newId);
    this.settings = new Settings(calls, store);
    this.people = new People(calls, emit);
    this.friends = new Friends(calls, emit);
    this.presence = new Presence(calls, emit);
    this.#channels = new Channels(calls, () => sending.newId(), (error) => emit('error', error));
  }

  /** Who is signed in; null until a token or the server said. */
  get user() {
    return this.store.user;
  }

  /** @returns {import('./link.js').LinkState} */
  get state() {
    return this.#engine.link.state;
  }

  /**
   * Listens to `state`, `synced` or `error`; to `message`, `message_updated`, `conversation` (a
   * summary or group change), `push`, or `entry` (all of these in one order); to `receipt`,
   * `message_receipt`, `message_hidden`, `conversation_updated`, `typing`, `online_status`,
   * `relation`, `user_updated`, `group_request`, or one type of pushes as `push:TYPE`.
   * @param {string} type
   * @param {(event: any) => void} listener
   * @param {{signal?: AbortSignal}} [options]
   * @returns {() => void} ends the listening
   */
  on(type, listener, options) {
    return this.#engine.on(type, listener, options);
  }

  /** Connects; while waiting for the next attempt, tries at once. */
  connect() {
    this.#engine.connect();
  }

  /** Ends for good. What waits in the outbox fails here and stays in the storage. */
  close() {
    this.#reading.stop();
    this.#engine.close();
  }

  /** Where the application has got in each conversation, for `options.position` of the next run. */
  position() {
    return this.#engine.syncing.position();
  }

  /**
   * A channel: to subscribe, publish, and see what is kept and who is there. The same object each time.
   * @param {string} name `NAMESPACE:NAME`, or a pattern such as `news:*`
   * @returns {import('./channels.js').Channel}
   */
  channel(name) {
    return this.#channels.channel(name);
  }

  // Messages.

  /**
   * Sends a message, now or as soon as there is a connection.
   * @param {string} to `user:ID`, `group:ID` or a conversation id
   * @param {any} content any JSON; for kind `text` a string
   * @param {SendOptions} [options]
   * @returns {{clientId: string, acked: Promise<Written>}} `acked` once it is durable
   * @throws {import('./errors.js').HubbubError} `queue_full`, `closed`, `bad_argument`
   */
  send(to, content, options = {}) {
    if (content === undefined) throw refuse('bad_argument', 'The content is missing.');
    const { kind = 'text', clientId, ...rest } = options;
    return this.#send({ to, content, kind, ...headOf(rest) }, clientId);
  }

  /**
   * Sends a message that is there to somebody else too; the server copies it and says whose it was.
   * @param {string} to
   * @param {string} conversation
   * @param {number} seq
   * @param {Omit<SendOptions, 'kind'>} [options]
   * @returns {{clientId: string, acked: Promise<Written>}}
   */
  forward(to, conversation, seq, { clientId, ...rest } = {}) {
    return this.#send({ to, forward: { conversation, seq }, ...headOf(rest) }, clientId);
  }

  /**
   * Sends again what has failed, under a new client id.
   * @param {string} clientId
   */
  retry(clientId) {
    const failed = this.store.takePending(clientId);
    if (!failed || this.#engine.sending.has(clientId)) throw refuse('bad_argument', 'Nothing failed there.');
    return this.#send(failed.payload);
  }

  /**
   * Forgets a failed message.
   * @param {string} clientId
   */
  discard(clientId) {
    if (!this.#engine.sending.has(clientId)) this.store.takePending(clientId);
  }

  /**
   * A page of messages in their current state, oldest first.
   * @param {string} conversation
   * @param {{before?: number, after?: number, around?: number, limit?: number}} [range] one of the
   *   seqs; `before` and `after` exclusive
   * @returns {Promise<import('./window.js').Page>}
   */
  history(conversation, { before, after, around, limit } = {}) {
    return this.#engine.ask('history', { conversation, before, after, around, limit });
  }

  /**
   * Reads the page of history in front of what the store shows, into the store.
   * @param {string} conversation
   * @param {number} [limit]
   */
  async loadOlder(conversation, limit = 50) {
    const before = this.store.oldestSeq(conversation);
    if (before === null || !this.store.conversation(conversation).older) return;
    this.store.prepend(conversation, await this.history(conversation, { before, limit }), before);
  }

  /**
   * The same behind an older stretch that `showAround` brought.
   * @param {string} conversation
   * @param {number} [limit]
   */
  async loadNewer(conversation, limit = 50) {
    const after = this.store.newestSeq(conversation);
    if (after === null) return;
    this.store.extend(conversation, await this.history(conversation, { after, limit }), after);
  }

  /**
   * Has the store show a message with what surrounds it; `store.showNewest` goes back.
   * @param {string} conversation
   * @param {number} seq
   * @param {number} [limit]
   */
  async showAround(conversation, seq, limit = 50) {
    if (this.store.has(conversation, seq)) this.store.showNewest(conversation);
    else this.store.around(conversation, await this.history(conversation, { around: seq, limit }));
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
    if (this.store.read(conversation, seq)) this.#reading.read(conversation, seq);
  }

  /**
   * The user types, or has stopped. Call it as often as there are key strokes.
   * @param {string} conversation
   * @param {boolean} active
   */
  typing(conversation, active) {
    this.#reading.typing(conversation, active);
  }

  /**
   * The conversations as the server lists them, most recently changed first. Their newest entries
   * also go to the store, for those of which a sync brought none.
   * @param {{beforeRev?: number, limit?: number}} [page]
   * @returns {Promise<{conversations: any[], next?: number}>}
   */
  async conversations({ beforeRev, limit } = {}) {
    const page = await this.#engine.ask('conversations', { before_rev: beforeRev, limit });
    for (const { last, head_seq } of page.conversations) if (last) this.store.preview(last, head_seq);
    return page;
  }

  /**
   * Pushes to users, roles or everybody; for those whom the operator permits it.
   * @param {string | string[]} to `user:ID` (also several), `role:NAME` or `all`
   * @param {string} type `notification`, `order_update`, … or one of the application's own
   * @param {any} data any JSON
   * @param {{durable?: boolean, expiresInMs?: number}} [options] `durable`: who is offline gets it later
   * @returns {Promise<{written?: {to: string, conversation: string, seq: number, message_id: string}[]}>}
   */
  push(to, type, data, options = {}) {
    const payload = pushPayload(to, type, data, options);
    const lane = `push:${this.#engine.sending.newId()}`;
    return /** @type {Promise<any>} */ (this.#engine.sending.write('push', payload, lane));
  }

  #send(payload, clientId = this.#engine.sending.newId()) {
    const lane = this.#conversationOf(payload.to);
    return { clientId, acked: this.#engine.sending.write('send', payload, lane, clientId) };
  }

  /** Events about users. @returns {boolean} it was one */
  #heard(type, payload) {
    if (type === 'relation') this.friends.told(payload);
    else if (type === 'user_updated') this.people.updated(payload);
    else if (type === 'online_status' && payload.presences) this.presence.told(payload.presences);
    else return this.#channels.told(type, payload);
    return true;
  }

  #conversationOf(to) {
    return this.user === null ? to : conversationOf(to, this.user);
  }
}

/**
 * The options of a message as the protocol names them; what is not given is left out.
 * @param {Omit<SendOptions, 'kind' | 'clientId'>} options
 */
function headOf({ replyTo, mentions, mentionAll, expiresInMs, receipt }) {
  const head = {};
  if (replyTo) head.reply_to = replyTo;
  if (mentions?.length > 0) head.mentions = [...new Set(mentions)];
  if (mentionAll) head.mention_all = true;
  if (expiresInMs) head.expires_in_ms = expiresInMs;
  if (receipt) head.receipt = true;
  return head;
}
