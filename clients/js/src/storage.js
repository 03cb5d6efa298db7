/**
 * Where the outbox survives a restart. A storage keeps items apart, not one blob: two tabs of one
 * user then never overwrite each other, and a tab adopts what a closed one left (the client id makes
 * sending it twice harmless).
 *
 * @typedef {object} OutboxStorage
 * @property {(user: string) => StoredItem[] | Promise<StoredItem[]>} load everything kept for a user
 * @property {(user: string, item: StoredItem) => void | Promise<void>} put
 * @property {(user: string, clientId: string) => void | Promise<void>} remove
 *
 * @typedef {import('./outbox.js').StoredItem} StoredItem
 */

const PREFIX = 'hubbub/outbox/';

/**
 * Keeps the outbox in `localStorage` or something with its methods.
 * @param {Storage} storage
 * @returns {OutboxStorage}
 */
export function webStorage(storage) {
  const prefixOf = (user) => `${PREFIX}${user}/`;
  return {
    load(user) {
      const prefix = prefixOf(user);
      const items = [];
      for (let i = 0; i < storage.length; i += 1) {
        const key = storage.key(i);
        if (!key?.startsWith(prefix)) continue;
        try {
          const item = JSON.parse(storage.getItem(key));
          if (item?.clientId && item.type && item.payload && item.lane) items.push(item);
        } catch {
          // What is not ours to read stays untouched.
        }
      }
      return items;
    },
    put(user, { clientId, type, payload, lane, at }) {
      storage.setItem(prefixOf(user) + clientId, JSON.stringify({ clientId, type, payload, lane, at }));
    },
    remove(user, clientId) {
      storage.removeItem(prefixOf(user) + clientId);
    },
  };
}

/**
 * Keeps the outbox in memory: for tests, and for handing it from one client to the next.
 * @returns {OutboxStorage}
 */
export function memoryStorage() {
  /** @type {Map<string, Map<string, StoredItem>>} */
  const users = new Map();
  const of = (user) => users.get(user) ?? users.set(user, new Map()).get(user);
  return {
    load: (user) => [...of(user).values()],
    put: (user, { clientId, type, payload, lane, at }) =>
      void of(user).set(clientId, { clientId, type, payload, lane, at }),
    remove: (user, clientId) => void of(user).delete(clientId),
  };
}

/** `localStorage` where there is one and it may be used. @returns {OutboxStorage | null} */
export function defaultStorage() {
  try {
    return globalThis.document && globalThis.localStorage ? webStorage(globalThis.localStorage) : null;
  } catch {
    return null;
  }
}
