/**
 * A clock that a test moves, and chance from a seed. `settle` lets promises run between events, so
 * that time passes only when nothing else is left to do.
 */
export class TestClock {
  #now = 1_700_000_000_000;
  #timers = [];
  #order = 0;

  /** @param {() => number} random */
  constructor(random = () => 0.5) {
    this.random = random;
    this.now = () => this.#now;
    this.setTimeout = (f, ms) => {
      const timer = { at: this.#now + Math.max(0, ms), order: (this.#order += 1), f };
      this.#timers.push(timer);
      return timer;
    };
    this.clearTimeout = (timer) => {
      if (timer) this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Runs the next timer at or before `until`; false when there is none. */
  async step(until = Infinity) {
    await settle();
    let next = null;
    for (const timer of this.#timers) {
      if (timer.at > until) continue;
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    }
    if (!next) return false;
    this.clearTimeout(next);
    this.#now = Math.max(this.#now, next.at);
    next.f();
    await settle();
    return true;
  }

  /** Lets `ms` pass. */
  async advance(ms) {
    const until = this.#now + ms;
    while (await this.step(until));
    this.#now = until;
  }

  /** Lets time pass until a promise settles, at most ten minutes; gives its outcome. */
  async finish(promise) {
    let settled = false;
    const note = () => (settled = true);
    promise.then(note, note);
    if (!(await this.until(() => settled))) throw new Error('The promise did not settle.');
    return promise;
  }

  /** Lets time pass until `done()`, at most `ms`. */
  async until(done, ms = 600_000) {
    const end = this.#now + ms;
    await settle();
    while (!done()) {
      if (!(await this.step(end))) return false;
    }
    return true;
  }
}

/** Lets every promise that can settle do so. */
export async function settle() {
  for (let i = 0; i < 12; i += 1) await null;
}

/** Mulberry32: chance that a printed seed repeats. */
export function seeded(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
