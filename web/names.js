/** What people are called and whether they are there: asked for when somebody is first shown. */

/** Names asked for together after this time, in milliseconds. */
const GATHER_MS = 30;
const USERS_MAX = 100;
const KEPT_MAX = 2_000;

export class Names {
  #client;
  #changed;
  /** @type {Map<string, string>} */
  #names = new Map();
  /** @type {Set<string>} */
  #wanted = new Set();
  #timer = null;

  /** @param {import('/sdk/index.js').Client} client @param {() => void} changed a name became known */
  constructor(client, changed) {
    this.#client = client;
    this.#changed = changed;
  }

  /** The display name, or the id until it is known. @param {string} user */
  of(user) {
    const known = this.#names.get(user);
    if (known !== undefined) return known;
    if (this.#names.size >= KEPT_MAX) this.#names.clear();
    this.#names.set(user, user);
    this.#wanted.add(user);
    this.#timer ??= setTimeout(() => this.#ask(), GATHER_MS);
    return user;
  }

  /** The name came some other way. @param {string} user @param {string | undefined} name */
  learn(user, name) {
    if (name) this.#names.set(user, name);
  }

  async #ask() {
    this.#timer = null;
    const users = [...this.#wanted].slice(0, USERS_MAX);
    for (const user of users) this.#wanted.delete(user);
    try {
      const found = await this.#client.people.users(users);
      for (const { id, name } of found) this.learn(id, name);
      if (found.some(({ id, name }) => name && name !== id)) this.#changed();
    } catch {
      // The id is shown instead.
    }
    if (this.#wanted.size > 0) this.#timer ??= setTimeout(() => this.#ask(), GATHER_MS);
  }
}
