/**
 * What is told of the user while they read and write: how far they have read, and that they type.
 *
 * @typedef {import('./messages.js').Calls} Calls
 */

const RETRY_MS = 1_000;
/** While somebody types, others are told at most this often; their sign lasts 6 s. */
const TYPING_INTERVAL_MS = 3_000;
/** Sooner after a beginning the server tells nobody of another one (2 s, and what the way may take). */
const TYPING_GAP_MS = 2_250;

export class Reading {
  #calls;
  #clock;
  #connection;
  #stopped = false;
  /** Read cursors that the server has not acked. @type {Map<string, {seq: number, sent: number}>} */
  #reads = new Map();
  /**
   * What was told of each conversation: when we last began, and whether we do still.
   * @type {Map<string, {at: number, active: boolean, timer: any}>}
   */
  #typing = new Map();

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
    if (!connection) return;
    const told = this.#typing.get(conversation);
    const since = told ? this.#clock.now() - told.at : Infinity;
    if (!active) {
      this.#clock.clearTimeout(told?.timer);
      if (told) told.timer = null;
      if (!told?.active) return;
      told.active = false;
      connection.post('typing', { conversation, active });
    } else if (since >= (told?.active ? TYPING_INTERVAL_MS : TYPING_GAP_MS)) {
      this.#clock.clearTimeout(told?.timer);
      this.#typing.set(conversation, { at: this.#clock.now(), active, timer: null });
      connection.post('typing', { conversation, active });
    } else if (!told.active && told.timer === null) {
      // Begun again right after an end: told as soon as it is heard.
      const wait = TYPING_GAP_MS - since;
      told.timer = this.#clock.setTimeout(() => this.typing(conversation, true), wait);
    }
  }

  /** A connection is open: nobody was told on it yet. */
  begin() {
    this.#forgetTyping();
  }

  #forgetTyping() {
    for (const { timer } of this.#typing.values()) this.#clock.clearTimeout(timer);
    this.#typing.clear();
  }

  stop() {
    this.#stopped = true;
    this.#forgetTyping();
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
