/**
 * What can be done to messages that are there. Each change is an entry of the conversation's log,
 * executed exactly once, also over reconnects; it shows when the log brings it.
 *
 * @typedef {import('./sending.js').Written} Written
 *
 * @typedef {object} Calls how commands get to the server
 * @property {(type: string, payload: object) => Promise<any>} ask may be asked again at will
 * @property {(type: string, payload: object, lane: string) => Promise<any>} write exactly once
 */

export class Messages {
  #calls;

  /** @param {Calls} calls */
  constructor(calls) {
    this.#calls = calls;
  }

  /**
   * Gives an own message another content, while the server's window for it is open.
   * @param {string} conversation
   * @param {number} seq
   * @param {any} content
   * @returns {Promise<Written>}
   */
  edit(conversation, seq, content) {
    return this.#change('edit', conversation, { seq, content });
  }

  /**
   * Takes an own message back, for everybody; `too_late` after the server's window for it.
   * @param {string} conversation
   * @param {number} seq
   * @returns {Promise<Written>}
   */
  recall(conversation, seq) {
    return this.#change('recall', conversation, { seq });
  }

  /**
   * Removes a message: from the user's own view, or by an admin of a group for all.
   * @param {string} conversation
   * @param {number} seq
   * @param {{for?: 'me' | 'all'}} [options]
   * @returns {Promise<any>}
   */
  delete(conversation, seq, { for: whom = 'me' } = {}) {
    return this.#change('delete', conversation, { seq, for: whom });
  }

  /**
   * Adds a reaction, or takes it back. Where it is so already, the ack is empty.
   * @param {string} conversation
   * @param {number} seq
   * @param {string} emoji
   * @param {boolean} [active]
   * @returns {Promise<Written>}
   */
  react(conversation, seq, emoji, active = true) {
    return this.#change('react', conversation, { seq, emoji, active });
  }

  /**
   * Pins a message for everybody, or takes the pin away.
   * @param {string} conversation
   * @param {number} seq
   * @param {boolean} [active]
   * @returns {Promise<Written>}
   */
  pin(conversation, seq, active = true) {
    return this.#change('pin', conversation, { seq, active });
  }

  /**
   * Hides everything up to `seq` from the user's own view.
   * @param {string} conversation
   * @param {number} seq
   */
  clear(conversation, seq) {
    return this.#change('clear', conversation, { seq });
  }

  /**
   * @param {string} conversation
   * @returns {Promise<{pins: {seq: number, by: string, at: number, entry: any}[]}>}
   */
  pins(conversation) {
    return this.#calls.ask('pins', { conversation });
  }

  /**
   * What a message said before, oldest first.
   * @param {string} conversation
   * @param {number} seq
   * @returns {Promise<{versions: {content: any, at: number}[]}>}
   */
  edits(conversation, seq) {
    return this.#calls.ask('edits', { conversation, seq });
  }

  /**
   * Who reacted, by pages.
   * @param {string} conversation
   * @param {number} seq
   * @param {{emoji?: string, after?: {emoji: string, user: string}, limit?: number}} [page]
   * @returns {Promise<{reactions: {emoji: string, user: string, at: number}[], more: boolean}>}
   */
  reactions(conversation, seq, { emoji, after, limit } = {}) {
    return this.#calls.ask('reactions', { conversation, seq, emoji, after, limit });
  }

  /**
   * How many have received and read a message, and in groups of up to 100 who.
   * @param {string} conversation
   * @param {number} seq
   * @returns {Promise<{received: number, read: number, total: number,
   *   members?: {user: string, received_seq: number, read_seq: number}[]}>}
   */
  receipts(conversation, seq) {
    return this.#calls.ask('receipts', { conversation, seq });
  }

  /**
   * One message in its present state; null where the user may not see it or it is gone.
   * @param {string} conversation
   * @param {number} seq
   * @returns {Promise<import('./replica.js').Entry | null>}
   */
  async at(conversation, seq) {
    const { entries } = await this.#calls.ask('history', { conversation, around: seq, limit: 1 });
    return entries.find((entry) => entry.seq === seq) ?? null;
  }

  #change(type, conversation, rest) {
    return this.#calls.write(type, { conversation, ...rest }, conversation);
  }
}
