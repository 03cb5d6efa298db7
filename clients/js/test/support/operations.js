/**
 * What the fake server does with messages that are there, and with people: the entries it writes, and
 * the state that its history tells. Written down a second time and differently from the SDK, on
 * purpose: whole logs are folded, with no thought of order or memory.
 */
import { FakeServer } from './server.js';

const UPDATES = {
  edit: ({ content }) => ['message_edited', content],
  recall: () => ['message_recalled', {}],
  delete: () => ['message_deleted', {}],
  react: ({ emoji, active = true }) => ['message_reaction', { emoji, active }],
  pin: ({ active = true }) => ['message_pin', { active }],
};

/** A message of a log as it is for `user`, after all the log's updates. */
export function stateOf(entries, seq, user) {
  const entry = entries[seq - 1];
  const updates = entries.filter((other) => other.target_seq === seq && other.type === 'message_updated');
  const last = (kind) => updates.findLast((update) => update.kind === kind);
  const gone = updates.find(({ kind }) => kind === 'message_recalled' || kind === 'message_deleted');
  if (gone) {
    return { ...entry, content: null, removed: gone.kind === 'message_recalled' ? 'recalled' : 'deleted' };
  }
  const state = { ...entry };
  const edited = last('message_edited');
  if (edited) Object.assign(state, { content: edited.content, edited_at: edited.at });
  if (last('message_pin')?.content.active) state.pinned = true;
  const reactions = [];
  const emojis = new Set(updates.filter((u) => u.kind === 'message_reaction').map((u) => u.content.emoji));
  for (const emoji of emojis) {
    const mine = updates.filter((u) => u.kind === 'message_reaction' && u.content.emoji === emoji);
    const users = [];
    for (const { from, content } of mine) {
      const at = users.indexOf(from);
      if (content.active && at < 0) users.push(from);
      if (!content.active && at >= 0) users.splice(at, 1);
    }
    const reaction = { emoji, count: users.length, users: users.slice(0, 5), mine: users.includes(user) };
    if (users.length > 0) reactions.push(reaction);
  }
  if (reactions.length > 0) state.reactions = reactions;
  return state;
}

/** A fake server on which messages are changed, and people have friends and settings. */
export class FullServer extends FakeServer {
  /** user → other → relation */
  relations = new Map();
  rev = 100;

  answer(socket, command) {
    const { type, payload } = command;
    const c = this.conversations.get(payload.conversation);
    if (UPDATES[type]) return this.#update(socket, c, command);
    switch (type) {
      case 'send':
        if (!payload.forward) break;
        return this.#forward(socket, payload);
      case 'history':
        return this.#history(socket, c, payload);
      case 'conversation_update':
      case 'presence_set':
        return {};
      case 'presence_get':
        return { presences: (payload.users ?? []).map((user) => ({ user, status: 'online' })) };
      case 'friends': {
        const all = [...(this.relations.get(socket.user)?.values() ?? [])].sort((a, b) => a.rev - b.rev);
        const page = all.filter(({ rev }) => rev > (payload.since ?? 0)).slice(0, 3);
        const rev = page.at(-1)?.rev ?? this.rev;
        return { relations: page, rev, more: all.some((relation) => relation.rev > rev) };
      }
      case 'friend_request':
        this.relate(socket.user, payload.user, 'requested');
        this.relate(payload.user, socket.user, 'received');
        return { relation: this.relations.get(socket.user).get(payload.user) };
    }
    return super.answer(socket, command);
  }

  sync(user, payload) {
    return { ...super.sync(user, payload), relations_rev: this.relations.has(user) ? this.rev : 0 };
  }

  /** What `user` sees of `other` from now on. */
  relate(user, other, state) {
    const relation = { user: other, state, blocked: false, at: this.clock.now(), rev: (this.rev += 1) };
    const of = this.relations.get(user) ?? new Map();
    this.relations.set(user, of.set(other, relation));
    for (const socket of this.sockets) if (socket.user === user) socket.push('relation', relation);
  }

  /** Writes a durable push into a system conversation. */
  push(conversation, members, from, type, data) {
    const c = this.conversationOf(conversation, members);
    const seq = c.entries.length + 1;
    const entry = {
      type: 'push',
      conversation,
      seq,
      message_id: String((this.gid += 1)),
      from,
      to: conversation,
      kind: `push:${type}`,
      content: data,
      at: this.clock.now(),
    };
    c.entries.push(entry);
    const { type: _, kind: __, content, ...rest } = entry;
    for (const socket of this.sockets) {
      if (members.includes(socket.user)) socket.push(type, { ...rest, data: content });
    }
  }

  #update(socket, c, { type, payload }) {
    const known = this.writtenAs(socket.user, payload.client_id);
    if (known) return { ...known, duplicate: true };
    const { seq, for: whom } = payload;
    if (!c?.entries[seq - 1]) return { error: { code: 404, reason: 'not_found' } };
    if (type === 'delete' && whom === 'me') {
      for (const other of this.sockets) {
        if (other !== socket && other.user === socket.user) other.push('message_hidden', { conversation: c.id, seqs: [seq] });
      }
      return {};
    }
    const [kind, content] = UPDATES[type](payload);
    const head = { type: 'message_updated', target_seq: seq };
    return this.write(socket.user, { to: c.id, kind, content, client_id: payload.client_id }, null, head);
  }

  #forward(socket, { to, forward, client_id }) {
    const { from, at, kind, content } = this.conversations.get(forward.conversation).entries[forward.seq - 1];
    return this.write(socket.user, { to, kind, content, client_id }, socket, { forwarded: { from, at } });
  }

  #history(socket, c, { before, after, around, limit = 50 }) {
    const head = c.entries.length;
    let from = Math.max(1, (before ?? head + 1) - limit);
    let through = (before ?? head + 1) - 1;
    if (after !== undefined) [from, through] = [after + 1, Math.min(head, after + limit)];
    if (around !== undefined) {
      const half = Math.floor(limit / 2);
      [from, through] = [Math.max(1, around - half), Math.min(head, around + half)];
    }
    const entries = this.items(c, from, through)
      .filter((item) => item.type !== 'void' && item.type !== 'message_updated')
      .map(({ seq }) => stateOf(c.entries, seq, socket.user));
    const more = after === undefined ? from > 1 : through < head;
    return { entries, head_seq: head, floor_seq: 0, from_seq: from, through_seq: through, more };
  }
}
