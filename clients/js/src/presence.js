/**
 * Who is there. The server tells of those that this connection watches and whose privacy permits it;
 * what was watched is asked for again after each reconnection.
 *
 * @typedef {import('./messages.js').Calls} Calls
 * @typedef {{user: string, status: 'online' | 'away' | 'busy' | 'offline' | 'invisible', last_seen?: number,
 *   devices?: string[]}} PresenceOf
 */

/** Users in one question, and watched besides the friends: the ones asked for last. */
const USERS_MAX = 200;

export class Presence {
  #calls;
  #emit;
  /** @type {Map<string, PresenceOf>} */
  #known = new Map();
  /** @type {Set<string>} */
  #watched = new Set();
  #friends = false;

  /** @param {Calls} calls @param {(type: string, event: any) => void} emit */
  constructor(calls, emit) {
    this.#calls = calls;
    this.#emit = emit;
  }

  /** What was last told of a user; a watched friend of whom nothing was told is offline. @param {string} user @returns {PresenceOf | null} */
  of(user) {
    return this.#known.get(user) ?? null;
  }

  /**
   * Says how the user is; `away` is of this device, the others are the user's.
   * @param {'online' | 'away' | 'busy' | 'invisible'} status
   */
  set(status) {
    return this.#calls.ask('presence_set', { status });
  }

  /**
   * Asks once.
   * @param {string[]} users at most 200
   * @returns {Promise<PresenceOf[]>}
   */
  async get(users) {
    const { presences } = await this.#calls.ask('presence_get', { users });
    this.told(presences);
    return presences;
  }

  /**
   * Asks, and is told of changes by `online_status` from then on. Of more than 200 users those are
   * watched who were asked for last.
   * @param {string[]} users
   */
  async watch(users) {
    const known = users.every((user) => this.#watched.has(user));
    for (const user of users) {
      this.#watched.delete(user);
      this.#watched.add(user);
    }
    for (const user of this.#watched) {
      if (this.#watched.size <= USERS_MAX) break;
      this.#watched.delete(user);
    }
    if (!known) await this.#ask();
  }

  /** The same for all friends, also those of later. */
  async watchFriends() {
    this.#friends = true;
    await this.#ask();
  }

  // What the client tells.

  /** A connection is open: it watches nobody yet. */
  begin() {
    // The list of friends names only those who are there.
    if (this.#friends) this.#known.clear();
    this.#ask().catch(() => {
      // Whoever wants to know asks again.
    });
  }

  /** @param {PresenceOf[]} presences */
  told(presences) {
    for (const presence of presences) this.#known.set(presence.user, presence);
    if (presences.length > 0) this.#emit('online_status', { presences });
  }

  /** One question: each takes the place of the one before. */
  async #ask() {
    const users = [...this.#watched];
    if (users.length === 0 && !this.#friends) return;
    const friends = this.#friends ? { friends: true } : {};
    const { presences } = await this.#calls.ask('presence_get', { users, ...friends, watch: true });
    this.told(presences);
  }
}
