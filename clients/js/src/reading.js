/**
 * What is told of the user while they read and write: how far they have read, and that they type.
 *
 * @typedef {import('./messages.js').Calls} Calls
 */

const RETRY_MS = 1_000;
/** While somebody types, others are told at most this often; their sign lasts 6 s. */
const TYPING_INTERVAL_MS = 3_000;

export class Reading {
  #calls;
  #clock;
  #connection;
  #stopped = false;
  /** Read cursors that the server has not acked. @type {Map<string, {seq: number, sent: number}>} */
  #reads = new Map();
  /** When each conversation was last told that we type. @type {Map<string, number>} */
  #typingTold = new Map();

  /**
   * @param {Calls} calls
   * @param {import('./clock.js').Clock} clock
   * @param {() => import('./connection.js').Connection | null} connection
   */
  constructor(calls, clock, connection) {
    this.#calls = calls;
    this.#clock = clock;
    this.#connection = connection;
  }

  /** Of several cursors before an answer only the furthest is sent. @param {string} conversation @param {number} seq */
  read(conversation, seq) {
    const read = this.#reads.get(conversation) ?? { seq: 0, sent: 0 };
    if (seq <= read.seq) return;
    read.seq = seq;
    this.#reads.set(conversation, read);
    if (read.sent === 0) void this.#send(conversation, read);
  }

  /** @param {string} conversation @param {boolean} active */
  typing(conversation, active) {
    const connection = this.#connection();
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

  /** A connection is open: nobody was told on it yet. */
  begin() {
    this.#typingTold.clear();
  }

  stop() {
    this.#stopped = true;
  }

  async #send(conversation, read) {
    while (read.sent < read.seq && !this.#stopped) {
      read.sent = read.seq;
      try {
        await this.#calls.ask('read', { conversation, seq: read.sent });
      } catch (error) {
        // The cursor stays where it is on the server; the next `read` moves it further.
        if (error.retry && !this.#stopped) {
          read.sent = -1;
          await new Promise((wait) => this.#clock.setTimeout(() => wait(undefined), RETRY_MS));
          continue;
        }
      }
    }
    this.#reads.delete(conversation);
  }
}
