/**
 * A server in memory that keeps what the real one promises (dense seqs, client ids, `after`, voids,
 * sync with reset), behind links that lose pushes, repeat and reorder them, and break. Replies on one
 * link keep their order, as on a real connection.
 */

const SYNC_BEHIND_MAX = 40;
const SYNC_ENTRIES_MAX = 25;

/** A token as the fake server takes it. */
export const tokenOf = (user) => `x.${btoa(JSON.stringify({ sub: user }))}.x`;

/** What of a message goes into its entry besides the content. */
const headOf = ({ reply_to, mentions, mention_all }) =>
  JSON.parse(JSON.stringify({ reply_to, mentions, mention_all }));

export class FakeServer {
  epoch = 'epoch-1';
  /** @type {Map<string, {id: string, members: string[], entries: any[], voids: Set<number>}>} */
  conversations = new Map();
  /** client id and sender → written */
  #written = new Map();
  /** @type {Set<FakeSocket>} */
  sockets = new Set();
  up = true;
  gid = 0;
  /** What the clients did, for assertions. */
  log = [];
  /** @type {(command: any, socket: FakeSocket) => any} a refusal to answer with, for scripted tests */
  refuse = () => null;
  limits = { commands_in_flight: 16, message_bytes: 65_536, dedupe_window_ms: 30 * 24 * 3_600_000 };

  /**
   * @param {import('./clock.js').TestClock} clock
   * @param {{random: () => number, lose?: number, repeat?: number, delayMs?: number, cut?: number,
   *   hide?: number}} link chances between 0 and 1
   */
  constructor(clock, link = { random: () => 0.5 }) {
    this.clock = clock;
    this.link = { lose: 0, repeat: 0, delayMs: 0, cut: 0, hide: 0, ...link };
    const server = this;
    this.WebSocket = class extends FakeSocket {
      constructor() {
        super(server);
      }
    };
  }

  get sends() {
    return this.log.filter((command) => command.type === 'send');
  }

  group(id, members) {
    this.conversationOf(`group:${id}`, members);
  }

  conversationOf(id, members) {
    let c = this.conversations.get(id);
    if (!c) {
      c = { id, members, entries: [], voids: new Set(), received: new Map(), read: new Map() };
      this.conversations.set(id, c);
    }
    return c;
  }

  /** Writes an entry as the real server does: once per client id. */
  write(from, { to, content, kind = 'text', client_id, after, ...rest }, socket = null, head = {}) {
    const known = this.#written.get(`${from} ${client_id}`);
    if (known) return { ...known, duplicate: true };
    if (after && !this.#written.has(`${from} ${after}`)) {
      return { error: { code: 409, reason: 'out_of_order', retry: true } };
    }
    const peer = to.startsWith('user:') ? to.slice(5) : null;
    const id = peer === null ? to : `direct:${[from, peer].sort().join(':')}`;
    const members = id.startsWith('direct:') ? id.split(':').slice(1) : [];
    const c = this.conversationOf(id, members);
    const seq = c.entries.length + 1;
    const entry = {
      type: 'message',
      conversation: id,
      seq,
      message_id: String((this.gid += 1)),
      from,
      to,
      kind,
      content,
      client_id,
      at: this.clock.now(),
      ...headOf(rest),
      ...head,
    };
    c.entries.push(entry);
    if (this.link.hide && this.link.random() < this.link.hide && from === 'ghost') c.voids.add(seq);
    const written = { conversation: id, seq, message_id: entry.message_id, timestamp: entry.at };
    this.#written.set(`${from} ${client_id}`, written);
    for (const other of this.sockets) {
      if (other !== socket && other.synced && c.members.includes(other.user)) {
        const { type, ...payload } = this.item(c, seq);
        other.push(type, type === 'void' ? payload : { ...payload, attempt: 1 });
      }
    }
    return { ...written, duplicate: false };
  }

  /** What an earlier command of this client id was answered. */
  writtenAs(from, clientId) {
    return this.#written.get(`${from} ${clientId}`) ?? null;
  }

  item(c, seq) {
    if (c.voids.has(seq)) return { type: 'void', conversation: c.id, seq, through: seq };
    return c.entries[seq - 1];
  }

  items(c, from, to) {
    const items = [];
    for (let seq = from; seq <= Math.min(to, c.entries.length); seq += 1) items.push(this.item(c, seq));
    return items;
  }

  sync(user, { epoch, cursors = {}, rev = 0 }) {
    const conversations = [];
    let room = SYNC_ENTRIES_MAX;
    const sameEpoch = epoch === this.epoch;
    for (const c of this.conversations.values()) {
      if (!c.members.includes(user)) continue;
      const head = c.entries.length;
      const cursor = sameEpoch ? cursors[c.id] : undefined;
      if (cursor === undefined && sameEpoch && rev >= this.gid && rev > 0) continue;
      const reset = (cursor ?? 0) > head || head - (cursor ?? 0) > SYNC_BEHIND_MAX || !sameEpoch;
      const from = reset ? Math.max(1, head - SYNC_BEHIND_MAX + 1) : (cursor ?? 0) + 1;
      const entries = this.items(c, from, Math.min(head, from + room - 1));
      room -= entries.length;
      const peer = c.members.find((member) => member !== user);
      conversations.push({
        id: c.id,
        kind: c.id.slice(0, c.id.indexOf(':')),
        ...(c.id.startsWith('direct:')
          ? {
              peer: { id: peer },
              peer_cursors: { received_seq: c.received.get(peer) ?? 0, read_seq: c.read.get(peer) ?? 0 },
            }
          : { name: c.id.slice('group:'.length), role: 'member', join: 'invite' }),
        member: true,
        head_seq: head,
        floor_seq: 0,
        first_seq: 1,
        unread: 0,
        received_seq: c.received.get(user) ?? 0,
        read_seq: c.read.get(user) ?? 0,
        rev: this.gid,
        ...(reset && { reset }),
        from_seq: from,
        entries,
        more: from + entries.length - 1 < head,
      });
    }
    return { epoch: this.epoch, conversations, rev: this.gid, more: false };
  }

