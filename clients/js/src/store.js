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
 *
 * @typedef {object} Message
 * @property {string} key stable from the first keystroke of its life to the last
 * @property {string} clientId
 * @property {number | null} seq null until the server acked it
 * @property {string} from
 * @property {boolean} own
 * @property {boolean} system written by the server, about the group
 * @property {string} kind
 * @property {any} content
 * @property {number} at milliseconds since the epoch
 * @property {'pending' | 'sent' | 'delivered' | 'read' | 'failed' | 'received'} state
 * @property {number} readBy how many others have read it, as far as known
 * @property {string | null} error reason, when `failed`
 *
 * @typedef {object} ConversationView
 * @property {string} id
 * @property {'direct' | 'group'} kind
 * @property {string | null} name of a group, or of the other side where known
 * @property {string | null} peer user id of the other side
 * @property {string | null} role own role in a group
 * @property {string | null} join join policy of a group
 * @property {boolean} member false once left: history stays, nothing can be sent
 * @property {number} unread 100 stands for 99+
 * @property {number} readSeq own read cursor
 * @property {number} headSeq newest seq
 * @property {Message | null} last
 * @property {number} at when it last changed, for sorting
 * @property {string[]} typing
 *
 * @typedef {ConversationView & {messages: Message[], older: boolean}} OpenConversation
 *   `older`: history has more than `messages` holds
 */

const WINDOW_MAX = 500;
const HELD_WINDOW_MAX = 5_000;
const UNREAD_MAX = 100;
const TYPING_MS = 6_000;

/** Kinds that the server writes; they are no messages and never unread. */
const SYSTEM_KINDS = new Set([
  'group_created',
  'group_updated',
  'group_dissolved',
  'member_joined',
  'member_left',
  'member_kicked',
  'member_role',
]);

/** @param {string} kind */
export const isSystemKind = (kind) => SYSTEM_KINDS.has(kind);

export class Store {
  /** @type {Map<string, any>} */
  #conversations = new Map();
  /** Own messages that have no seq yet, in the order written. @type {Map<string, any>} */
  #pending = new Map();
  /** @type {Set<() => void>} */
  #subscribers = new Set();
  #scheduled = false;
  #snapshot = null;
  #clock;
  #typingTimer = null;
  #state = /** @type {any} */ ({ name: 'idle' });
  /** @type {string | null} */
  user = null;

