/**
 * What a page shows: conversations with their unread counts, messages with their marks, who types.
 * A view over what the client delivers; it decides nothing and sends nothing.
 *
 * Invariant: snapshots are never changed once handed out, and the same snapshot is handed out until
 * something changed, so that a page (or React's `useSyncExternalStore`) may compare by identity.
 *
 * Bounded: a conversation keeps its newest 500 messages; one that is held open keeps up to 5,000.
 *
 * @typedef {import('./replica.js').Entry} Entry
 * @typedef {import('./conversation.js').Message} Message
 * @typedef {import('./conversation.js').ConversationView} ConversationView
 * @typedef {import('./conversation.js').OpenConversation} OpenConversation
 */
import {
  applyGroupChange,
  isSystemKind,
  messageOf,
  newConversation,
  overview,
  SETTINGS,
  viewOf,
} from './conversation.js';
import { Expiry } from './expiry.js';

const WINDOW_MAX = 500;
const HELD_WINDOW_MAX = 5_000;
const TYPING_MS = 6_000;

export class Store {
  /** @type {Map<string, ReturnType<typeof newConversation>>} */
  #conversations = new Map();
  /** Own messages that have no seq yet, in the order written. @type {Map<string, any>} */
  #pending = new Map();
  /** @type {Set<() => void>} */
  #subscribers = new Set();
  #scheduled = false;
  #snapshot = null;
  #clock;
  #expiry;
  #state = /** @type {any} */ ({ name: 'idle' });
  /** @type {string | null} */
  user = null;

  /** @param {import('./clock.js').Clock} clock */
  constructor(clock) {
    this.#clock = clock;
    this.#expiry = new Expiry(clock, (now) => this.#expire(now));
  }

  /**
   * Calls `listener` after changes, once for all that happened at a time.
   * @param {() => void} listener
   * @returns {() => void} ends it
   */
  subscribe(listener) {
    this.#subscribers.add(listener);
    return () => this.#subscribers.delete(listener);
  }