  /** Tells a connection what the periodic ping tells: heads it may have missed. */
  ping(socket) {
    const heads = {};
    for (const c of this.conversations.values()) {
      if (c.members.includes(socket.user)) heads[c.id] = c.entries.length;
    }
    socket.deliver({ type: 'ping', timestamp: this.clock.now(), payload: { heads } });
  }

  answer(socket, { type, payload }) {
    const c = this.conversations.get(payload.conversation);
    switch (type) {
      case 'send':
        return this.write(socket.user, payload, socket);
      case 'sync':
        socket.synced = true;
        return this.sync(socket.user, payload);
      case 'pull': {
        const entries = this.items(c, payload.from, Math.min(payload.to, payload.from + 9));
        const last = payload.from + entries.length - 1;
        return { entries, head_seq: c.entries.length, more: last < Math.min(payload.to, c.entries.length) };
      }
      case 'history': {
        const before = payload.before ?? c.entries.length + 1;
        const from = Math.max(1, before - (payload.limit ?? 50));
        const entries = this.items(c, from, before - 1).filter((item) => item.type !== 'void');
        return { entries, head_seq: c.entries.length, floor_seq: 0, more: from > 1 };
      }
      case 'received':
      case 'read': {
        if (!c) return {};
        const map = type === 'read' ? c.read : c.received;
        map.set(socket.user, Math.max(map.get(socket.user) ?? 0, payload.seq));
        this.#tell(c, socket, 'receipt', {
          conversation: c.id,
          user: socket.user,
          received_seq: Math.max(c.received.get(socket.user) ?? 0, c.read.get(socket.user) ?? 0),
          read_seq: c.read.get(socket.user) ?? 0,
        });
        return {};
      }
      case 'typing':
        if (c) this.#tell(c, socket, 'typing', { ...payload, user: socket.user });
        return {};
      default:
        return {};
    }
  }

  #tell(c, from, type, payload) {
    for (const other of this.sockets) {
      if (other !== from && other.synced && c.members.includes(other.user)) other.push(type, payload);
    }
  }

  /** Breaks every connection; what was on the way is lost. */
  cutAll(code = 1006) {
    for (const socket of [...this.sockets]) socket.cut(code);
  }
}

export class FakeSocket {
  readyState = 0;
  user = null;
  synced = false;
  #server;
  #dead = false;
  #lastAt = 0;

  constructor(server) {
    this.#server = server;
    const open = () => {
      if (this.#dead) return;
      if (!server.up) {
        this.cut(1006);
        return;
      }
      this.readyState = 1;
      server.sockets.add(this);
      this.onopen?.();
    };
    server.clock.setTimeout(open, this.#delay());
  }

  #delay() {
    const { random, delayMs } = this.#server.link;
    return delayMs * random();
  }

  /** In order, as bytes on one connection are. */
  #later(f) {
    const at = Math.max(this.#lastAt, this.#server.clock.now() + this.#delay());
    this.#lastAt = at;
    this.#server.clock.setTimeout(() => this.#dead || f(), at - this.#server.clock.now());
  }

  send(text) {
    const server = this.#server;
    if (server.link.random() < server.link.cut) {
      // Either the command or its answer gets lost: the client cannot know which.
      const arrives = server.link.random() < 0.5;
      if (arrives) this.#handle(JSON.parse(text), true);
      this.cut(1006);
      return;
    }
    this.#later(() => this.#handle(JSON.parse(text), false));
  }

  #handle(command, mute) {
    const server = this.#server;
    const { type, id, payload } = command;
    if (this.user !== null || type === 'auth') server.log.push({ ...command, at: server.clock.now() });
    if (type === 'auth') {
      this.user = JSON.parse(atob(payload.token.split('.')[1])).sub;
      const { limits, epoch } = server;
      const session = { client_id: 'c', user: this.user, device: 'd', epoch, heartbeat_ms: 30_000, limits };
      this.deliver({ type: 'connected', timestamp: 0, payload: session });
    }
    const refusal = server.refuse(command, this);
    if (refusal === 'silence') return;
    const result = refusal ? { error: refusal } : type === 'auth' ? {} : server.answer(this, command);
    if (id === undefined || mute) return;
    if (result.error) this.deliver({ type: 'error', id, payload: { message: '', ...result.error } });
    else this.deliver({ type: 'ack', id, timestamp: server.clock.now(), payload: result });
  }

  /** Sends in order and without loss. */
  deliver(message) {
    const text = JSON.stringify(message);
    this.#later(() => this.onmessage?.({ data: text }));
  }

  /** Pushes as a hint only: may be lost, repeated, overtaken. */
  push(type, payload) {
    const { random, lose, repeat } = this.#server.link;
    if (random() < lose) return;
    const text = JSON.stringify({ type, timestamp: 0, payload });
    const times = random() < repeat ? 2 : 1;
    for (let i = 0; i < times; i += 1) {
      this.#server.clock.setTimeout(() => this.#dead || this.onmessage?.({ data: text }), this.#delay());
    }
  }

  cut(code, reason = '') {
    if (this.#dead) return;
    this.#dead = true;
    this.readyState = 3;
    this.#server.sockets.delete(this);
    this.#server.clock.setTimeout(() => this.onclose?.({ code, reason }), 0);
  }

  close() {
    this.cut(1005);
  }
}
