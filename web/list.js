/** The list of conversations. */
import { byId, make, reconcile } from './dom.js';
import { listTime, markOf, paintAvatar, textOf, titleOf } from './format.js';
import { locale, t } from './i18n.js';

export class List {
  #kept = new Map();
  #choose;

  /** @param {(conversation: string) => void} choose called when one is clicked */
  constructor(choose) {
    this.#choose = choose;
  }

  /**
   * @param {import('/sdk/store.js').ConversationView[]} views newest first
   * @param {string | null} chosen
   * @param {string} me
   */
  draw(views, chosen, me) {
    byId('list-empty').hidden = views.length > 0;
    reconcile(byId('conversations'), this.#kept, views, {
      keyOf: (view) => view.id,
      signatureOf: (view) =>
        JSON.stringify([titleOf(view), view.unread, view.last, view.typing, view.id === chosen, locale()]),
      draw: (view) => this.#row(view, view.id === chosen, me),
    });
  }

  #row(view, isChosen, me) {
    const avatar = make('span', { className: 'avatar' });
    paintAvatar(avatar, titleOf(view));
    avatar.setAttribute('aria-hidden', 'true');
    const preview = make('span', { className: 'preview' });
    if (view.typing.length > 0) {
      preview.classList.add('typing');
      preview.textContent = t('thread.typing', { who: view.typing.join(', ') });
    } else if (view.last) {
      const text = textOf(view.last, me);
      const { own, system, from, state } = view.last;
      if (own && !system) preview.append(markOf(state));
      const named = view.kind === 'group' && !own && !system ? `${from}: ${text}` : text;
      preview.append(make('span', { text: own && !system ? t('list.you', { text }) : named }));
    }
    const badge = make('span', {
      className: 'badge',
      testid: 'unread',
      text: view.unread > 99 ? '99+' : String(view.unread),
    });
    badge.hidden = view.unread === 0;
    badge.setAttribute('aria-label', t('list.unread', { n: badge.textContent }));
    const button = make('button', { className: 'row', testid: 'conversation' }, [
      avatar,
      make('span', { className: 'lines' }, [
        make('span', { className: 'first' }, [
          make('strong', { text: titleOf(view), testid: 'conversation-title' }),
          make('time', { className: 'muted', text: view.last ? listTime(view.last.at) : '' }),
        ]),
        make('span', { className: 'second' }, [preview, badge]),
      ]),
    ]);
    button.type = 'button';
    button.dataset.conversation = view.id;
    if (isChosen) button.setAttribute('aria-current', 'true');
    button.addEventListener('click', () => this.#choose(view.id));
    return make('li', {}, [button]);
  }
}
