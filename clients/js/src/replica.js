/**
 * The client's copy of its conversations' logs, as far as order is concerned: one cursor each.
 *
 * Invariant: what is delivered of a conversation is dense and ascending, every seq once, whatever
 * arrives, in whatever order and however often. A jump happens only where the server said `reset`,
 * and is announced. What came too early is held (bounded in count and bytes) and the hole in front
 * of it is pulled after a second, the time that what overtook needs.
 *
 * Pure: no timers, no sockets. `due` says what to pull; the caller does it and reports back.
 *
 * @typedef {import('./updates.js').Entry} Entry
 * @typedef {{type: 'void', conversation: string, seq: number, through: number}} Hidden
 * @typedef {Entry | Hidden} Item
 *
 * @typedef {object} Log
 * @property {string} id
 * @property {number | null} cursor everything up to here was delivered; null until a sync told
 * @property {boolean} stale a cursor of an earlier epoch was dropped
 * @property {number} head the newest seq known of
 * @property {number} headSincePull the newest that was heard of since the pull under way was asked
 *   for, which its answer may be too old to know
 * @property {Map<number, {item: Item, bytes: number}>} held what came too early, by seq
 * @property {number | null} gapAt when the hole is to be pulled
 * @property {boolean} pulling
 * @property {number} fruitless pulls in a row that brought nothing
 */

/** How long what overtook may take, in milliseconds. */
export const OVERTAKING_MS = 1_000;
/** Most cursors in one `sync`. */
const SYNC_CURSORS_MAX = 1_000;
/** What stands around the cursors of a `sync`, at most. */
const SYNC_ENVELOPE_BYTES = 512;
/** What a cursor takes besides its conversation's id (which is ASCII): a number and punctuation. */
const CURSOR_BYTES = 24;
const HELD_ITEMS_MAX = 1_000;
const HELD_BYTES_MAX = 1_000_000;
const FRUITLESS_MAX = 3;

/** @param {Item} item */
const throughOf = (item) => (item.type === 'void' ? item.through : item.seq);
/** @param {Item} item Roughly what it occupies, in bytes. */
const weightOf = (item) =>
  item.type === 'void' ? 64 : 256 + (JSON.stringify(item.content)?.length ?? 0) * 2;
/** @param {Log} log @param {number} head */
const know = (log, head) => {
  log.head = Math.max(log.head, head);
  log.headSincePull = Math.max(log.headSincePull, head);
};
/** @param {Log} log The end of what was delivered or is held. */
const endOf = (log) => {
  let end = log.cursor ?? 0;
  for (const { item } of log.held.values()) end = Math.max(end, throughOf(item));
  return end;
};

export class Replica {
  /** @type {Map<string, Log>} */
  #logs = new Map();
  /** The logs with a `gapAt`. @type {Set<Log>} */
  #gaps = new Set();
  #out;
  #heldItems = 0;
  #heldBytes = 0;
  /** Live items that came while a sync was under way. @type {Item[]} */
  #waiting = [];
  #waitingBytes = 0;
  #syncing = false;
  #again = false;
  /** @type {string | null} */
  epoch = null;
  /** @type {number | null} */
  rev = null;

  /**
   * @param {object} out
   * @param {(entry: Entry) => void} out.entry the next entry of a conversation
   * @param {(conversation: string, cursor: number) => void} out.advanced the cursor moved
   * @param {(summary: any, change: {reset: boolean, fromSeq: number}) => void} out.summary
   *   what a sync says about a conversation, before its entries
   * @param {(conversation: string) => void} out.gone it does not exist any more
   * @param {() => void} out.needSync a sync is wanted
   * @param {{epoch: string, cursors: Record<string, number>, rev?: number}} [position] where an
   *   earlier run of the application had got
   */
  constructor(out, position) {
    this.#out = out;
    if (position) {
      this.epoch = position.epoch;
      this.rev = position.rev ?? null;
      for (const [id, cursor] of Object.entries(position.cursors)) this.#log(id).cursor = cursor;
    }
  }

