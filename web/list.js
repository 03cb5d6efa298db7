/** The list of conversations. */
import { byId, make, reconcile } from './dom.js';
import { listTime, markOf, paintAvatar, paintDot, textOf, titleOf } from './format.js';
import { icon } from './icons.js';
import { locale, t } from './i18n.js';

export class List {
  #kept = new Map();
  #on;

  /** @param {{choose: (conversation: string) => void, act: (conversation: string, anchor: HTMLElement) => void}} on */
  constructor(on) {
    this.#on = on;
  }

  /**
   * @param {import('/sdk/conversation.js').ConversationView[]} views in their order
   * @param {string | null} chosen
   * @param {{me: string, nameOf: (user: string) => string, statusOf: (user: string) => string | null}} about
   */
  draw(views, chosen, about) {
    const shown = views.filter(({ hidden, id }) => !hidden || id === chosen);
    const now = Date.now();
    byId('list-empty').hidden = shown.length > 0;
    reconcile(byId('conversations'), this.#kept, shown, {
      keyOf: (view) => view.id,
      signatureOf: (view) =>
        JSON.stringify([
          titleOf(view),
          [view.unread, view.mentions, view.markedUnread, view.pinned, isMuted(view, now)],
          view.last,
          view.typing,
          view.id === chosen ? true : view.draft,
          view.peer && about.statusOf(view.peer),
          locale(),
        ]),
      draw: (view) => this.#row(view, view.id === chosen, about),
    });
  }

  #row(view, isChosen, { me, nameOf, statusOf }) {
    const avatar = make('span', { className: 'avatar' });
    if (view.kind === 'system') {
      avatar.append(icon('bell'));
      avatar.dataset.hue = '0';
    } else {
      paintAvatar(avatar, titleOf(view));
      if (view.peer) paintDot(avatar, statusOf(view.peer));
    }
    avatar.setAttribute('aria-hidden', 'true');
    const muted = isMuted(view, Date.now());
    const button = make('button', { className: 'row', testid: 'conversation' }, [
      avatar,
      make('span', { className: 'lines' }, [
        make('span', { className: 'first' }, [
          make('strong', { text: titleOf(view), testid: 'conversation-title' }),
          ...(muted ? [mark('mute', t('conversation.muted'))] : []),
          ...(view.pinned ? [mark('pin', t('conversation.pinned'))] : []),
          make('time', { className: 'muted', text: view.last ? listTime(view.last.at) : '' }),
        ]),
        make('span', { className: 'second' }, [preview(view, isChosen, me, nameOf), ...badges(view, muted)]),
      ]),
    ]);
    button.type = 'button';
    button.dataset.conversation = view.id;
    if (isChosen) button.setAttribute('aria-current', 'true');
    button.addEventListener('click', () => this.#on.choose(view.id));
    button.addEventListener('contextmenu', (event) => {
      event.preventDefault();
      this.#on.act(view.id, button);
    });
    return make('li', {}, [button]);
  }
}

/** @param {import('/sdk/conversation.js').ConversationView} view @param {number} now */
export const isMuted = (view, now) => view.mutedUntil !== null && view.mutedUntil > now;

function mark(name, title) {
  const element = make('span', { className: 'small-icon', title, testid: `is-${name}` }, [icon(name)]);
  element.setAttribute('role', 'img');
  element.setAttribute('aria-label', title);
  return element;
}

function preview(view, isChosen, me, nameOf) {
  const line = make('span', { className: 'preview' });
  if (view.typing.length > 0) {
    line.classList.add('typing');
    line.textContent = t('thread.typing', { who: view.typing.map(nameOf).join(', ') });
  } else if (view.draft !== '' && !isChosen) {
    line.append(make('span', { className: 'draft', text: t('list.draft') }), ` ${view.draft}`);
  } else if (view.last) {
    const text = textOf(view.last, me, nameOf);
    const { own, system, from, state } = view.last;
    if (own && !system) line.append(markOf(state));
    const named = view.kind === 'group' && !own && !system ? `${nameOf(from)}: ${text}` : text;
    line.append(make('span', { text: own && !system ? t('list.you', { text }) : named }));
  }
  return line;
}

function badges(view, muted) {
  const badge = make('span', {
    className: muted ? 'badge faint' : 'badge',
    testid: 'unread',
    text: view.unread > 99 ? '99+' : view.unread > 0 ? String(view.unread) : '',
  });
  badge.hidden = view.unread === 0 && !view.markedUnread;
  badge.setAttribute('aria-label', t('list.unread', { n: badge.textContent || '1' }));
  if (view.mentions === 0) return [badge];
  const at = make('span', { className: 'badge at', testid: 'mention-badge', text: '@' });
  at.setAttribute('aria-label', t('list.mentioned'));
  return [at, badge];
}
