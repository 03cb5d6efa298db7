/**
 * How long to wait before the next attempt: doubling up to a ceiling, and a random share of it, so
 * that the clients of a restarted server do not all come back at once.
 *
 * @typedef {object} ReconnectOptions
 * @property {number} [baseMs] ceiling of the first delay; 1,000 by default
 * @property {number} [maxMs] ceiling of every delay; 30,000 by default
 * @property {number} [attempts] attempts in a row before giving up; 10 by default, may be `Infinity`
 * @property {'full' | 'none'} [jitter] `full` by default: between zero and the ceiling
 * @property {number} [stableMs] a connection that lasted this long makes the count start again, as
 *   does one that was synced; 5,000 by default
 */

/** @type {Required<ReconnectOptions>} */
export const RECONNECT_DEFAULTS = {
  baseMs: 1_000,
  maxMs: 30_000,
  attempts: 10,
  jitter: 'full',
  stableMs: 5_000,
};

/**
 * @param {number} attempt 1 for the first
 * @param {{baseMs: number, maxMs: number, jitter: 'full' | 'none'}} options
 * @param {() => number} random from 0 to below 1
 * @returns {number} milliseconds
 */
export function backoffMs(attempt, { baseMs, maxMs, jitter }, random) {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
  return jitter === 'full' ? Math.floor(ceiling * random()) : ceiling;
}
