/** One timer for all that is over at some time: it goes off at the earliest. */

/** Timers take no more, in milliseconds. */
const WAIT_MAX_MS = 2 ** 31 - 1;

export class Expiry {
  #clock;
  #run;
  #timer = null;
  #next = Infinity;

  /**
   * @param {import('./clock.js').Clock} clock
   * @param {(now: number) => number} run ends what is over; gives when the next is, `Infinity` for never
   */
  constructor(clock, run) {
    this.#clock = clock;
    this.#run = run;
  }

  /** Something is over at a time, if it is at all. @param {number | null | undefined} at milliseconds since the epoch */
  at(at) {
    if ((at ?? Infinity) >= this.#next) return;
    this.#next = at;
    this.#clock.clearTimeout(this.#timer);
    const wait = Math.min(WAIT_MAX_MS, Math.max(0, at - this.#clock.now()));
    this.#timer = this.#clock.setTimeout(() => {
      this.#next = Infinity;
      this.at(this.#run(this.#clock.now()));
    }, wait);
  }

  stop() {
    this.#clock.clearTimeout(this.#timer);
  }
}
