/**
 * Users: the own one with profile, privacy, roles and devices, and what others may see of theirs.
 *
 * @typedef {import('./messages.js').Calls} Calls
 * @typedef {{id: string, name?: string, avatar?: string, about?: string, data?: any}} PublicUser
 * @typedef {'everyone' | 'friends' | 'nobody'} Audience
 * @typedef {{presence: Audience, last_seen: Audience, messages: Audience, invites: Audience,
 *   receipts: boolean}} Privacy
 * @typedef {{user: PublicUser, privacy: Privacy, roles: string[], rev: number}} Me
 * @typedef {{id: string, kind?: string, name?: string, last_seen: number, current?: boolean,
 *   signed_out?: boolean}} Device
 */

export class People {
  #calls;
  #emit;
  /** As last told; null before `load`. @type {Me | null} */
  me = null;

  /** @param {Calls} calls @param {(type: string, event: any) => void} emit */
  constructor(calls, emit) {
    this.#calls = calls;
    this.#emit = emit;
  }

  /** Reads the own profile and settings. @returns {Promise<Me>} */
  async load() {
    this.#take(await this.#calls.ask('me', {}));
    return this.me;
  }

  /**
   * Changes the own profile; null takes a field away. The name is the token's.
   * @returns {Promise<Me>}
   * @param {{avatar?: string | null, about?: string | null, data?: any}} change
   */
  async update(change) {
    this.#take(await this.#calls.ask('profile_update', change));
    return this.me;
  }

  /** @param {Partial<Privacy>} change @returns {Promise<Me>} */
  async setPrivacy(change) {
    this.#take(await this.#calls.ask('privacy_update', change));
    return this.me;
  }

  /**
   * What may be seen of users, at most 100.
   * @param {string[]} users
   * @returns {Promise<PublicUser[]>} those that there are
   */
  async users(users) {
    return (await this.#calls.ask('users', { users })).users;
  }

  /**
   * Gives a user these roles besides those of their tokens, in place of what they were given before; for
   * those whom the server permits.
   * @param {string} user @param {string[]} roles @returns {Promise<void>}
   */
  async setRoles(user, roles) {
    await this.#calls.ask('user_roles', { user, roles });
  }

  /** Where the user is signed in. @returns {Promise<Device[]>} */
  async devices() {
    return (await this.#calls.ask('devices', {})).devices;
  }

  /**
   * Ends a device's sessions; its tokens of until now are of no use any more.
   * @param {string} device
   */
  signOut(device) {
    return this.#calls.ask('device_sign_out', { device });
  }

  /** The same for all devices but this one. */
  signOutOthers() {
    return this.#calls.ask('device_sign_out', { others: true });
  }

  // What the client tells.

  /** @param {Me} me */
  updated(me) {
    if (this.me && me.rev < this.me.rev) return;
    this.#take(me);
  }

  #take(me) {
    this.me = me;
    this.#emit('user_updated', me);
  }
}
