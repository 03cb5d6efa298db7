/**
 * Time and chance, in one object, so that a test can own both. Nothing else in the SDK calls
 * `Date.now`, timers or a random source.
 *
 * @typedef {object} Clock
 * @property {() => number} now milliseconds since the epoch
 * @property {(f: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} random from 0 to below 1
 */

/** @type {Clock} */
export const realClock = {
  now: () => Date.now(),
  setTimeout: (f, ms) => setTimeout(f, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: () => crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32,
};
