/**
 * Who is there. The server tells of those that this connection watches and whose privacy permits it;
 * what was watched is asked for again after each reconnection.
 *
 * @typedef {import('./messages.js').Calls} Calls
 * @typedef {{user: string, status: 'online' | 'away' | 'busy' | 'offline', last_seen?: number,
 *   devices?: string[]}} PresenceOf
 */

/** Users in one question. */
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

  /** What was last told of a user. @param {string} user @returns {PresenceOf | null} */
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
   * Asks, and is told of changes by `online_status` from then on.
   * @param {string[]} users
   */
  async watch(users) {
    const news = users.filter((user) => !this.#watched.has(user));
    for (const user of news) this.#watched.add(user);
    await this.#ask(news);
  }

  /** The same for all friends. */
  async watchFriends() {
    this.#friends = true;
    const { presences } = await this.#calls.ask('presence_get', { friends: true, watch: true });
    this.told(presences);
  }

  // What the client tells.

  /** A connection is open: it watches nobody yet. */
  begin() {
    const failed = () => {
      // Whoever wants to know asks again.
    };
    if (this.#friends) this.watchFriends().catch(failed);
    this.#ask([...this.#watched]).catch(failed);
  }

  /** @param {PresenceOf[]} presences */
  told(presences) {
    for (const presence of presences) this.#known.set(presence.user, presence);
    if (presences.length > 0) this.#emit('online_status', { presences });
  }

  async #ask(users) {
    for (let at = 0; at < users.length; at += USERS_MAX) {
      const some = users.slice(at, at + USERS_MAX);
      const { presences } = await this.#calls.ask('presence_get', { users: some, watch: true });
      this.told(presences);
    }
  }
}