  /**
   * Everything, pinned conversations first, then by time. `unread` leaves out what is hidden, and of
   * what is muted all but mentions.
   * @returns {{user: string | null, state: any, unread: number, conversations: ConversationView[]}}
   */
  getSnapshot() {
    if (!this.#snapshot) {
      const views = [...this.#conversations.values()].map((c) => this.#view(c));
      const { conversations, unread } = overview(views, this.#clock.now());
      this.#snapshot = { user: this.user, state: this.#state, unread, conversations };
    }
    return this.#snapshot;
  }

  /**
   * One conversation with its messages.
   * @param {string} id
   * @returns {OpenConversation | null}
   */
  conversation(id) {
    const c = this.#conversations.get(id);
    if (!c) return null;
    const { shown, aside } = c.timeline;
    const waiting = aside ? [] : this.#pendingOf(id);
    c.open ??= {
      ...this.#view(c),
      older: shown.older && shown.messages.length < HELD_WINDOW_MAX,
      newer: aside !== null,
      messages: [...shown.messages, ...waiting].map((entry) => messageOf(c, entry, this.user)),
    };
    return c.open;
  }

  /** The oldest seq from which on nothing is missing. @param {string} id */
  oldestSeq(id) {
    return this.#conversations.get(id)?.timeline.shown.from ?? null;
  }

  /** The newest seq that is shown of an older stretch; null where the newest one is. @param {string} id */
  newestSeq(id) {
    return this.#conversations.get(id)?.timeline.aside?.through ?? null;
  }

  /** Whether the newest stretch has a message. @param {string} id @param {number} seq */
  has(id, seq) {
    return (this.#conversations.get(id)?.timeline.live.at(seq) ?? null) !== null;
  }

  /**
   * Keeps more than the newest messages, as long as somebody looks at it.
   * @param {string} id
   * @returns {() => void} ends it
   */
  hold(id) {
    const c = this.#ensure(id);
    c.holders += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      c.holders -= 1;
      if (c.holders === 0) c.timeline.aside = null;
      this.#trim(c);
      this.#changed(c);
    };
  }

  // What the client tells.

  setState(state) {
    this.#state = state;
    if (state.name !== 'online') {
      // Nobody could tell that they stopped.
      for (const c of this.#conversations.values()) {
        if (c.typing.size === 0) continue;
        c.typing.clear();
        this.#changed(c);
      }
    }
    this.#changed();
  }

  /** Another user or a store of another epoch: nothing of before is true. */
  clear() {
    this.#conversations.clear();
    this.#pending.clear();
    this.#changed();
  }

  /** A direct conversation that the user began and the server does not know yet. */
  begin(id, peer) {
    const c = this.#ensure(id);
    c.peer ??= { id: peer };
    c.since = this.#clock.now();
    this.#changed(c);
  }

  summary(summary, { reset, fromSeq }) {
    const c = this.#ensure(summary.id);
    const { kind, name, peer, role, join, member, head_seq, first_seq, read_seq, unread } = summary;
    if (reset || !c.known) {
      c.timeline.first = first_seq;
      c.timeline.reset(fromSeq, summary.floor_seq);
      for (const [id, item] of this.#pending) {
        if (item.lane === c.id && item.ackedSeq < fromSeq) this.#pending.delete(id);
      }
    }
    Object.assign(c, { known: true, kind, name, role, join, member });
    c.timeline.first = first_seq;
    c.announcement = summary.announcement ?? null;
    c.muted = summary.muted ?? null;
    c.allMuted = summary.all_muted ?? null;
    if (peer) c.peer = peer;
    c.head = Math.max(reset ? 0 : c.head, head_seq);
    c.read = Math.max(reset ? 0 : c.read, read_seq);
    const { mentions = 0, mention_seq: mentionSeq = null } = summary;
    c.counted = { unread, mentions, mentionSeq, head: head_seq, read: read_seq };
    c.settings = { ...SETTINGS, ...summary.settings, rev: summary.rev };
    if (peer && summary.peer_cursors) this.#moveCursor(c, peer.id, summary.peer_cursors);
    // What nobody has any more is shown no longer than what the user cleared.
    c.timeline.hide(summary.hidden ?? [], Math.max(summary.cleared_seq ?? 0, summary.floor_seq ?? 0));
    this.#changed(c);
  }

  gone(id) {
    this.#conversations.delete(id);
    this.#changed();
  }

  /** @param {Entry} entry */
  entry(entry) {
    const c = this.#ensure(entry.conversation);
    const isNews = entry.seq > Math.max(c.head, c.counted.head);
    c.head = Math.max(c.head, entry.seq);
    if (entry.from === this.user) this.#pending.delete(entry.client_id);
    if (entry.type !== 'message_updated') {
      c.typing.delete(entry.from);
      if (isSystemKind(entry.kind)) applyGroupChange(c, entry, this.user);
      else if (isNews) c.settings.hidden = false;
      this.#expiry.at(entry.expires_at);
    }
    c.timeline.append(entry, this.user, this.#clock.now());
    this.#trim(c);
    this.#changed(c);
  }

  /** The cursor passed what the member may not see. */
  advanced(id, cursor) {
    const c = this.#conversations.get(id);
    if (c && cursor > c.head) {
      c.head = cursor;
      this.#changed(c);
    }
  }

  /**
   * The newest entry of a conversation whose own ones were not synced.
   * @param {Entry} entry
   * @param {number} [asOf] the state is that of the log up to here
   */
  preview(entry, asOf = entry.seq) {
    const c = this.#conversations.get(entry.conversation);
    if (!c) return;
    this.#expiry.at(entry.expires_at);
    c.timeline.setPreview(entry, asOf, this.#clock.now());
    this.#changed(c);
  }

  /** A page of history that ends where the window begins. */
  prepend(id, page, before) {
    this.#page(id, page, (timeline, now) => timeline.prepend(page, before, this.user, now));
  }

  /** A page of history around a seq: shown instead of the newest messages, or with them. */
  around(id, page) {
    this.#page(id, page, (timeline, now) => timeline.around(page, this.user, now));
  }

  /** A page of history behind the older stretch that is shown. */
  extend(id, page, after) {
    this.#page(id, page, (timeline, now) => timeline.extend(page, after, this.user, now));
  }

  #page(id, page, take) {
    const c = this.#ensure(id);
    for (const entry of page.entries) this.#expiry.at(entry.expires_at);
    take(c.timeline, this.#clock.now());
    this.#trim(c);
    this.#changed(c);
  }

  /** Shows the newest messages again. */
  showNewest(id) {
    const c = this.#conversations.get(id);
    if (!c?.timeline.aside) return;
    c.timeline.aside = null;
    this.#changed(c);
  }

  pending(item) {
    this.#ensure(item.lane);
    this.#pending.set(item.clientId, { ...item, error: null });
    this.#changed(this.#conversations.get(item.lane));
  }

  failed(clientId, reason) {
    const item = this.#pending.get(clientId);
    if (!item) return;
    item.error = reason;
    this.#changed(this.#conversations.get(item.lane));
  }

  /** Durable at `seq`, though what lies before it may still be missing here. */
  acked(clientId, seq) {
    const item = this.#pending.get(clientId);
    if (!item) return;
    item.ackedSeq = seq;
    this.#changed(this.#conversations.get(item.lane));
  }

  /** @returns {any} what was written, when it had failed or waited */
  takePending(clientId) {
    const item = this.#pending.get(clientId) ?? null;
    this.#pending.delete(clientId);
    if (item) this.#changed(this.#conversations.get(item.lane));
    return item;
  }

  /** What the server told that is no entry of a log. @param {string} type @param {any} payload */
  event(type, payload) {
    if (type === 'receipt') this.receipt(payload);
    else if (type === 'typing') this.typing(payload);
    else if (type === 'message_hidden') this.hidden(payload);
    else if (type === 'conversation_updated') this.settings(payload);
  }

  receipt({ conversation, user, received_seq, read_seq }) {
    const c = this.#conversations.get(conversation);
    if (!c) return;
    // A mark set since then stays: receipts are told late, and when a mark goes that is told by itself.
    if (user === this.user) c.read = Math.max(c.read, read_seq);
    else this.#moveCursor(c, user, { received_seq, read_seq });
    this.#changed(c);
  }

  /** @returns {boolean} the own read cursor moved, or may have */
  read(id, seq) {
    const c = this.#conversations.get(id);
    if (!c) return true;
    if (seq <= c.read && !c.settings.marked_unread) return false;
    c.read = Math.max(c.read, seq);
    c.settings.marked_unread = false;
    this.#changed(c);
    return true;
  }

  typing({ conversation, user, active, expires_in_ms: ms = TYPING_MS }) {
    const c = this.#conversations.get(conversation);
    if (!c || user === this.user) return;
    if (active) c.typing.set(user, this.#clock.now() + ms);
    else c.typing.delete(user);
    this.#expiry.at(this.#clock.now() + ms);
    this.#changed(c);
  }

  /** Messages that the user does not want to see any more. */
  hidden({ conversation, seqs = [], through = 0 }) {
    const c = this.#conversations.get(conversation);
    if (!c) return;
    c.timeline.hide(seqs, through);
    this.#changed(c);
  }

  /**
   * What the user set for a conversation; `rev` where the server says it.
   * @param {{conversation: string, rev?: number} & import('./settings.js').Change} change
   */
  settings({ conversation, rev, ...settings }) {
    const c = this.#conversations.get(conversation);
    if (!c || (rev !== undefined && rev < c.settings.rev)) return;
    // The server names all; what is left out is as it is where nothing was set.
    const base = rev === undefined ? c.settings : SETTINGS;
    c.settings = { ...base, ...settings, rev: rev ?? c.settings.rev };
    this.#changed(c);
  }

  stop() {
    this.#expiry.stop();
  }

  // How it is kept.

  #ensure(id) {
    let c = this.#conversations.get(id);
    if (!c) {
      c = newConversation(id, this.user);
      this.#conversations.set(id, c);
    }
    return c;
  }

  #trim(c) {
    c.timeline.live.trim(c.holders > 0 ? HELD_WINDOW_MAX : WINDOW_MAX);
  }

  #moveCursor(c, user, { received_seq, read_seq }) {
    const old = c.cursors.get(user) ?? { received: 0, read: 0 };
    c.cursors.set(user, {
      received: Math.max(old.received, received_seq, read_seq),
      read: Math.max(old.read, read_seq),
    });
  }

  #pendingOf(id) {
    return [...this.#pending.values()].filter((item) => item.lane === id);
  }

  /** @returns {ConversationView} */
  #view(c) {
    c.view ??= viewOf(c, this.#pendingOf(c.id), this.user);
    return c.view;
  }

  /** Ends what has its time: signs of typing, and messages. */
  #expire(now) {
    let next = Infinity;
    const isOver = (at) => {
      if (at === undefined || at === null) return false;
      if (at > now) next = Math.min(next, at);
      return at <= now;
    };
    for (const c of this.#conversations.values()) {
      let changed = false;
      for (const [user, until] of c.typing) {
        if (isOver(until)) changed = c.typing.delete(user);
      }
      if (c.timeline.drop((message) => isOver(message.expires_at))) changed = true;
      if (changed) this.#changed(c);
    }
    return next;
  }

  #changed(c) {
    if (c) {
      c.open = null;
      c.view = null;
    }
    this.#snapshot = null;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const listener of [...this.#subscribers]) listener();
    });
  }
}
