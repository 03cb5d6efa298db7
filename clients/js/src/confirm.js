/**
 * Tells the server how far this device is (`received`), coalesced: a conversation at most every
 * 200 ms or 50 entries. Best effort by design: what is lost is sent again with the next entry or
 * after the next sync, and the server's redelivery is answered in any case.
 */
const INTERVAL_MS = 200;
const ENTRIES = 50;

export class Confirm {
  /** Entries since the last confirmation, by conversation. @type {Map<string, number>} */
  #dirty = new Map();
  #timer = null;
  #clock;
  #send;

  /**
   * @param {import('./clock.js').Clock} clock
   * @param {(conversation: string) => void} send sends `received` with the present cursor
   */
  constructor(clock, send) {
    this.#clock = clock;
    this.#send = send;
  }

  /** @param {string} conversation its cursor moved, or the server repeated what is known */
  touch(conversation) {
    const count = (this.#dirty.get(conversation) ?? 0) + 1;
    if (count >= ENTRIES) {
      this.#dirty.delete(conversation);
      this.#send(conversation);
      return;
    }
    this.#dirty.set(conversation, count);
    this.#timer ??= this.#clock.setTimeout(() => this.#flush(), INTERVAL_MS);
  }

  #flush() {
    this.#timer = null;
    const conversations = [...this.#dirty.keys()];
    this.#dirty.clear();
    for (const conversation of conversations) this.#send(conversation);
  }

  stop() {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
    this.#dirty.clear();
  }
}
