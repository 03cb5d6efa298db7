/**
 * What the user wrote and the server has not acked: kept over reconnects (and, with a storage, over
 * restarts) and always sent again under the same client id, so that the server writes it once.
 *
 * Order: items of one conversation (a lane) are committed in the order in which they were added.
 * Sends are pipelined, each naming the one before it in `after`; any other command waits until the
 * lane before it is empty. An item that waits for its retry holds back its lane, no other.
 *
 * Bounded in items and bytes. Decides only: the client does the sending and owns the timers.
 *
 * @typedef {object} StoredItem
 * @property {string} clientId
 * @property {string} type of the command
 * @property {any} payload without `client_id` and `after`
 * @property {string} lane conversation it belongs to
 * @property {number} at when it was added, milliseconds since the epoch
 *
 * @typedef {StoredItem & {bytes: number, inFlight: boolean, notBefore: number, refusals: number,
 *   settle: (error: Error | null, ack?: any) => void}} Item
 */
import { refuse } from './errors.js';

export const OUTBOX_DEFAULTS = { itemsMax: 1_000, bytesMax: 1_000_000 };
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 30_000;
/** A send refused because of the one before it only waits for that one. */
const OUT_OF_ORDER_MS = 50;

/** What the envelope, the client ids and the numbers around a payload take at most. */
const ENVELOPE_BYTES = 256;
const utf8 = new TextEncoder();

export class Outbox {
  /** In the order added. @type {Map<string, Item>} */
  #items = new Map();
  #bytes = 0;
  #itemsMax;
  #bytesMax;
  /** No item may be sent before; set by `rate_limited`. */
  #pausedUntil = 0;

  constructor({ itemsMax, bytesMax } = OUTBOX_DEFAULTS) {
    this.#itemsMax = itemsMax;
    this.#bytesMax = bytesMax;
  }

  get size() {
    return this.#items.size;
  }

  get bytes() {
    return this.#bytes;
  }

  /** In the order added. */
  items() {
    return [...this.#items.values()];
  }

  /** @param {string} clientId */
  has(clientId) {
    return this.#items.has(clientId);
  }

  /**
   * @param {StoredItem} stored
   * @param {Item['settle']} settle called once, when it is acked or failed
   * @throws {import('./errors.js').HubbubError} `queue_full`
   * @returns {Item}
   */
  add(stored, settle) {
    const bytes = ENVELOPE_BYTES + utf8.encode(JSON.stringify(stored.payload)).length;
    if (this.#items.size >= this.#itemsMax || this.#bytes + bytes > this.#bytesMax) {
      throw refuse('queue_full');
    }
    const item = { ...stored, bytes, inFlight: false, notBefore: 0, refusals: 0, settle };
    this.#items.set(item.clientId, item);
    this.#bytes += bytes;
    return item;
  }

  /**
   * Takes in what an earlier run left, in front of what is there already.
   * @param {StoredItem[]} stored
   * @param {(item: StoredItem) => Item['settle']} settleOf
   * @returns {StoredItem[]} those taken; the rest is there already or finds no room
   */
  adopt(stored, settleOf) {
    const present = [...this.#items];
    const news = stored.filter((item) => !this.#items.has(item.clientId));
    news.sort((a, b) => a.at - b.at || (a.clientId < b.clientId ? -1 : 1));
    this.#items.clear();
    const taken = [];
    for (const item of news) {
      if (taken.length + present.length >= this.#itemsMax) break;
      try {
        this.add(item, settleOf(item));
        taken.push(item);
      } catch {
        break;
      }
    }
    for (const [id, item] of present) this.#items.set(id, item);
    return taken;
  }

  /**
   * The next item that may be sent now.
   * @param {number} now milliseconds
   * @returns {{item: Item, after: string | null} | null} `after`: the unacked send before it
   */
  next(now) {
    if (now < this.#pausedUntil) return null;
    /** The last unsettled item of each lane. @type {Map<string, Item>} */
    const before = new Map();
    /** @type {Set<string>} */
    const blocked = new Set();
    for (const item of this.#items.values()) {
      const previous = before.get(item.lane);
      before.set(item.lane, item);
      if (blocked.has(item.lane)) continue;
      if (item.inFlight) {
        if (item.type !== 'send') blocked.add(item.lane);
      } else if (item.notBefore > now || (item.type !== 'send' && previous)) {
        blocked.add(item.lane);
      } else {
        return { item, after: previous?.clientId ?? null };
      }
    }
    return null;
  }

  /**
   * When an item that waits for its retry may go; null when none waits.
   * @param {number} now milliseconds
   */
  wakeAt(now) {
    let at = Infinity;
    for (const item of this.#items.values()) {
      if (!item.inFlight && item.notBefore > now) at = Math.min(at, item.notBefore);
    }
    if (this.#pausedUntil > now && this.#items.size > 0) {
      at = Math.max(this.#pausedUntil, at === Infinity ? 0 : at);
    }
    return at === Infinity ? null : at;
  }

  /**
   * Takes an item out, with its outcome.
   * @param {string} clientId
   * @param {Error | null} error
   * @param {any} [ack]
   * @returns {boolean} it was there
   */
  settle(clientId, error, ack) {
    const item = this.#items.get(clientId);
    if (!item) return false;
    this.#items.delete(clientId);
    this.#bytes -= item.bytes;
    item.settle(error, ack);
    return true;
  }

  /**
   * The server refused an item for now.
   * @param {string} clientId
   * @param {import('./errors.js').HubbubError} error
   * @param {number} now milliseconds
   * @param {() => number} random
   */
  postpone(clientId, error, now, random) {
    const item = this.#items.get(clientId);
    if (!item) return;
    item.inFlight = false;
    if (error.reason === 'out_of_order') {
      item.notBefore = now + OUT_OF_ORDER_MS;
      return;
    }
    item.refusals += 1;
    const ceiling = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.min(item.refusals - 1, 10));
    item.notBefore = now + Math.max(error.retryAfterMs ?? 0, Math.ceil(ceiling * random()));
    // Everybody's next command would be refused as well, and each refusal counts.
    if (error.reason === 'rate_limited') this.#pausedUntil = Math.max(this.#pausedUntil, item.notBefore);
  }

  /** The connection ended: what was in flight is to be sent again. */
  cut() {
    for (const item of this.#items.values()) item.inFlight = false;
  }

  /**
   * Fails what waited longer than the server remembers client ids: sent again, it could be written
   * a second time.
   * @param {number} now milliseconds
   * @param {number} windowMs
   */
  expire(now, windowMs) {
    for (const item of [...this.#items.values()]) {
      if (now - item.at > windowMs) this.settle(item.clientId, refuse('expired'));
    }
  }

  /** @param {Error} error the outcome of everything that waits */
  fail(error) {
    for (const clientId of [...this.#items.keys()]) this.settle(clientId, error);
  }
}
