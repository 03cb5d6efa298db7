/** The pane of friends: who asks, who is there, whom the user has asked, and who is blocked. */
import { button, byId, make, reconcile, say } from './dom.js';
import { paintAvatar, paintDot, presenceText } from './format.js';
import { icon } from './icons.js';
import { locale, t } from './i18n.js';
import { attempt, confirmed, showMenu, toast } from './menu.js';
import { isName } from './session.js';

const SECTIONS = ['received', 'friend', 'requested', 'blocked'];

export class FriendsPane {
  /** @type {import('/sdk/index.js').Client} */
  #client;
  #chat;
  #kept = Object.fromEntries(SECTIONS.map((section) => [section, new Map()]));

  /** @param {(user: string) => void} chat somebody is to be written to */
  constructor(chat) {
    this.#chat = chat;
    byId('friend-add').addEventListener('submit', (event) => {
      event.preventDefault();
      void attempt(() => this.#add());
    });
  }

  /** @param {import('/sdk/index.js').Client} client */
  draw(client) {
    this.#client = client;
    const of = (section) =>
      client.friends.list.filter(({ state, blocked }) => (blocked ? 'blocked' : state) === section);
    for (const section of SECTIONS) {
      const relations = of(section);
      byId(`friends-${section}-part`).hidden = relations.length === 0;
      reconcile(byId(`friends-${section}`), this.#kept[section], relations, {
        keyOf: ({ user }) => user,
        signatureOf: (relation) => JSON.stringify([relation, client.presence.of(relation.user), locale()]),
        draw: (relation) => this.#row(relation, section),
      });
    }
    byId('friends-empty').hidden = client.friends.list.length > 0;
    const waiting = of('received').length;
    byId('friends-badge').hidden = waiting === 0;
    say(byId('friends-badge'), String(waiting));
  }

  async #add() {
    const user = byId('friend-user').value.trim();
    if (!isName(user)) throw { key: 'signin.bad_name' };
    const note = byId('friend-note').value.trim();
    const relation = await this.#client.friends.request(user, note || undefined);
    byId('friend-user').value = '';
    byId('friend-note').value = '';
    toast(t(relation?.state === 'friend' ? 'friends.are_now' : 'friends.asked', { user }));
  }

  #row(relation, section) {
    const { user, name = user, note } = relation;
    const { friends, presence } = this.#client;
    const avatar = make('span', { className: 'avatar' });
    paintAvatar(avatar, name);
    const there = presence.of(user);
    if (section === 'friend') paintDot(avatar, there?.status ?? null);
    avatar.setAttribute('aria-hidden', 'true');
    const aside = section === 'friend' ? presenceText(there ?? { user, status: 'offline' }) : (note ?? '');
    const lines = make('span', { className: 'lines' }, [
      make('strong', { text: name }),
      make('span', { className: 'muted note', text: aside, testid: 'friend-status' }),
    ]);
    const parts = [avatar, lines];
    const act = (label, run, options) => parts.push(button(t(label), () => attempt(run), options));
    if (section === 'received') {
      act('friends.accept', () => friends.accept(user), { className: 'primary', testid: 'friend-accept' });
      act('friends.reject', () => friends.reject(user), { className: 'quiet', testid: 'friend-reject' });
    } else if (section === 'requested') {
      act('friends.cancel', () => friends.cancel(user), { className: 'quiet', testid: 'friend-cancel' });
    } else if (section === 'blocked') {
      act('friends.unblock', () => friends.unblock(user), { className: 'quiet', testid: 'friend-unblock' });
    } else {
      const open = button('', () => this.#chat(user), { className: 'row', testid: 'friend' });
      open.append(...parts.splice(0));
      const more = button('', () => this.#menu(user, more), {
        className: 'quiet icon',
        testid: 'friend-menu',
        title: t('friends.menu'),
      });
      more.append(icon('more'));
      parts.push(open, more);
    }
    const item = make('li', { className: 'person', testid: `person-${section}` }, parts);
    item.dataset.user = user;
    return item;
  }

  #menu(user, anchor) {
    const { friends } = this.#client;
    const block = async () => {
      if (await confirmed(t('friends.block_sure', { user }))) await friends.block(user);
    };
    showMenu(anchor, [
      { label: t('friends.remove'), testid: 'friend-remove', danger: true, run: () => friends.remove(user) },
      { label: t('friends.block'), testid: 'friend-block', danger: true, run: block },
    ]);
  }
}
