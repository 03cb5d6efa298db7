/**
 * Groups. What changes one is an entry of the group's log, executed exactly once; the promise
 * resolves once it is durable. A group is named by its id or by its conversation (`group:ID`).
 *
 * @typedef {import('./sending.js').Written} Written
 * @typedef {import('./messages.js').Calls} Calls
 * @typedef {'invite' | 'approval' | 'open'} JoinPolicy
 * @typedef {'owner' | 'admin' | 'member'} Role
 */

export class Groups {
  #calls;
  #newId;

  /** @param {Calls} calls @param {() => string} newId makes client ids */
  constructor(calls, newId) {
    this.#calls = calls;
    this.#newId = newId;
  }

  /**
   * @param {string} name
   * @param {string[]} [members] invited at once
   * @param {{join?: JoinPolicy}} [options]
   * @returns {Promise<Written>} with `group` and `conversation`
   */
  create(name, members = [], { join = 'invite' } = {}) {
    // It has no log yet in whose order it could stand.
    return this.#calls.write('group_create', { name, members, join }, `new:${this.#newId()}`);
  }

  /**
   * @param {string} group
   * @param {{name?: string, join?: JoinPolicy, announcement?: string, retention_ms?: number}} change
   * @returns {Promise<Written>}
   */
  update(group, change) {
    return this.#change('group_update', group, change);
  }

  /** What stands above the conversation for all; empty for nothing. @param {string} group @param {string} announcement */
  announce(group, announcement) {
    return this.update(group, { announcement });
  }

  /** @param {string} group @param {string[]} members @returns {Promise<Written>} */
  invite(group, members) {
    return this.#change('group_invite', group, { members });
  }

  /**
   * Joins an open group or by a link; where it takes an approval, asks for it.
   * @param {string} group
   * @param {{link?: string, note?: string}} [options]
   * @returns {Promise<Written | {requested: true}>}
   */
  join(group, { link, note } = {}) {
    return this.#change('group_join', group, { link, note });
  }

  /** @param {string} group @returns {Promise<Written>} */
  leave(group) {
    return this.#change('group_leave', group, {});
  }

  /** @param {string} group @param {string} user @returns {Promise<Written>} */
  kick(group, user) {
    return this.#change('group_kick', group, { user });
  }

  /** @param {string} group @param {string} user @param {Role} role @returns {Promise<Written>} */
  setRole(group, user, role) {
    return this.#change('group_role', group, { user, role });
  }

  /** Makes somebody else the owner. @param {string} group @param {string} user @returns {Promise<Written>} */
  transfer(group, user) {
    return this.setRole(group, user, 'owner');
  }

  /** @param {string} group @returns {Promise<Written>} */
  dissolve(group) {
    return this.#change('group_dissolve', group, {});
  }

  /**
   * Keeps somebody out, for good or until a time.
   * @param {string} group
   * @param {string} user
   * @param {{until?: number}} [options] milliseconds since the epoch
   * @returns {Promise<Written>}
   */
  ban(group, user, { until } = {}) {
    return this.#change('group_ban', group, { user, until });
  }

  /** @param {string} group @param {string} user @returns {Promise<Written>} */
  unban(group, user) {
    return this.#change('group_unban', group, { user });
  }

  /**
   * Takes a member the word, or gives it back; without `user` all but owner and admins.
   * @param {string} group
   * @param {{user?: string, muted?: boolean, until?: number}} [options]
   * @returns {Promise<Written>}
   */
  mute(group, { user, muted = true, until } = {}) {
    return this.#change('group_mute', group, { user, muted, until });
  }

  /** Lets somebody in who asked. @param {string} group @param {string} user @returns {Promise<Written>} */
  approve(group, user) {
    return this.#change('group_approve', group, { user });
  }

  /** @param {string} group @param {string} user */
  reject(group, user) {
    return this.#calls.ask('group_reject', { group: bareGroup(group), user });
  }

  /**
   * Who asked to be let in.
   * @param {string} group
   * @param {{after?: string, limit?: number}} [page]
   * @returns {Promise<{requests: {user: string, name?: string, note?: string, at: number}[], more: boolean}>}
   */
  requests(group, { after, limit } = {}) {
    return this.#calls.ask('group_requests', { group: bareGroup(group), after, limit });
  }

  /**
   * A page of members in the order of user ids.
   * @param {string} group
   * @param {{after?: string, limit?: number}} [page]
   * @returns {Promise<{members: any[], count: number, next?: string}>}
   */
  members(group, { after, limit } = {}) {
    return this.#calls.ask('group_members', { group: bareGroup(group), after, limit });
  }

  /**
   * Who is kept out.
   * @param {string} group
   * @param {{after?: string, limit?: number}} [page]
   * @returns {Promise<{bans: {user: string, name?: string, by: string, at: number, until?: number}[], more: boolean}>}
   */
  bans(group, { after, limit } = {}) {
    return this.#calls.ask('group_bans', { group: bareGroup(group), after, limit });
  }

  /**
   * Makes a link by which people join without being asked.
   * @param {string} group
   * @param {{expiresInMs?: number, usesMax?: number}} [options]
   * @returns {Promise<{link: string, expires_at?: number, uses_max?: number}>}
   */
  createLink(group, { expiresInMs, usesMax } = {}) {
    const limits = { expires_in_ms: expiresInMs, uses_max: usesMax };
    return this.#calls.ask('group_link_create', { group: bareGroup(group), ...limits });
  }

  /**
   * The links that still let somebody in, by names that do not.
   * @param {string} group
   * @returns {Promise<{links: {link: string, by: string, at: number, expires_at?: number, uses_left?: number}[]}>}
   */
  links(group) {
    return this.#calls.ask('group_links', { group: bareGroup(group) });
  }

  /** Ends a link. @param {string} group @param {string} link itself, or its name in `links` */
  revokeLink(group, link) {
    return this.#calls.ask('group_link_revoke', { group: bareGroup(group), link });
  }

  #change(type, group, rest) {
    const id = bareGroup(group);
    return this.#calls.write(type, { group: id, ...rest }, `group:${id}`);
  }
}

/** Takes `group:ID` and `ID`. */
function bareGroup(group) {
  return group.startsWith('group:') ? group.slice('group:'.length) : group;
}
