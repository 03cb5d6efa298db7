/**
 * What of one conversation's log is shown: the newest stretch, and beside it an older one that
 * somebody looks at, until the two meet.
 *
 * Invariant: a message is shown as the log has it up to its `asOf`, whichever came first, the message
 * or what changed it: updates are kept for pages of history that were read before them. Pure.
 *
 * @typedef {import('./replica.js').Entry} Entry
 * @typedef {import('./updates.js').Shown} Shown
 * @typedef {import('./window.js').Page} Page
 */
import { withUpdate } from './updates.js';
import { Window } from './window.js';

/** Updates kept for pages of history that were read before they came. */
const UPDATES_MAX = 500;
const HIDDEN_MAX = 1_000;

export class Timeline {
  live = new Window(1);
  /** @type {Window | null} */
  aside = null;
  /** The newest entry where a sync brought none. @type {Shown | null} */
  preview = null;
  /** The first seq that the user may see. */
  first = 1;
  /** Everything up to here the user cleared. */
  cleared = 0;
  /** @type {Set<number>} */
  #hidden = new Set();
  /** @type {Entry[]} */
  #updates = [];
  /** Seq of the newest update that found no room. */
  #forgotten = 0;

  /** What is looked at. */
  get shown() {
    return this.aside ?? this.live;
  }

  /** The log begins anew. @param {number} fromSeq @param {number} floor everything up to here is gone */
  reset(fromSeq, floor) {
    this.live = new Window(fromSeq);
    this.live.older = fromSeq > Math.max(this.first, floor + 1);
    this.aside = null;
    this.#updates = [];
    this.#forgotten = 0;
    this.#hidden.clear();
    this.cleared = 0;
  }

  /** The next entry of the log. @param {Entry} entry @param {string | null} me @param {number} now */
  append(entry, me, now) {
    if (entry.type === 'message_updated') {
      this.#updates.push(entry);
      if (this.#updates.length > UPDATES_MAX) this.#forgotten = this.#updates.shift().seq;
      for (const window of this.#windows()) window.update(entry, me);
      if (this.preview?.seq === entry.target_seq) this.preview = withUpdate(this.preview, entry, me);
    } else if (this.isShown(entry, now)) {
      this.live.append(entry);
    }
    this.live.through = entry.seq;
  }

  /** Where no entry stands that is shown, this one does in the list. @param {Entry} entry @param {number} asOf @param {number} now */
  setPreview(entry, asOf, now) {
    if (this.live.messages.length > 0 || entry.type === 'message_updated') return;
    if (this.isShown(entry, now)) this.preview = { ...entry, asOf };
  }

  /** A page that ends where what is shown begins. @param {Page} page @param {number} before @param {string | null} me @param {number} now */
  prepend(page, before, me, now) {
    if (this.shown.from !== before || page.head_seq < this.#forgotten) return;
    this.shown.prepend(this.#present(page, me, now), page, Math.max(this.first, this.cleared + 1));
  }

  /** A page around a seq: shown instead of the newest messages, or with them. @param {Page} page @param {string | null} me @param {number} now */
  around(page, me, now) {
    if (page.head_seq < this.#forgotten) return;
    const messages = this.#present(page, me, now);
    const from = page.from_seq ?? messages[0]?.seq;
    const through = page.through_seq ?? messages.at(-1)?.seq;
    if (from === undefined || through === undefined) return;
    this.aside = new Window(from, through);
    this.aside.messages = messages;
    this.aside.older = from > Math.max(this.first, this.cleared + 1, (page.floor_seq ?? 0) + 1);
    this.#meet();
  }

  /** A page behind the older stretch. @param {Page} page @param {number} after @param {string | null} me @param {number} now */
  extend(page, after, me, now) {
    if (this.aside?.through !== after || page.head_seq < this.#forgotten) return;
    this.aside.extend(this.#present(page, me, now), page);
    if (!page.more) this.aside.through = Math.max(this.aside.through, this.live.from - 1);
    this.#meet();
  }

  /** The user does not want to see these any more. @param {number[]} seqs @param {number} through */
  hide(seqs, through) {
    this.cleared = Math.max(this.cleared, through);
    for (const seq of seqs) this.#hidden.add(seq);
    for (const seq of this.#hidden) {
      if (this.#hidden.size <= HIDDEN_MAX) break;
      this.#hidden.delete(seq);
    }
    this.drop(({ seq }) => this.#isHidden(seq));
    for (const window of this.#windows()) if (window.from <= this.cleared + 1) window.older = false;
  }

  /** @param {(message: Shown) => boolean} gone @returns {boolean} something was shown and is not any more */
  drop(gone) {
    let dropped = false;
    for (const window of this.#windows()) if (window.drop(gone)) dropped = true;
    if (this.preview && gone(this.preview)) {
      this.preview = null;
      dropped = true;
    }
    return dropped;
  }

  /** @param {Entry} entry @param {number} now */
  isShown(entry, now) {
    return !this.#isHidden(entry.seq) && (entry.expires_at ?? Infinity) > now;
  }

  #isHidden(seq) {
    return seq <= this.cleared || this.#hidden.has(seq);
  }

  #windows() {
    return this.aside ? [this.live, this.aside] : [this.live];
  }

  /** A page's entries, with the updates that came after it was read. @returns {Shown[]} */
  #present(page, me, now) {
    const messages = page.entries
      .filter((entry) => this.isShown(entry, now))
      .map((entry) => ({ ...entry, asOf: page.head_seq }));
    const later = this.#updates.filter((update) => update.seq > page.head_seq);
    if (later.length === 0) return messages;
    return messages.map((message) =>
      later
        .filter((update) => update.target_seq === message.seq)
        .reduce((shown, update) => withUpdate(shown, update, me), message),
    );
  }

  /** Where the older stretch has reached the newest one, they become one. */
  #meet() {
    if (this.aside.through < this.live.from - 1) return;
    this.aside.join(this.live);
    this.live = this.aside;
    this.aside = null;
  }
}