  /** Where the application has got, to be given to the next run. */
  position() {
    /** @type {Record<string, number>} */
    const cursors = {};
    for (const [id, log] of this.#logs) if (log.cursor !== null) cursors[id] = log.cursor;
    return { epoch: this.epoch, cursors, rev: this.rev };
  }

  /** @param {string} conversation */
  cursorOf(conversation) {
    return this.#logs.get(conversation)?.cursor ?? null;
  }

  /**
   * A connection is open: until its sync is applied, live items wait.
   * @param {string} epoch of the store behind it
   */
  begin(epoch) {
    if (this.epoch !== epoch) {
      for (const log of this.#logs.values()) {
        this.#release(log, Infinity);
        if (log.cursor !== null) log.stale = true;
        Object.assign(log, { cursor: null, head: 0 });
        this.#setGap(log, null);
      }
      this.epoch = epoch;
      this.rev = null;
    }
    for (const log of this.#logs.values()) Object.assign(log, { pulling: false, fruitless: 0 });
    this.beginSync();
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** A sync is about to be asked for. */
  beginSync() {
    this.#syncing = true;
    this.#again = false;
  }

  get syncing() {
    return this.#syncing;
  }

  /**
   * The payload of the next `sync`. What finds no room is answered as if it were not known, and the
   * hole that may leave is pulled.
   * @param {number} [bytesMax] how large it may be
   */
  syncRequest(bytesMax = Infinity) {
    /** @type {Record<string, number>} */
    const cursors = {};
    let count = 0;
    let bytes = SYNC_ENVELOPE_BYTES;
    // The map is kept in the order of activity: the last ones are the liveliest.
    for (const [id, log] of [...this.#logs].reverse()) {
      if (log.cursor === null) continue;
      count += 1;
      bytes += id.length + CURSOR_BYTES;
      if (count > SYNC_CURSORS_MAX || bytes > bytesMax) break;
      cursors[id] = log.cursor;
    }
    return this.rev === null
      ? { epoch: this.epoch, cursors }
      : { epoch: this.epoch, cursors, rev: this.rev };
  }

  /**
   * Takes one page of a sync.
   * @param {any} page payload of the ack
   * @param {number} now milliseconds
   * @returns {boolean} another `sync` must follow
   */
  applySync(page, now) {
    if (page.epoch !== this.epoch) {
      // The store was exchanged between `connected` and this answer.
      this.begin(page.epoch);
    }
    for (const conversation of page.conversations) this.#applySynced(conversation);
    this.rev = page.rev;
    if (page.more) return true;
    for (const [id, log] of this.#logs) {
      if (log.cursor !== null) continue;
      if (log.stale) {
        this.#release(log, Infinity);
        this.#setGap(log, null);
        this.#logs.delete(id);
        this.#out.gone(id);
      } else if (log.held.size > 0 && ++log.fruitless > 1) {
        // Twice not named although something of it came: its log begins for us with what came.
        log.cursor = Math.min(...log.held.keys()) - 1;
        this.#drain(log, now);
      } else if (log.held.size > 0) {
        this.#again = true;
      }
    }
    this.#syncing = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const again = this.#again;
    for (const item of waiting) this.offer(item, now);
    if (again) this.#out.needSync();
    return false;
  }

  #applySynced({ reset = false, from_seq: fromSeq, entries, more: _, ...summary }) {
    const log = this.#log(summary.id);
    const jump = reset || log.cursor === null;
    if (jump) {
      const announced = reset || log.stale;
      log.cursor = fromSeq - 1;
      log.stale = false;
      this.#setGap(log, null);
      this.#release(log, log.cursor);
      log.head = endOf(log);
      this.#out.summary(summary, { reset: announced, fromSeq });
      this.#drain(log, 0);
    } else {
      this.#out.summary(summary, { reset: false, fromSeq });
    }
    log.fruitless = 0;
    for (const item of entries) this.#accept(item, 0);
    this.#note(log, summary.head_seq, 0);
  }

  /** The sync failed or the connection ended: what waits is dropped, the next sync brings it. */
  abandonSync() {
    this.#syncing = false;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /**
   * Takes an entry or void that was pushed, or that an own command's ack told of.
   * @param {Item} item
   * @param {number} [now] milliseconds; when it came
   */
  offer(item, now = 0) {
    if (this.#syncing) {
      const bytes = weightOf(item);
      if (
        this.#waiting.length >= HELD_ITEMS_MAX ||
        this.#waitingBytes + bytes > HELD_BYTES_MAX
      ) {
        this.#again = true;
        return;
      }
      this.#waiting.push(item);
      this.#waitingBytes += bytes;
      return;
    }
    this.#accept(item, now);
  }

  /**
   * The server named a newer head (`lag`, the ping's `heads`, the ack of a group command).
   * @param {string | undefined} conversation every one when absent
   * @param {number | undefined} head
   * @param {number} now milliseconds
   */
  note(conversation, head, now) {
    const log = conversation === undefined ? undefined : this.#logs.get(conversation);
    if (head === undefined || !log || log.cursor === null) {
      this.#wantSync();
    } else {
      this.#note(log, head, now);
    }
  }

  /**
   * The holes that are to be pulled now. Each must be answered by `applyPull` or `pullFailed`.
   * @param {number} now milliseconds
   * @param {number} [max] how many
   * @returns {{conversation: string, from: number, to: number}[]}
   */
  due(now, max = Infinity) {
    if (this.#syncing) return [];
    const pulls = [];
    for (const log of this.#gaps) {
      if (pulls.length >= max) break;
      if (log.gapAt > now || log.pulling || log.cursor === null) continue;
      log.pulling = true;
      log.headSincePull = 0;
      const first = log.held.size > 0 ? Math.min(...log.held.keys()) - 1 : 0;
      pulls.push({ conversation: log.id, from: log.cursor + 1, to: Math.max(log.head, first) });
    }
    return pulls;
  }

  /** When `due` will next have something; null when nothing is missing. */
  get nextDue() {
    if (this.#syncing) return null;
    let next = null;
    for (const log of this.#gaps) {
      if (log.pulling || log.cursor === null) continue;
      if (next === null || log.gapAt < next) next = log.gapAt;
    }
    return next;
  }

  /**
   * Takes the answer to a pull.
   * @param {string} conversation
   * @param {{entries: Item[], head_seq: number, more: boolean}} page
   * @param {number} now milliseconds
   */
  applyPull(conversation, page, now) {
    const log = this.#logs.get(conversation);
    if (!log || log.cursor === null) return;
    log.pulling = false;
    const before = log.cursor;
    for (const item of page.entries) this.#accept(item, now);
    if (!page.more) {
      // Whatever was said of a later head before the pull was asked for is not so.
      log.head = Math.max(page.head_seq, endOf(log), log.headSincePull);
      if (log.head <= log.cursor) {
        log.fruitless = 0;
        this.#setGap(log, null);
        return;
      }
    }
    if (log.cursor > before) {
      log.fruitless = 0;
      if (log.gapAt !== null) this.#setGap(log, now);
    } else {
      this.#noProgress(log, now);
    }
  }

  /**
   * A pull was refused for good.
   * @param {string} conversation
   * @param {number} now milliseconds
   */
  pullFailed(conversation, now) {
    const log = this.#logs.get(conversation);
    if (!log) return;
    log.pulling = false;
    this.#noProgress(log, now);
  }

  /** Waits longer each time; in the end gives up and lets a sync say where the log continues. */
  #noProgress(log, now) {
    if (log.gapAt === null) return;
    log.fruitless += 1;
    if (log.fruitless < FRUITLESS_MAX) {
      this.#setGap(log, now + OVERTAKING_MS * 2 ** log.fruitless);
      return;
    }
    this.#release(log, Infinity);
    Object.assign(log, { head: log.cursor, fruitless: 0 });
    this.#setGap(log, null);
    this.#wantSync();
  }

  #wantSync() {
    if (this.#syncing) this.#again = true;
    else this.#out.needSync();
  }

  /** @returns {Log} */
  #log(id) {
    let log = this.#logs.get(id);
    if (!log) {
      log = {
        id,
        cursor: null,
        stale: false,
        head: 0,
        headSincePull: 0,
        held: new Map(),
        gapAt: null,
        pulling: false,
        fruitless: 0,
      };
      this.#logs.set(id, log);
    }
    return log;
  }

  #note(log, head, now) {
    know(log, head);
    if (log.head > log.cursor) this.#setGap(log, Math.min(log.gapAt ?? now, now));
  }

  #accept(item, now) {
    const log = this.#log(item.conversation);
    if (log.cursor === null) {
      this.#hold(log, item, now);
      this.#wantSync();
    } else if (throughOf(item) <= log.cursor) {
      return;
    } else if (item.seq <= log.cursor + 1) {
      this.#apply(log, item);
      this.#drain(log, now);
    } else {
      this.#hold(log, item, now);
    }
  }

  #apply(log, item) {
    log.cursor = throughOf(item);
    this.#logs.delete(item.conversation);
    this.#logs.set(item.conversation, log);
    if (item.type !== 'void') this.#out.entry(item);
    this.#out.advanced(item.conversation, log.cursor);
  }

  #hold(log, item, now) {
    know(log, throughOf(item));
    this.#setGap(log, log.gapAt ?? now + OVERTAKING_MS);
    if (log.held.has(item.seq)) return;
    const bytes = weightOf(item);
    // What finds no room is not lost: the pull of the hole goes up to the head.
    if (this.#heldItems >= HELD_ITEMS_MAX || this.#heldBytes + bytes > HELD_BYTES_MAX) return;
    log.held.set(item.seq, { item, bytes });
    this.#heldItems += 1;
    this.#heldBytes += bytes;
  }

  /** Applies what was held and now follows, and closes the gap when nothing is missing. */
  #drain(log, now) {
    while (log.held.size > 0) {
      const first = Math.min(...log.held.keys());
      if (first > log.cursor + 1) break;
      const { item } = log.held.get(first);
      this.#forget(log, first);
      if (throughOf(item) > log.cursor) this.#apply(log, item);
    }
    if (log.held.size === 0 && log.head <= log.cursor) {
      this.#setGap(log, null);
      log.fruitless = 0;
    } else if (log.gapAt === null || log.gapAt > now) {
      this.#setGap(log, now + OVERTAKING_MS);
    }
  }

  #setGap(log, at) {
    log.gapAt = at;
    if (at === null) this.#gaps.delete(log);
    else this.#gaps.add(log);
  }

  /** Drops what is held up to a seq. */
  #release(log, through) {
    for (const seq of [...log.held.keys()]) if (seq <= through) this.#forget(log, seq);
  }

  #forget(log, seq) {
    const held = log.held.get(seq);
    log.held.delete(seq);
    this.#heldItems -= 1;
    this.#heldBytes -= held.bytes;
  }
}