  /** @param {import('./clock.js').Clock} clock */
  constructor(clock) {
    this.#clock = clock;
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

  /** @returns {{user: string | null, state: any, unread: number, conversations: ConversationView[]}} */
  getSnapshot() {
    if (!this.#snapshot) {
      const conversations = [...this.#conversations.values()]
        .map((c) => this.#view(c))
        .sort((a, b) => b.at - a.at || (a.id < b.id ? -1 : 1));
      const unread = conversations.reduce((sum, c) => sum + c.unread, 0);
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
    c.open ??= {
      ...this.#view(c),
      older: c.older && c.messages.length < HELD_WINDOW_MAX,
      messages: [
        ...c.messages.map((entry) => this.#message(c, entry)),
        ...this.#pendingOf(id).map((p) => this.#message(c, p)),
      ],
    };
    return c.open;
  }

  /** The oldest seq from which on nothing is missing. @param {string} id */
  oldestSeq(id) {
    return this.#conversations.get(id)?.from ?? null;
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
    if (reset || !c.known) {
      c.messages = [];
      c.from = fromSeq;
      c.older = fromSeq > Math.max(summary.first_seq, summary.floor_seq + 1);
      for (const [id, item] of this.#pending) {
        if (item.lane === c.id && item.ackedSeq < fromSeq) this.#pending.delete(id);
      }
    }
    const { kind, name, peer, role, join, member, head_seq, first_seq, read_seq, unread } = summary;
    Object.assign(c, { known: true, kind, name, role, join, member, first: first_seq });
    if (peer) c.peer = peer;
    c.head = Math.max(reset ? 0 : c.head, head_seq);
    c.read = Math.max(reset ? 0 : c.read, read_seq);
    c.counted = { unread, head: head_seq, read: read_seq };
    if (peer && summary.peer_cursors) {
      this.#moveCursor(c, peer.id, summary.peer_cursors);
    }
    this.#changed(c);
  }

  gone(id) {
    this.#conversations.delete(id);
    this.#changed();
  }

  /** @param {Entry} entry */
  entry(entry) {
    const c = this.#ensure(entry.conversation);
    c.messages.push(entry);
    c.head = Math.max(c.head, entry.seq);
    c.typing.delete(entry.from);
    if (entry.from === this.user) this.#pending.delete(entry.client_id);
    if (isSystemKind(entry.kind)) this.#applyGroupChange(c, entry);
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

  /** The newest entry of a conversation whose own ones were not synced. @param {Entry} entry */
  preview(entry) {
    const c = this.#conversations.get(entry.conversation);
    if (!c || c.messages.length > 0) return;
    c.preview = entry;
    this.#changed(c);
  }

  /** A page of history that ends where the window begins. */
  prepend(id, page, before) {
    const c = this.#ensure(id);
    if (c.from !== before) return;
    c.messages = [...page.entries, ...c.messages];
    c.older = page.more && page.entries.length > 0;
    c.from = page.entries[0]?.seq ?? c.from;
    if (!c.older) c.from = Math.min(c.from, c.first ?? 1);
    this.#trim(c);
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

  receipt({ conversation, user, received_seq, read_seq }) {
    const c = this.#conversations.get(conversation);
    if (!c) return;
    if (user === this.user) this.#read(c, read_seq);
    else this.#moveCursor(c, user, { received_seq, read_seq });
    this.#changed(c);
  }

  /** @returns {boolean} the own read cursor moved, or may have */
  read(id, seq) {
    const c = this.#conversations.get(id);
    if (!c) return true;
    if (seq <= c.read) return false;
    this.#read(c, seq);
    this.#changed(c);
    return true;
  }

  typing({ conversation, user, active }) {
    const c = this.#conversations.get(conversation);
    if (!c || user === this.user) return;
    if (active) c.typing.set(user, this.#clock.now() + TYPING_MS);
    else c.typing.delete(user);
    this.#expireTyping();
    this.#changed(c);
  }

  stop() {
    this.#clock.clearTimeout(this.#typingTimer);
  }

  // How it is kept.

  #ensure(id) {
    let c = this.#conversations.get(id);
    if (!c) {
      const peer = id.startsWith('direct:')
        ? (id.split(':').slice(1).find((user) => user !== this.user) ?? this.user)
        : null;
      c = {
        id,
        known: false,
        kind: peer === null ? 'group' : 'direct',
        name: undefined,
        peer: peer === null ? null : { id: peer },
        member: true,
        head: 0,
        read: 0,
        from: 1,
        first: 1,
        older: false,
        messages: [],
        cursors: new Map(),
        typing: new Map(),
        counted: { unread: 0, head: 0, read: 0 },
        holders: 0,
        preview: null,
        since: 0,
        open: null,
        view: null,
      };
      this.#conversations.set(id, c);
    }
    return c;
  }

  #trim(c) {
    const max = c.holders > 0 ? HELD_WINDOW_MAX : WINDOW_MAX;
    if (c.messages.length <= max) return;
    c.messages = c.messages.slice(-max);
    c.from = c.messages[0].seq;
    c.older = true;
  }

  #moveCursor(c, user, { received_seq, read_seq }) {
    const old = c.cursors.get(user) ?? { received: 0, read: 0 };
    c.cursors.set(user, {
      received: Math.max(old.received, received_seq, read_seq),
      read: Math.max(old.read, read_seq),
    });
  }

  #read(c, seq) {
    c.read = Math.max(c.read, seq);
  }

  /** P6: messages by others beyond what is read; from the window where it reaches back that far. */
  #unread(c) {
    const beyond = (seq) =>
      c.messages.filter(
        (e) => e.seq > seq && e.from !== this.user && !isSystemKind(e.kind),
      ).length;
    if (c.read >= c.head) return 0;
    if (c.from <= Math.max(c.read + 1, c.first)) return Math.min(UNREAD_MAX, beyond(c.read));
    const told = c.read > c.counted.read ? 0 : c.counted.unread;
    const since = c.read > c.counted.read ? c.read : c.counted.head;
    return Math.min(UNREAD_MAX, told + beyond(since));
  }

  #applyGroupChange(c, { kind, content, from }) {
    const names = (user) => user === this.user;
    if (kind === 'group_updated' || kind === 'group_created') {
      if (content.name !== undefined) c.name = content.name;
      if (content.join !== undefined) c.join = content.join;
      if (kind === 'group_created') c.role ??= names(from) ? 'owner' : 'member';
    } else if (kind === 'group_dissolved') {
      c.member = false;
    } else if (kind === 'member_joined') {
      if (names(content.user) || content.users?.some(names)) c.member = true;
    } else if (kind === 'member_left' || kind === 'member_kicked') {
      if (names(content.user)) c.member = false;
    } else if (kind === 'member_role') {
      if (names(content.user)) c.role = content.role;
      else if (content.role === 'owner' && names(from)) c.role = 'admin';
    }
  }

  #pendingOf(id) {
    return [...this.#pending.values()].filter((item) => item.lane === id);
  }

  /** @returns {Message} */
  #message(c, entry) {
    const pending = entry.seq === undefined;
    const own = pending || entry.from === this.user;
    const clientId = pending ? entry.clientId : entry.client_id;
    let state = /** @type {Message['state']} */ ('received');
    let readBy = 0;
    if (pending) {
      state = entry.error !== null ? 'failed' : entry.ackedSeq ? 'sent' : 'pending';
    } else if (own) {
      state = 'sent';
      for (const cursor of c.cursors.values()) {
        if (cursor.read >= entry.seq) readBy += 1;
        else if (cursor.received >= entry.seq) state = 'delivered';
      }
      if (readBy > 0) state = 'read';
    }
    const body = pending ? entry.payload : entry;
    return {
      key: `${own ? this.user : entry.from}/${clientId}`,
      clientId,
      seq: pending ? null : entry.seq,
      from: own ? this.user : entry.from,
      own,
      system: isSystemKind(body.kind),
      kind: body.kind,
      content: body.content,
      at: entry.at,
      state,
      readBy,
      error: pending ? entry.error : null,
    };
  }

  /** @returns {ConversationView} */
  #view(c) {
    if (!c.view) {
      const lastPending = this.#pendingOf(c.id).at(-1);
      const newest = lastPending ?? c.messages.at(-1) ?? c.preview;
      const last = newest ? this.#message(c, newest) : null;
      c.view = {
        id: c.id,
        kind: c.kind,
        name: (c.kind === 'group' ? c.name : c.peer?.name) ?? null,
        peer: c.peer?.id ?? null,
        role: c.role ?? null,
        join: c.join ?? null,
        member: c.member,
        unread: this.#unread(c),
        readSeq: c.read,
        headSeq: c.head,
        last,
        at: last?.at ?? c.since,
        typing: [...c.typing.keys()],
      };
    }
    return c.view;
  }

  #expireTyping() {
    this.#clock.clearTimeout(this.#typingTimer);
    const now = this.#clock.now();
    let next = Infinity;
    for (const c of this.#conversations.values()) {
      for (const [user, until] of c.typing) {
        if (until <= now) {
          c.typing.delete(user);
          this.#changed(c);
        } else {
          next = Math.min(next, until);
        }
      }
    }
    if (next < Infinity) {
      this.#typingTimer = this.#clock.setTimeout(() => this.#expireTyping(), next - now);
    }
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
