/**
 * Pushes: events whose type the sender chose. A durable one is an entry of a system conversation
 * (`system:all`, `system:role:NAME`, `system:user:ID`), of kind `push:TYPE`; a volatile one stands
 * nowhere and comes at most once.
 *
 * @typedef {object} Push
 * @property {string} type
 * @property {any} data as it was given
 * @property {string} from
 * @property {string} to
 * @property {number} at milliseconds since the epoch
 * @property {number} [expires_at]
 * @property {string} [conversation] of a durable one
 * @property {number} [seq]
 */

const PREFIX = 'push:';

/**
 * What the payload of an event of an unknown type says, if it is a push.
 * @param {string} type
 * @param {any} payload
 * @returns {any} an entry; without `conversation` where it is volatile
 */
export function entryOfPush(type, payload) {
  const { data, ...rest } = payload ?? {};
  if (data === undefined || typeof rest.from !== 'string' || typeof rest.at !== 'number') return null;
  return { ...rest, type: 'push', kind: PREFIX + type, content: data };
}

/**
 * @param {any} entry
 * @returns {Push}
 */
export function eventOfPush({ kind, content, from, to, at, expires_at, conversation, seq }) {
  const event = { type: kind.slice(PREFIX.length), data: content, from, to, at };
  if (expires_at) Object.assign(event, { expires_at });
  if (conversation) Object.assign(event, { conversation, seq });
  return event;
}

/**
 * @param {string | string[]} to
 * @param {string} type
 * @param {any} data
 * @param {{durable?: boolean, expiresInMs?: number}} options
 */
export function pushPayload(to, type, data, { durable = true, expiresInMs } = {}) {
  return { to, type, data, durable, ...(expiresInMs && { expires_in_ms: expiresInMs }) };
}
