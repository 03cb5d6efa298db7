/**
 * Events with several listeners. A listener that throws is reported and disturbs nobody else:
 * what was emitted counts as delivered.
 */
export class Emitter {
  /** @type {Map<string, Set<(event: any) => void>>} */
  #listeners = new Map();
  #report;

  /** @param {(error: unknown) => void} [report] called with what a listener threw */
  constructor(report = () => {}) {
    this.#report = report;
  }

  /**
   * Listens.
   * @param {string} type
   * @param {(event: any) => void} listener
   * @param {{signal?: AbortSignal}} [options] `signal` ends the listening when aborted
   * @returns {() => void} ends the listening
   */
  on(type, listener, { signal } = {}) {
    // A wrapper of its own, so that the same function registered twice is two listeners.
    const entry = (event) => listener(event);
    const stop = () => {
      this.#listeners.get(type)?.delete(entry);
      signal?.removeEventListener('abort', stop);
    };
    if (signal?.aborted) return stop;
    const set = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, set.add(entry));
    signal?.addEventListener('abort', stop, { once: true });
    return stop;
  }

  /**
   * Calls every listener, in the order in which they came.
   * @param {string} type
   * @param {any} event
   */
  emit(type, event) {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
