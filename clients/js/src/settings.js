/**
 * What the user sets for a conversation, for all of their devices: shown at once, told to the server
 * as it can be. Of several changes before an answer only what they come to is sent.
 *
 * @typedef {import('./messages.js').Calls} Calls
 * @typedef {{pinned?: boolean, muted_until?: number | null, hidden?: boolean, marked_unread?: boolean,
 *   draft?: string | null}} Change
 */

/** Until somebody ends it: as far as whole numbers are exact everywhere. */
export const FOREVER_MS = Number.MAX_SAFE_INTEGER;

export class Settings {
  #calls;
  #store;
  /** What is not sent yet, by conversation. @type {Map<string, Change>} */
  #waiting = new Map();
  /** @type {Set<string>} */
  #sending = new Set();

  /** @param {Calls} calls @param {import('./store.js').Store} store */
  constructor(calls, store) {
    this.#calls = calls;
    this.#store = store;
  }

  /** Keeps a conversation at the top of the list. @param {string} conversation @param {boolean} [pinned] */
  pin(conversation, pinned = true) {
    return this.update(conversation, { pinned });
  }

  /**
   * No notifications of a conversation until a time; mentions pierce it.
   * @param {string} conversation
   * @param {number} [until] milliseconds since the epoch
   */
  mute(conversation, until = FOREVER_MS) {
    return this.update(conversation, { muted_until: until });
  }

  /** Notifications again. @param {string} conversation */
  unmute(conversation) {
    return this.update(conversation, { muted_until: null });
  }

  /** Takes a conversation out of the list until something new comes. @param {string} conversation @param {boolean} [hidden] */
  hide(conversation, hidden = true) {
    return this.update(conversation, { hidden });
  }

  /** @param {string} conversation @param {boolean} [unread] */
  markUnread(conversation, unread = true) {
    return this.update(conversation, { marked_unread: unread });
  }

  /** What is half written; empty for nothing. @param {string} conversation @param {string} text */
  draft(conversation, text) {
    return this.update(conversation, { draft: text === '' ? null : text });
  }

  /**
   * @param {string} conversation
   * @param {Change} change
   * @returns {Promise<void>} resolves when the server has it
   */
  async update(conversation, change) {
    this.#store.settings({ conversation, ...change });
    this.#waiting.set(conversation, { ...this.#waiting.get(conversation), ...change });
    if (this.#sending.has(conversation)) return;
    this.#sending.add(conversation);
    try {
      for (let next = this.#take(conversation); next; next = this.#take(conversation)) {
        await this.#calls.ask('conversation_update', { conversation, ...next });
      }
    } finally {
      this.#sending.delete(conversation);
    }
  }

  #take(conversation) {
    const next = this.#waiting.get(conversation);
    this.#waiting.delete(conversation);
    return next;
  }
}
