/**
 * A stretch of a conversation as it is shown: messages in their present state, ascending, with
 * nothing missing between the first and the last seq that it covers.
 *
 * Pure. What is put in front or behind must continue it; what does not is left out.
 *
 * @typedef {import('./updates.js').Shown} Shown
 * @typedef {import('./replica.js').Entry} Entry
 *
 * @typedef {object} Page a page of history
 * @property {Entry[]} entries
 * @property {number} head_seq the state is that of the log up to here
 * @property {number} [floor_seq] everything up to here is gone
 * @property {number} [from_seq] the stretch that the page covers
 * @property {number} [through_seq]
 * @property {boolean} more in the direction asked for
 */
import { withUpdate } from './updates.js';

export class Window {
  /** @type {Shown[]} */
  messages = [];
  /** Everything from here on to `through` that can be shown is in it. */
  from;
  through;
  /** History has more in front of it. */
  older = false;
  /** The log has more behind it. */
  newer = false;

  /** @param {number} from @param {number} [through] */
  constructor(from, through = from - 1) {
    this.from = from;
    this.through = through;
  }

  /** @param {number} seq @returns {Shown | null} */
  at(seq) {
    const index = this.#indexOf(seq);
    return index < 0 ? null : this.messages[index];
  }

  /** The next entry of the log. @param {Entry} entry */
  append(entry) {
    this.messages.push({ ...entry, asOf: entry.seq });
    this.through = Math.max(this.through, entry.seq);
  }

  /**
   * @param {Entry} update
   * @param {string | null} me
   * @returns {boolean} something changed
   */
  update(update, me) {
    const index = this.#indexOf(update.target_seq);
    if (index < 0) return false;
    const next = withUpdate(this.messages[index], update, me);
    if (next === this.messages[index]) return false;
    this.messages[index] = next;
    return true;
  }

  /** A page that ends in front of it. @param {Shown[]} shown @param {Page} page @param {number} first */
  prepend(shown, page, first) {
    this.messages = [...shown, ...this.messages];
    const begins = page.from_seq ?? shown[0]?.seq;
    this.older = page.more && begins !== undefined;
    this.from = Math.min(this.from, this.older ? begins : Math.min(begins ?? first, first));
  }

  /** A page that begins behind it. @param {Shown[]} shown @param {Page} page */
  extend(shown, page) {
    this.messages = [...this.messages, ...shown];
    this.through = Math.max(this.through, page.through_seq ?? shown.at(-1)?.seq ?? this.through);
    this.newer = page.more;
  }

  /** Takes a window that overlaps or follows this one behind it. @param {Window} behind */
  join(behind) {
    const last = this.messages.at(-1)?.seq ?? 0;
    this.messages = [...this.messages, ...behind.messages.filter(({ seq }) => seq > last)];
    this.through = Math.max(this.through, behind.through);
    this.newer = behind.newer;
  }

  /** @param {(message: Shown) => boolean} gone @returns {boolean} something was dropped */
  drop(gone) {
    const kept = this.messages.filter((message) => !gone(message));
    if (kept.length === this.messages.length) return false;
    this.messages = kept;
    return true;
  }

  /** Keeps the newest. @param {number} max */
  trim(max) {
    if (this.messages.length <= max) return;
    this.messages = this.messages.slice(-max);
    this.from = this.messages[0].seq;
    this.older = true;
  }

  #indexOf(seq) {
    let low = 0;
    let high = this.messages.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const here = this.messages[middle].seq;
      if (here === seq) return middle;
      if (here < seq) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}
