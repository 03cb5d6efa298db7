/**
 * The outbox with what surrounds it: the storage that keeps it over restarts, the store that shows
 * what waits, and the sending itself.
 */
import { conversationOf, clientIds } from './ids.js';
import { refuse } from './errors.js';
import { Outbox, OUTBOX_DEFAULTS } from './outbox.js';

/** Kept free for sync, pulls and reads while the outbox is being emptied. */
const WINDOW_RESERVE = 8;
const DEDUPE_WINDOW_DEFAULT_MS = 30 * 24 * 3_600_000;

/**
 * @typedef {{conversation: string, seq: number, message_id: string, timestamp: number,
 *   duplicate: boolean, group?: string}} Written
 */

export class Sending {
  #clock;
  #store;
  #storage;
  #on;
  #outbox;
  #timer = null;
  #closed = false;
  /** Whose kept outbox was taken in. @type {string | null} */
  #adopted = null;
  newId;

  /**
   * @param {object} parts
   * @param {import('./clock.js').Clock} parts.clock
   * @param {import('./store.js').Store} parts.store
   * @param {import('./storage.js').OutboxStorage | null} parts.storage
   * @param {{itemsMax: number, bytesMax: number}} [parts.limits]
   * @param {object} on
   * @param {() => void} on.wake something may be sent
   * @param {(item: import('./outbox.js').Item, ack: any) => void} on.acked
   * @param {(error: unknown) => void} on.error of the storage
   */
  constructor({ clock, store, storage, limits = OUTBOX_DEFAULTS }, on) {
    this.#clock = clock;
    this.#store = store;
    this.#storage = storage;
    this.#on = on;
    this.#outbox = new Outbox(limits);
    this.newId = clientIds(clock);
  }

  /** @param {string} clientId */
  has(clientId) {
    return this.#outbox.has(clientId);
  }

  /**
   * Takes a command that is to be executed exactly once.
   * @param {string} type
   * @param {object} payload without `client_id`
   * @param {string} lane commands of one lane are executed in the order given
   * @param {string} [clientId]
   * @returns {Promise<Written>}
   */
  write(type, payload, lane, clientId = this.newId()) {
    if (this.#closed) throw refuse('closed');
    if (this.#outbox.has(clientId)) throw refuse('bad_argument', 'This client id is in use.');
    const item = { clientId, type, payload, lane, at: this.#clock.now() };
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
    if (this.#store.user !== null) this.#register(item);
    this.#on.wake();
    return /** @type {Promise<Written>} */ (acked);
  }

  /** Takes in what this user left unsent. @param {string | null} user */
  adopt(user) {
    if (user === null || this.#adopted === user) return;
    this.#adopted = user;
    if (this.#store.user !== null && this.#store.user !== user) this.#store.clear();
    this.#store.user = user;
    for (const item of this.#outbox.items()) {
      item.lane = conversationOf(item.lane, user);
      this.#register(item);
    }
    if (!this.#storage) return;
    const take = (items) => {
      const taken = this.#outbox.adopt(items, (item) => (error) => this.#settled(item, error));
      for (const item of taken) if (item.type === 'send') this.#store.pending(item);
      this.#on.wake();
    };
    try {
      const loaded = this.#storage.load(user);
      if (Array.isArray(loaded)) take(loaded);
      else loaded.then(take, (error) => this.#on.error(error));
    } catch (error) {
      this.#on.error(error);
    }
  }

  /**
   * Sends what may be sent now.
   * @param {import('./connection.js').Connection} connection
   * @param {number} window how many commands may be in flight
   */
  pump(connection, window) {
    const { limits = {} } = connection.session;
    const now = this.#clock.now();
    this.#outbox.expire(now, limits.dedupe_window_ms ?? DEDUPE_WINDOW_DEFAULT_MS);
    while (connection.inFlight < Math.max(1, window - WINDOW_RESERVE)) {
      const next = this.#outbox.next(now);
      if (!next) break;
      this.#send(connection, next, limits.message_bytes ?? Infinity);
    }
    this.#clock.clearTimeout(this.#timer);
    const wakeAt = this.#outbox.wakeAt(now);
    if (wakeAt !== null) this.#timer = this.#clock.setTimeout(() => this.#on.wake(), wakeAt - now);
  }

  /**
   * An own entry is in the log although its ack is still under way, or was lost with a connection.
   * @param {import('./replica.js').Entry} entry
   */
  written({ conversation, seq, message_id, at, client_id }) {
    if (!this.#outbox.has(client_id)) return;
    const ack = { conversation, seq, message_id, timestamp: at, duplicate: true };
    this.#outbox.settle(client_id, null, ack);
  }

  /** The connection ended. */
  cut() {
    this.#outbox.cut();
    this.#clock.clearTimeout(this.#timer);
  }

  /** What waits fails here and stays in the storage. */
  close() {
    this.#closed = true;
    this.#outbox.fail(refuse('closed'));
    this.#clock.clearTimeout(this.#timer);
  }

  #send(connection, { item, after }, bytesMax) {
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
        this.#outbox.settle(clientId, null, ack);
        this.#on.acked(item, ack);
      } else if (error.retry) {
        this.#outbox.postpone(clientId, error, this.#clock.now(), this.#clock.random);
      } else {
        this.#outbox.settle(clientId, error);
      }
      this.#on.wake();
    });
  }

  #register(item) {
    if (item.type === 'send') this.#store.pending(item);
    this.#keep('put', item);
  }

  #settled(item, error) {
    // Closing is no outcome: the next run sends it.
    if (error?.reason === 'closed') return;
    this.#keep('remove', item);
    if (error && item.type === 'send') this.#store.failed(item.clientId, error.reason);
  }

  #keep(how, item) {
    const { user } = this.#store;
    if (!this.#storage || user === null) return;
    try {
      const done =
        how === 'put' ? this.#storage.put(user, item) : this.#storage.remove(user, item.clientId);
      if (done) done.catch(this.#on.error);
    } catch (error) {
      // A full or forbidden storage costs only what a restart would lose.
      this.#on.error(error);
    }
  }
}
