/** What the user may do with a whole conversation, as a menu. */
import { t } from './i18n.js';
import { isMuted } from './list.js';
import { confirmed, showMenu } from './menu.js';

/**
 * @param {import('/sdk/index.js').Client} client
 * @param {string} id
 * @param {HTMLElement} anchor
 * @param {{info: () => void, pins: () => void, left: () => void}} does
 */
export function showConversationMenu(client, id, anchor, { info, pins, left }) {
  const view = client.store.conversation(id);
  if (!view) return;
  const { settings, friends, messages } = client;
  const muted = isMuted(view, Date.now());
  const peer = view.kind === 'direct' && view.peer !== client.user ? view.peer : null;
  const relation = peer === null ? null : friends.of(peer);
  const hide = async () => {
    left();
    await settings.hide(id);
  };
  const clear = async () => {
    if (await confirmed(t('conversation.clear_sure'))) await messages.clear(id, view.headSeq);
  };
  const block = async () => {
    if (await confirmed(t('friends.block_sure', { user: peer }))) await friends.block(peer);
  };
  showMenu(anchor, [
    view.kind === 'group' && { label: t('group.info'), icon: 'info', run: info },
    view.kind !== 'system' && { label: t('conversation.pins'), icon: 'pin', testid: 'pins', run: pins },
    {
      label: t(view.pinned ? 'conversation.unpin' : 'conversation.pin'),
      icon: 'pin',
      testid: 'pin-conversation',
      run: () => settings.pin(id, !view.pinned),
    },
    {
      label: t(muted ? 'conversation.unmute' : 'conversation.mute'),
      icon: muted ? 'bell' : 'mute',
      testid: 'mute-conversation',
      run: () => (muted ? settings.unmute(id) : settings.mute(id)),
    },
    {
      label: t('conversation.mark_unread'),
      icon: 'eye',
      testid: 'mark-unread',
      run: () => {
        left();
        return settings.markUnread(id);
      },
    },
    { label: t('conversation.hide'), icon: 'close', testid: 'hide-conversation', run: hide },
    peer !== null && relation?.state !== 'friend' && !relation?.blocked && {
      label: t('friends.add'),
      icon: 'smile',
      testid: 'add-friend',
      run: () => friends.request(peer),
    },
    peer !== null && !relation?.blocked && { label: t('friends.block'), icon: 'close', testid: 'block', danger: true, run: block },
    peer !== null && relation?.blocked && { label: t('friends.unblock'), icon: 'smile', testid: 'unblock', run: () => friends.unblock(peer) },
    { label: t('conversation.clear'), icon: 'trash', testid: 'clear', danger: true, run: clear },
  ]);
}
