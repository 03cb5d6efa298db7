/**
 * Commands that may be asked again at will (reads, and cursors): they wait for the connection, are
 * asked again after a cut or a retryable refusal, and fail after a while. Bounded in count.
 *
 * @typedef {object} Request
 * @property {string} type
 * @property {object} payload
 * @property {number} deadline milliseconds since the epoch
 * @property {number} notBefore
 * @property {number} refusals
 * @property {(payload: any) => void} resolve
 * @property {(error: Error) => void} reject
 */
import { refuse } from './errors.js';

const WAITING_MAX = 1_000;
const PATIENCE_MS = 60_000;
const RETRY_MS = 500;
const REFUSALS_MAX = 5;

export class Requests {
  /** @type {Request[]} */
  #waiting = [];
  #clock;
  #wake;
  #timer = null;

  /**
   * @param {import('./clock.js').Clock} clock
   * @param {() => void} wake called when something may be sent again
   */
  constructor(clock, wake) {
    this.#clock = clock;
    this.#wake = wake;
  }

  /**
   * @param {string} type
   * @param {object} payload
   * @returns {Promise<any>} the ack's payload
   */
  ask(type, payload) {
    if (this.#waiting.length >= WAITING_MAX) return Promise.reject(refuse('queue_full'));
    return new Promise((resolve, reject) => {
      const deadline = this.#clock.now() + PATIENCE_MS;
      this.#waiting.push({ type, payload, deadline, notBefore: 0, refusals: 0, resolve, reject });
      this.#wake();
      this.#watch();
    });
  }

  /**
   * Sends the next one.
   * @param {import('./connection.js').Connection} connection
   * @returns {boolean} there was one
   */
  sendNext(connection) {
    const now = this.#clock.now();
    const index = this.#waiting.findIndex((request) => request.notBefore <= now);
    if (index < 0) return false;
    const [request] = this.#waiting.splice(index, 1);
    connection.call(request.type, request.payload, (error, payload) => {
      if (!error) {
        request.resolve(payload);
        this.#wake();
      } else if (error.reason === 'disconnected') {
        this.#waiting.unshift(request);
        this.#watch();
      } else if (error.retry && ++request.refusals < REFUSALS_MAX) {
        request.notBefore = this.#clock.now() + (error.retryAfterMs ?? RETRY_MS * request.refusals);
        this.#waiting.unshift(request);
        this.#watch();
      } else {
        request.reject(error);
        this.#wake();
      }
    });
    return true;
  }

  /** @param {Error} error the outcome of everything that waits */
  fail(error) {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const request of waiting) request.reject(error);
  }

  /** Wakes for the next retry and ends what waited too long. */
  #watch() {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
    const now = this.#clock.now();
    const late = this.#waiting.filter((request) => request.deadline <= now);
    if (late.length > 0) {
      this.#waiting = this.#waiting.filter((request) => request.deadline > now);
      for (const request of late) request.reject(refuse('timeout'));
    }
    const next = Math.min(
      ...this.#waiting.map((r) => (r.notBefore > now ? Math.min(r.notBefore, r.deadline) : r.deadline)),
    );
    if (next < Infinity) {
      this.#timer = this.#clock.setTimeout(() => {
        this.#watch();
        this.#wake();
      }, next - now);
    }
  }
}
