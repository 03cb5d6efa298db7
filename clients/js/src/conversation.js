/**
 * One conversation as the store keeps it, and what a page is given of it: pure functions of its
 * state, who looks, and the time.
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
 * @property {any} content null once it was removed
 * @property {number} at milliseconds since the epoch
 * @property {'pending' | 'sent' | 'delivered' | 'read' | 'failed' | 'received'} state
 * @property {number} readBy how many others have read it, as far as known
 * @property {string | null} error reason, when `failed`
 * @property {'recalled' | 'deleted' | null} removed
 * @property {number | null} editedAt milliseconds since the epoch
 * @property {import('./updates.js').Reaction[]} reactions
 * @property {boolean} pinned
 * @property {number | null} replyTo seq of what it answers
 * @property {string[]} mentions user ids
 * @property {boolean} mentionAll
 * @property {boolean} mentionsMe
 * @property {{from: string, at: number} | null} forwarded who said it first, and when
 * @property {number | null} expiresAt milliseconds since the epoch
 *
 * @typedef {object} ConversationView
 * @property {string} id
 * @property {'direct' | 'group' | 'system'} kind `system`: what is pushed
 * @property {string | null} name of a group, or of the other side where known
 * @property {string | null} peer user id of the other side
 * @property {string | null} role own role in a group
 * @property {string | null} join join policy of a group
 * @property {string | null} announcement of a group
 * @property {{until?: number} | null} muted the user may only read in this group
 * @property {{until?: number} | null} allMuted all but its owner and admins may
 * @property {boolean} member false once left: history stays, nothing can be sent
 * @property {number} unread 100 stands for 99+
 * @property {number} mentions unread ones that mention the user; 100 stands for 99+
 * @property {number | null} mentionSeq the first of them
 * @property {number} readSeq own read cursor
 * @property {number} headSeq newest seq
 * @property {Message | null} last
 * @property {number} at when it last changed, for sorting
 * @property {string[]} typing
 * @property {boolean} pinned the user wants it at the top
 * @property {number | null} mutedUntil no notifications until then, milliseconds since the epoch
 * @property {boolean} hidden the user does not want it in the list until something new comes
 * @property {boolean} markedUnread
 * @property {string} draft
 *
 * @typedef {ConversationView & {messages: Message[], older: boolean, newer: boolean}} OpenConversation
 *   `older`: history has more in front of `messages`; `newer`: they end before the newest ones
 */
import { Timeline } from './timeline.js';

export const UNREAD_MAX = 100;

/** What the user set for a conversation, where nothing was. */
export const SETTINGS = {
  pinned: false,
  muted_until: null,
  hidden: false,
  marked_unread: false,
  draft: null,
};

/** Kinds that the server writes about groups; they are no messages and never unread. */
const SYSTEM_KINDS = new Set([
  'group_created',
  'group_updated',
  'group_dissolved',
  'member_joined',
  'member_left',
  'member_kicked',
  'member_role',
  'member_banned',
  'member_unbanned',
  'member_muted',
]);

/** @param {string} kind */
export const isSystemKind = (kind) => SYSTEM_KINDS.has(kind);

/** A conversation of which nothing is known yet. @param {string} id @param {string | null} me */
export function newConversation(id, me) {
  const kind = id.slice(0, id.indexOf(':'));
  const peer =
    kind === 'direct' ? (id.split(':').slice(1).find((user) => user !== me) ?? me) : null;
  return {
    id,
    known: false,
    kind,
    name: undefined,
    peer: peer === null ? null : { id: peer },
    role: null,
    join: null,
    announcement: null,
    muted: null,
    allMuted: null,
    member: true,
    head: 0,
    read: 0,
    timeline: new Timeline(),
    cursors: new Map(),
    typing: new Map(),
    counted: { unread: 0, mentions: 0, mentionSeq: null, head: 0, read: 0 },
    settings: { ...SETTINGS, rev: 0 },
    holders: 0,
    since: 0,
    open: null,
    view: null,
  };
}

/** @param {Entry} entry @param {string | null} me */
export const mentionsUser = (entry, me) =>
  entry.from !== me && (entry.mention_all === true || (entry.mentions?.includes(me) ?? false));

/** Messages by others beyond what is read, and those of them that mention the user. */
function unreadOf(c, me) {
  const none = { unread: 0, mentions: 0, mentionSeq: null };
  if (c.read >= c.head) return none;
  const beyond = (seq) => {
    const found = { ...none };
    for (const entry of c.timeline.live.messages) {
      if (entry.seq <= seq || entry.from === me || entry.removed || isSystemKind(entry.kind)) continue;
      found.unread += 1;
      if (!mentionsUser(entry, me)) continue;
      found.mentions += 1;
      found.mentionSeq ??= entry.seq;
    }
    return found;
  };
  // From the window where it reaches back that far, else from what the server counted.
  const { live, first, cleared } = c.timeline;
  const reaches = live.from <= Math.max(c.read + 1, first, cleared + 1);
  if (reaches) return capped(beyond(c.read));
  const isCounted = c.read <= c.counted.read;
  const more = beyond(isCounted ? c.counted.head : c.read);
  if (!isCounted) return capped(more);
  const { unread, mentions, mentionSeq } = c.counted;
  return capped({
    unread: unread + more.unread,
    mentions: mentions + more.mentions,
    mentionSeq: mentionSeq ?? more.mentionSeq,
  });
}

