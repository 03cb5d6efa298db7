/**
 * Friends, requests and blocks: a list that follows the server by revision, and the commands that
 * change it. All of these may be repeated: they say what shall be, and answer what is.
 *
 * Invariant: a relation never goes back to an older revision, whichever way it came. `rev` moves only
 * with pages: an event says nothing of those before it, which may have been lost.
 *
 * @typedef {import('./messages.js').Calls} Calls
 *
 * @typedef {object} Relation
 * @property {string} user
 * @property {string} [name]
 * @property {'none' | 'requested' | 'received' | 'friend'} state `requested` by the user themself,
 *   `received` from the other one
 * @property {boolean} blocked by the user themself
 * @property {string} [note] of the request
 * @property {number} at milliseconds since the epoch
 * @property {number} rev
 */

export class Friends {
  #calls;
  #emit;
  /** Tombstones too: they keep older news from bringing somebody back. @type {Map<string, Relation>} */
  #relations = new Map();
  /** @type {Relation[] | null} */
  #list = null;
  #rev = 0;
  #loading = false;
  #wanted = 0;

  /** @param {Calls} calls @param {(type: string, event: any) => void} emit */
  constructor(calls, emit) {
    this.#calls = calls;
    this.#emit = emit;
  }

  /** Everybody to whom there is a relation, in the order of their ids; the same one until it changes. */
  get list() {
    this.#list ??= [...this.#relations.values()]
      .filter(({ state, blocked }) => state !== 'none' || blocked)
      .sort((a, b) => (a.user < b.user ? -1 : 1));
    return this.#list;
  }

  /** @param {string} user @returns {Relation | null} */
  of(user) {
    const relation = this.#relations.get(user);
    return relation && (relation.state !== 'none' || relation.blocked) ? relation : null;
  }

  /** Asks somebody to be friends; where they have asked already, accepts. @param {string} user @param {string} [note] */
  request(user, note) {
    return this.#change('friend_request', note ? { user, note } : { user });
  }

  /** @param {string} user */
  accept(user) {
    return this.#change('friend_accept', { user });
  }

  /** @param {string} user */
  reject(user) {
    return this.#change('friend_reject', { user });
  }

  /** Takes the own request back. @param {string} user */
  cancel(user) {
    return this.#change('friend_cancel', { user });
  }

  /** @param {string} user */
  remove(user) {
    return this.#change('friend_remove', { user });
  }

  /** @param {string} user */
  block(user) {
    return this.#change('friend_block', { user });
  }

  /** @param {string} user */
  unblock(user) {
    return this.#change('friend_unblock', { user });
  }

  // What the client tells.

  /** The server's list is at this revision. @param {number} rev */
  noticed(rev) {
    this.#wanted = Math.max(this.#wanted, rev);
    if (!this.#loading && this.#rev < this.#wanted) void this.#load();
  }

  /** @param {Relation} relation */
  told(relation) {
    if (!this.#take(relation)) return;
    this.#emit('relation', relation);
  }

  /** Another user, or a store of another epoch. */
  clear() {
    this.#relations.clear();
    this.#list = null;
    this.#rev = 0;
    this.#wanted = 0;
  }

  async #change(type, payload) {
    const { relation } = await this.#calls.ask(type, payload);
    if (relation) this.told(relation);
    return relation;
  }

  async #load() {
    this.#loading = true;
    try {
      let full = this.#rev === 0;
      for (let more = true; more || this.#rev < this.#wanted; ) {
        const since = this.#rev > 0 ? { since: this.#rev } : {};
        const page = await this.#calls.ask('friends', full && this.#rev > 0 ? { ...since, full } : since);
        if (page.reset) this.clear();
        full = page.more === true && (full || page.reset === true);
        for (const relation of page.relations) this.told(relation);
        more = page.more === true;
        // Without progress there is nothing to be had, whatever was announced.
        if (page.rev <= this.#rev) break;
        this.#rev = page.rev;
      }
    } catch {
      // The next sync says again that there is something newer.
    } finally {
      this.#loading = false;
    }
  }

  #take(relation) {
    const old = this.#relations.get(relation.user);
    if (old && old.rev >= relation.rev) return false;
    this.#relations.set(relation.user, relation);
    this.#list = null;
    return true;
  }
}
