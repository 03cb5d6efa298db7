/**
 * Keeps the replica at the server's state: syncs after each connection, pulls holes, and confirms.
 */
import { Confirm } from './confirm.js';
import { Replica } from './replica.js';

/** Where the server does not announce how many commands may be in flight. */
const WINDOW_DEFAULT = 16;
/** Pulls at a time. */
const PULLS_MAX = 4;
const SYNC_RETRY_MS = 1_000;

/** Events that are entries of the log. */
const ENTRIES = new Set(['message', 'group_changed', 'message_updated', 'void']);

/**
 * How many commands may be in flight. One of them is kept for the sync.
 * @param {import('./connection.js').Connection} connection
 * @returns {number}
 */
export function windowOf(connection) {
  return Math.max(2, connection.session.limits?.commands_in_flight ?? WINDOW_DEFAULT);
}

export class Syncing {
  #clock;
  #link;
  #on;
  #replica;
  #confirm;
  #called = false;
  #syncTimer = null;
  /** Pulls under way. */
  #pulls = 0;
  #pullTimer = null;

  /**
   * @param {object} parts
   * @param {import('./clock.js').Clock} parts.clock
   * @param {() => import('./link.js').Link} parts.link
   * @param {{epoch: string, cursors: Record<string, number>, rev?: number}} [parts.position]
   * @param {object} on
   * @param {(entry: import('./replica.js').Entry) => void} on.entry
   * @param {(conversation: string, cursor: number) => void} on.advanced
   * @param {(summary: any, change: {reset: boolean, fromSeq: number}) => void} on.summary
   * @param {(conversation: string) => void} on.gone
   * @param {(page: any) => void} on.synced
   * @param {(error: unknown) => void} on.error
   * @param {() => void} on.wake something else may be sent
   */
  constructor({ clock, link, position }, on) {
    this.#clock = clock;
    this.#link = link;
    this.#on = on;
    this.#confirm = new Confirm(clock, (conversation) => {
      const seq = this.#replica.cursorOf(conversation);
      if (seq) this.#connection?.post('received', { conversation, seq });
    });
    this.#replica = new Replica(
      {
        entry: on.entry,
        advanced: (conversation, cursor) => {
          on.advanced(conversation, cursor);
          this.#confirm.touch(conversation);
        },
        summary: (summary, change) => {
          if (summary.received_seq < this.cursorOf(summary.id)) this.#confirm.touch(summary.id);
          on.summary(summary, change);
        },
        gone: on.gone,
        needSync: () => this.sync(),
      },
      position,
    );
  }

  position() {
    return this.#replica.position();
  }

  /** @param {string} conversation */
  cursorOf(conversation) {
    return this.#replica.cursorOf(conversation) ?? 0;
  }

  /** A connection is open. @param {string} epoch */
  begin(epoch) {
    this.#replica.begin(epoch);
    this.#called = false;
    this.#callSync();
  }

  /** The connection ended. */
  abandon() {
    this.#replica.abandonSync();
    this.stop();
  }

  stop() {
    this.#confirm.stop();
    this.#clock.clearTimeout(this.#syncTimer);
    this.#clock.clearTimeout(this.#pullTimer);
  }

  /**
   * Takes an event, if it is about the log.
   * @param {string} type
   * @param {any} payload
   * @returns {boolean} it was
   */
  receive(type, payload) {
    const now = this.#clock.now();
    if (ENTRIES.has(type)) {
      this.offer({ type, ...payload });
    } else if (type === 'ping') {
      for (const [conversation, head] of Object.entries(payload.heads ?? {})) {
        if (head > this.cursorOf(conversation)) this.#replica.note(conversation, head, now);
        else this.#confirm.touch(conversation);
      }
      if (payload.resync) this.sync();
      this.pull();
    } else if (type === 'lag') {
      this.#replica.note(payload.conversation, payload.head, now);
      this.pull();
    } else {
      return false;
    }
    return true;
  }

  /** An entry or void that was pushed, or that an own command's ack told of. */
  offer(item) {
    // Known already: the confirmation got lost or waits; the server is told again.
    if (item.seq <= this.cursorOf(item.conversation)) this.#confirm.touch(item.conversation);
    this.#replica.offer(item, this.#clock.now());
    this.pull();
  }

  /** An own command wrote an entry whose wording is the server's: it is pulled. */
  note(conversation, seq) {
    this.#replica.note(conversation, seq, this.#clock.now());
    this.pull();
  }

  sync() {
    if (this.#called || !this.#connection) return;
    this.#replica.beginSync();
    this.#callSync();
  }

  /**
   * Pulls the holes that are due, and sets the timer for the next one. A few at a time: the server
   * answers one after the other and meanwhile reads nothing else. The rest waits for a reply.
   */
  pull() {
    const connection = this.#connection;
    if (!connection) return;
    const room = () =>
      Math.min(PULLS_MAX - this.#pulls, windowOf(connection) - 1 - connection.inFlight);
    for (const range of this.#replica.due(this.#clock.now(), Math.max(0, room()))) {
      this.#pulls += 1;
      connection.call('pull', range, (error, page) => {
        this.#pulls -= 1;
        if (error?.reason === 'disconnected') return;
        const now = this.#clock.now();
        if (error) this.#replica.pullFailed(range.conversation, now);
        else this.#replica.applyPull(range.conversation, page, now);
        this.#on.wake();
      });
    }
    this.#clock.clearTimeout(this.#pullTimer);
    const at = this.#replica.nextDue;
    if (at !== null && room() > 0) {
      const wait = Math.max(0, at - this.#clock.now());
      this.#pullTimer = this.#clock.setTimeout(() => this.pull(), wait);
    }
  }

  get #connection() {
    return this.#link().connection;
  }

  #callSync() {
    this.#called = true;
    const connection = this.#connection;
    const bytesMax = connection?.session.limits?.message_bytes;
    connection?.call('sync', this.#replica.syncRequest(bytesMax), (error, page) => {
      if (connection !== this.#connection) return;
      if (!error) {
        this.#called = false;
        if (this.#replica.applySync(page, this.#clock.now())) {
          this.#callSync();
        } else if (!this.#called) {
          this.#link().progressed();
          this.#on.synced(page);
        }
        this.#on.wake();
      } else if (error.retry) {
        const ms = error.retryAfterMs ?? SYNC_RETRY_MS;
        this.#syncTimer = this.#clock.setTimeout(() => this.#callSync(), ms);
      } else {
        this.#on.error(error);
        connection.end(1006, `sync: ${error.reason}`);
      }
    });
  }
}