const capped = ({ unread, mentions, mentionSeq }) => ({
  unread: Math.min(UNREAD_MAX, unread),
  mentions: Math.min(UNREAD_MAX, mentions),
  mentionSeq,
});

/** A group change in what is known of the group. */
export function applyGroupChange(c, { kind, content, from }, me) {
  const names = (user) => user === me;
  if (kind === 'group_updated' || kind === 'group_created') {
    if (content.name !== undefined) c.name = content.name;
    if (content.join !== undefined) c.join = content.join;
    if (content.announcement !== undefined) c.announcement = content.announcement;
    if (content.muted !== undefined) c.allMuted = muteOf(content);
    if (kind === 'group_created') c.role ??= names(from) ? 'owner' : 'member';
  } else if (kind === 'group_dissolved') {
    c.member = false;
  } else if (kind === 'member_joined') {
    if (names(content.user) || content.users?.some(names)) {
      c.member = true;
      c.role = 'member';
    }
  } else if (['member_left', 'member_kicked', 'member_banned'].includes(kind)) {
    if (names(content.user)) c.member = false;
  } else if (kind === 'member_role') {
    if (names(content.user)) {
      // A higher role ends it.
      if (content.role !== 'member') c.muted = null;
      c.role = content.role;
    }
    else if (content.role === 'owner' && names(from)) c.role = 'admin';
  } else if (kind === 'member_muted') {
    if (names(content.user)) c.muted = muteOf(content);
  }
}

/** @returns {{until?: number} | null} */
const muteOf = ({ muted, until }) => {
  if (!muted) return null;
  return until === undefined ? {} : { until };
};

/** An entry of the log, or a message that still waits. @returns {Message} */
export function messageOf(c, entry, me) {
  const pending = entry.seq === undefined;
  const own = pending || entry.from === me;
  const clientId = pending ? entry.clientId : entry.client_id;
  let state = /** @type {Message['state']} */ ('received');
  let readBy = 0;
  if (pending) {
    state = entry.error !== null ? 'failed' : entry.ackedSeq ? 'sent' : 'pending';
  } else if (own) {
    state = 'sent';
    for (const [user, cursor] of c.cursors) {
      if (user === me) continue;
      if (cursor.read >= entry.seq) readBy += 1;
      else if (cursor.received >= entry.seq) state = 'delivered';
    }
    if (readBy > 0) state = 'read';
  }
  const body = pending ? entry.payload : entry;
  return {
    // Live, a push comes without its client id.
    key: `${own ? me : entry.from}/${entry.type === 'push' ? entry.seq : clientId}`,
    clientId,
    seq: pending ? null : entry.seq,
    from: own ? me : entry.from,
    own,
    system: isSystemKind(body.kind),
    // What is forwarded is known when the server has copied it.
    kind: body.kind ?? 'text',
    content: body.content ?? (body.forward ? '…' : null),
    at: entry.at,
    state,
    readBy,
    error: pending ? entry.error : null,
    removed: body.removed ?? null,
    editedAt: body.edited_at ?? null,
    reactions: body.reactions ?? [],
    pinned: body.pinned ?? false,
    replyTo: body.reply_to ?? null,
    mentions: body.mentions ?? [],
    mentionAll: body.mention_all ?? false,
    mentionsMe: !own && mentionsUser(entry, me),
    forwarded: body.forwarded ?? null,
    expiresAt: body.expires_at ?? null,
  };
}

/** @returns {ConversationView} */
export function viewOf(c, pending, me) {
  const newest = pending.at(-1) ?? c.timeline.live.messages.at(-1) ?? c.timeline.preview;
  const last = newest ? messageOf(c, newest, me) : null;
  const { settings } = c;
  return {
    id: c.id,
    kind: c.kind,
    name: (c.kind === 'direct' ? c.peer?.name : c.name) ?? null,
    peer: c.peer?.id ?? null,
    role: c.role ?? null,
    join: c.join ?? null,
    announcement: c.announcement || null,
    muted: c.muted,
    allMuted: c.allMuted,
    member: c.member,
    ...unreadOf(c, me),
    readSeq: c.read,
    headSeq: c.head,
    last,
    at: last?.at ?? c.since,
    typing: [...c.typing.keys()],
    pinned: settings.pinned,
    mutedUntil: settings.muted_until,
    hidden: settings.hidden,
    markedUnread: settings.marked_unread,
    draft: settings.draft ?? '',
  };
}

/**
 * All conversations in the order in which a list shows them, and how many unread messages count.
 * @param {ConversationView[]} views
 * @param {number} now milliseconds since the epoch
 */
export function overview(views, now) {
  const conversations = views.sort(
    (a, b) => Number(b.pinned) - Number(a.pinned) || b.at - a.at || (a.id < b.id ? -1 : 1),
  );
  const unread = views.reduce((sum, c) => {
    if (c.hidden) return sum;
    return sum + (c.mutedUntil !== null && c.mutedUntil > now ? c.mentions : c.unread);
  }, 0);
  return { conversations, unread };
}
