/**
 * What an update entry of the log (`message_updated`) makes of the message that it is about: pure.
 *
 * A shown message is an entry with `asOf`, the seq up to which the log is in it: its own where the
 * log brought it, the page's head where history did. An update at or before it is in it already, so
 * that updates may be applied again, and to messages that come later than their updates.
 *
 * @typedef {object} Entry
 * @property {'message' | 'group_changed' | 'message_updated' | 'push'} type
 * @property {string} conversation
 * @property {number} seq
 * @property {string} from
 * @property {string} kind what the content is; of a push `push:` and its type
 * @property {any} content null where it was removed
 * @property {string} client_id missing in what was pushed live
 * @property {number} at milliseconds since the epoch
 * @property {string} [message_id]
 * @property {string} [to]
 * @property {number} [attempt]
 * @property {number} [target_seq] which message an update is about
 * @property {number} [reply_to] seq
 * @property {string[]} [mentions] user ids
 * @property {boolean} [mention_all]
 * @property {{from: string, at: number}} [forwarded] who said it first, and when
 * @property {number} [expires_at] milliseconds since the epoch
 * @property {boolean} [receipt] the sender asked for `message_receipt`
 * @property {'recalled' | 'deleted'} [removed] then the content is null
 * @property {number} [edited_at] in history: when it was last edited
 * @property {Reaction[]} [reactions] in history
 * @property {boolean} [pinned] in history
 *
 * @typedef {{emoji: string, count: number, users: string[], mine: boolean}} Reaction
 *   `count` up to 1,000, `users` the first five
 * @typedef {Entry & {asOf: number}} Shown
 */

/** Users named in one reaction, as in history. */
const USERS_MAX = 5;

/**
 * @param {Shown} message
 * @param {Entry} update whose `target_seq` is the message's seq
 * @param {string | null} me
 * @returns {Shown} the same one where nothing changed
 */
export function withUpdate(message, update, me) {
  if (update.seq <= message.asOf) return message;
  const asOf = update.seq;
  switch (update.kind) {
    case 'message_edited':
      // Of what was removed later the log tells that there was an edit, but not which.
      if (message.removed || update.removed) return { ...message, asOf };
      return { ...message, asOf, content: update.content, edited_at: update.at };
    case 'message_recalled':
      return removed(message, asOf, 'recalled');
    case 'message_deleted':
      return removed(message, asOf, 'deleted');
    case 'message_reaction':
      if (message.removed || !update.content) return { ...message, asOf };
      return { ...message, asOf, reactions: react(message.reactions ?? [], update, me) };
    case 'message_pin':
      return { ...message, asOf, pinned: update.content?.active === true && !message.removed };
    default:
      return { ...message, asOf };
  }
}

/**
 * It does not expire any more: that there was a message lasts.
 * @param {Shown} message
 * @param {number} asOf
 * @param {'recalled' | 'deleted'} how
 * @returns {Shown}
 */
function removed(message, asOf, how) {
  const { expires_at: _, ...rest } = message;
  return { ...rest, asOf, removed: how, content: null, reactions: [], pinned: false };
}

/**
 * @param {Reaction[]} reactions
 * @param {Entry} update
 * @param {string | null} me
 * @returns {Reaction[]}
 */
function react(reactions, { from, content: { emoji, active } }, me) {
  const old = reactions.find((reaction) => reaction.emoji === emoji);
  const named = old?.users.includes(from) ?? false;
  const own = from === me;
  if (active === false) {
    // One who is not among those named may still have reacted, where not all are named.
    const isKnown = named || (own ? old?.mine : (old?.count ?? 0) > old?.users.length);
    if (!isKnown) return reactions;
    const users = old.users.filter((user) => user !== from);
    const next = { ...old, count: old.count - 1, users, mine: old.mine && !own };
    return reactions
      .map((reaction) => (reaction === old ? next : reaction))
      .filter(({ count }) => count > 0);
  }
  if (!old) return [...reactions, { emoji, count: 1, users: [from], mine: own }];
  if (named || (own && old.mine)) return reactions;
  const users = old.users.length < USERS_MAX ? [...old.users, from] : old.users;
  const next = { ...old, count: old.count + 1, users, mine: old.mine || own };
  return reactions.map((reaction) => (reaction === old ? next : reaction));
}
