/** What can be done to a message, as a menu, and the small dialogs that belong to it. */
import { pickConversation, showList } from './dialogs.js';
import { button, make } from './dom.js';
import { clockTime, dayName, textOf } from './format.js';
import { t } from './i18n.js';
import { attempt, confirmed, hideMenu, showMenu, toast } from './menu.js';

const EMOJIS = ['👍', '❤️', '😂', '🎉', '😮', '😢'];

/**
 * @param {import('/sdk/index.js').Client} client
 * @param {import('/sdk/conversation.js').OpenConversation} view
 * @param {import('/sdk/conversation.js').Message} message
 * @param {HTMLElement} anchor
 * @param {{nameOf: (user: string) => string, reply: () => void, edit: () => void}} does
 */
export function showActions(client, view, message, anchor, { nameOf, reply, edit }) {
  const { id } = view;
  const { seq, own, removed, kind } = message;
  const { messages } = client;
  const writable = view.member && view.kind !== 'system' && !removed;
  const leads = view.role === 'owner' || view.role === 'admin';
  const emojis = EMOJIS.map((emoji) => {
    const mine = message.reactions.some((reaction) => reaction.emoji === emoji && reaction.mine);
    return button(emoji, () => {
      hideMenu();
      void attempt(() => messages.react(id, seq, emoji, !mine));
    }, { className: mine ? 'emoji mine' : 'emoji', testid: 'emoji' });
  });
  const forAll = async () => {
    if (await confirmed(t('action.delete_all_sure'))) await messages.delete(id, seq, { for: 'all' });
  };
  showMenu(
    anchor,
    [
      writable && { label: t('action.reply'), icon: 'reply', testid: 'reply', run: reply },
      writable && own && kind === 'text' && { label: t('action.edit'), icon: 'edit', testid: 'edit', run: edit },
      !removed && { label: t('action.forward'), icon: 'forward', testid: 'forward', run: () => forward(client, id, seq, nameOf) },
      !removed && { label: t('action.copy'), icon: 'copy', run: () => navigator.clipboard.writeText(textOf(message, null)) },
      writable && (view.kind === 'direct' || leads) && {
        label: t(message.pinned ? 'action.unpin' : 'action.pin'),
        icon: 'pin',
        testid: 'pin',
        run: () => messages.pin(id, seq, !message.pinned),
      },
      message.editedAt !== null && !removed && {
        label: t('action.versions'),
        icon: 'clock',
        testid: 'versions',
        run: () => showVersions(client, id, seq),
      },
      own && !removed && view.kind !== 'system' && {
        label: t('action.receipts'),
        icon: 'eye',
        testid: 'receipts',
        run: () => showReceipts(client, id, seq, nameOf),
      },
      message.reactions.length > 0 && { label: t('action.reactions'), icon: 'smile', run: () => showReactions(client, id, seq, nameOf) },
      writable && own && { label: t('action.recall'), icon: 'undo', testid: 'recall', danger: true, run: () => messages.recall(id, seq) },
      { label: t('action.delete'), icon: 'trash', testid: 'delete', danger: true, run: () => messages.delete(id, seq) },
      writable && view.kind === 'group' && leads && {
        label: t('action.delete_all'),
        icon: 'trash',
        testid: 'delete-all',
        danger: true,
        run: forAll,
      },
    ],
    writable ? [make('div', { className: 'emojis' }, emojis)] : [],
  );
}

async function forward(client, id, seq, nameOf) {
  const to = await pickConversation(client, t('action.forward_to'), nameOf);
  if (to === null) return;
  await client.forward(to, id, seq).acked;
  toast(t('action.forwarded'));
}

const when = (at) => `${dayName(at)}, ${clockTime(at)}`;

async function showVersions(client, id, seq) {
  const { versions } = await client.messages.edits(id, seq);
  showList(
    t('action.versions'),
    versions.map(({ content, at }) => [textOf({ content, kind: 'text' }, null), when(at)]),
  );
}

async function showReceipts(client, id, seq, nameOf) {
  const { received, read, total, members = [] } = await client.messages.receipts(id, seq);
  const rows = members.map(({ user, received_seq, read_seq }) => {
    const state = read_seq >= seq ? 'read' : received_seq >= seq ? 'delivered' : 'sent';
    return [nameOf(user), t(`mark.${state}`)];
  });
  showList(t('receipts.title'), [[t('receipts.count', { received, read, total }), ''], ...rows]);
}

async function showReactions(client, id, seq, nameOf) {
  const { reactions } = await client.messages.reactions(id, seq);
  showList(
    t('action.reactions'),
    reactions.map(({ emoji, user, at }) => [`${emoji} ${nameOf(user)}`, when(at)]),
  );
}
