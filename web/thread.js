/**
 * The open conversation: messages, scrolling, marks, and the bars above them.
 *
 * Invariant: what the reader looks at does not move by itself. At the end the page follows new
 * messages; elsewhere it keeps its place, also when older messages are put in above.
 */
import { showActions } from './actions.js';
import { Composer } from './composer.js';
import { byId, make, reconcile, say } from './dom.js';
import { clockTime, dayName, isSameDay, paintAvatar, paintDot, presenceText, textOf, titleOf } from './format.js';
import { locale, t } from './i18n.js';
import { attempt, toast } from './menu.js';
import { messageItem } from './message.js';

/** So near to the end counts as at the end, in pixels. */
const END_PX = 48;
/** So near to the top older messages are fetched, in pixels. */
const OLDER_PX = 240;
/** At least so many are shown where there are as many. */
const FIRST_PAGE = 30;
/** What is jumped to is set off for so long, in milliseconds. */
const HIT_MS = 2_000;
/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

export class Thread {
  /** @type {import('/sdk/index.js').Client} */
  #client;
  /** @type {string | null} */
  #id = null;
  #kept = new Map();
  #release = () => {};
  #loading = false;
  #following = true;
  /** The separator stands in front of the first message by others beyond this seq. */
  #separatorAfter = null;
  #lastSeq = 0;
  #scroller = byId('scroller');
  #nameOf = String;
  /** Messages that are answered and not shown. @type {Map<string, any>} */
  #quoted = new Map();
  #composer;

  /** @param {{back: () => void, info: (conversation: string) => void, act: (conversation: string, anchor: HTMLElement) => void}} go */
  constructor(go) {
    byId('back').addEventListener('click', go.back);
    byId('group-info').addEventListener('click', () => go.info(this.#id));
    byId('thread-menu').addEventListener('click', () => go.act(this.#id, byId('thread-menu')));
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(this.#scroller);
    byId('jump').addEventListener('click', () => {
      this.#client.store.showNewest(this.#id);
      this.#following = true;
      this.draw();
      this.#toEnd();
    });
    byId('mention-jump').addEventListener('click', () => {
      const { mentionSeq } = this.#client.store.conversation(this.#id);
      if (mentionSeq !== null) void this.jumpTo(mentionSeq);
    });
    this.#composer = new Composer({
      sent: () => {
        this.#client.store.showNewest(this.#id);
        this.#separatorAfter = null;
        this.#following = true;
        this.draw();
      },
    });
    for (const type of ['focus', 'blur']) window.addEventListener(type, () => this.#attention());
    document.addEventListener('visibilitychange', () => this.#attention());
  }

  /** The conversation that is shown. */
  get id() {
    return this.#id;
  }

  /**
   * Shows a conversation, or none.
   * @param {import('/sdk/index.js').Client} client
   * @param {string | null} id
   * @param {(user: string) => string} nameOf
   */
  open(client, id, nameOf) {
    this.#composer.open(client, id, nameOf);
    this.#release();
    this.#nameOf = nameOf;
    this.#quoted.clear();
    this.#client = client;
    this.#id = id;
    this.#kept.clear();
    byId('messages').replaceChildren();
    byId('thread-none').hidden = id !== null;
    byId('thread-open').hidden = id === null;
    if (id === null) {
      this.#release = () => {};
      return;
    }
    this.#release = client.store.hold(id);
    const view = client.store.conversation(id);
    this.#separatorAfter = view && view.unread > 0 ? view.readSeq : null;
    this.#lastSeq = view?.headSeq ?? 0;
    // Opened with unread messages, it begins where they begin, and only what is seen counts as read.
    this.#following = this.#separatorAfter === null;
    this.draw();
    if (!this.#following) this.#toSeparator();
    if (matchMedia('(min-width: 720px)').matches) this.#composer.focus();
  }

  /** @returns {boolean} there was something to be ended before the thread is left */
  escape() {
    return this.#composer.escape();
  }

  /** Draws what has changed. */
  draw() {
    const view = this.#id === null ? null : this.#client.store.conversation(this.#id);
    if (!view) return;
    const me = this.#client.user;
    this.#drawHead(view);
    byId('older').textContent = t(view.older ? 'thread.older' : 'thread.begin');
    byId('older').hidden = !view.older && view.messages.length === 0;

    if (view.headSeq > this.#lastSeq) {
      // What comes while nobody looks is marked as new for when somebody does.
      if (!attentive() && this.#separatorAfter === null && view.unread > 0) {
        this.#separatorAfter = this.#lastSeq;
      }
      this.#lastSeq = view.headSeq;
    }
    const fromEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    const oldTop = this.#topKey();
    reconcile(byId('messages'), this.#kept, this.#items(view, me), {
      keyOf: (item) => item.key,
      signatureOf: (item) => item.signature,
      draw: (item) => item.draw(),
    });
    if (this.#following && !view.newer) this.#toEnd();
    else if (oldTop !== this.#topKey()) this.#scroller.scrollTop = this.#scroller.scrollHeight - fromEnd;
    this.#drawJump(view);
    this.#markRead(view);
    if (view.messages.length < FIRST_PAGE) void this.#load('loadOlder', view.older);
  }

  #drawHead(view) {
    const presence = view.peer ? this.#client.presence.of(view.peer) : null;
    say(byId('thread-title'), titleOf(view));
    paintAvatar(byId('thread-avatar'), titleOf(view));
    paintDot(byId('thread-avatar'), presence?.status ?? null);
    byId('group-info').hidden = view.kind !== 'group';
    const who = view.typing.map(this.#nameOf).join(', ');
    const isTyping = view.typing.length > 0;
    const typing = isTyping ? t(view.typing.length > 1 ? 'thread.typing_many' : 'thread.typing', { who }) : '';
    byId('thread-typing').classList.toggle('active', isTyping);
    say(byId('thread-typing'), typing || presenceText(presence));
    byId('announcement').hidden = !view.announcement || !view.member;
    say(byId('announcement-text'), view.announcement ?? '');
    const leads = view.role === 'owner' || view.role === 'admin';
    const muted = view.muted ?? (leads ? null : view.allMuted);
    const writes = view.member && view.kind !== 'system' && muted === null;
    byId('composer').hidden = !writes;
    byId('not-member').hidden = writes || view.kind === 'system';
    const until = muted?.until ? `${dayName(muted.until)}, ${clockTime(muted.until)}` : '';
    const why = view.member ? t(until ? 'group.muted_until' : 'group.muted', { until }) : t('group.left_it');
    say(byId('not-member'), why);
    byId('mention-jump').hidden = view.mentions === 0;
  }

  /** Shows a message, wherever in the conversation it stands. @param {number} seq */
  async jumpTo(seq) {
    const id = this.#id;
    this.#following = false;
    await attempt(() => this.#client.showAround(id, seq));
    if (this.#id !== id) return;
    this.draw();
    const item = byId('messages').querySelector(`[data-seq="${seq}"]`);
    if (!item) {
      toast(t('message.not_there'));
      return;
    }
    item.scrollIntoView({ block: 'center' });
    item.classList.add('hit');
    setTimeout(() => item.classList.remove('hit'), HIT_MS);
  }

  /** Words in another language: everything is drawn anew. */
  redraw() {
    this.#kept.clear();
    byId('messages').replaceChildren();
    this.draw();
  }

  /** Messages with what stands between them: days, and where the unread ones begin. */
  #items(view, me) {
    const items = [];
    let previous = null;
    let separated = this.#separatorAfter === null;
    for (const message of view.messages) {
      if (!previous || !isSameDay(previous.at, message.at)) {
        const day = dayName(message.at);
        items.push({
          key: `day/${message.key}`,
          signature: day,
          draw: () => make('li', { className: 'day' }, [make('span', { text: day })]),
        });
        previous = null;
      }
      if (!separated && !message.own && !message.system && message.seq > this.#separatorAfter) {
        separated = true;
        previous = null;
        items.push({
          key: 'unread',
          signature: locale(),
          draw: () =>
            make('li', { className: 'unread-line', testid: 'separator' }, [
              make('span', { text: t('thread.unread') }),
            ]),
        });
      }
      const continues =
        previous !== null &&
        !message.system &&
        !previous.system &&
        previous.from === message.from &&
        message.at - previous.at < TOGETHER_MS;
      const named = view.kind === 'group' && !message.own && !continues;
      const quoted = message.replyTo === null ? null : this.#quote(view, message.replyTo);
      items.push({
        key: message.key,
        signature: signatureOf(message, [continues, named && this.#nameOf(message.from), locale()], quoted),
        draw: () => messageItem(message, this.#around(view, me, { continues, named, quoted })),
      });
      previous = message;
    }
    return items;
  }

  #around(view, me, rest) {
    const { id } = view;
    const client = this.#client;
    const nameOf = this.#nameOf;
    return {
      me,
      nameOf,
      ...rest,
      jump: (seq) => void this.jumpTo(seq),
      react: (message, emoji, active) => void attempt(() => client.messages.react(id, message.seq, emoji, active)),
      retry: ({ clientId }) => client.retry(clientId),
      discard: ({ clientId }) => client.discard(clientId),
      act: (message, anchor) => {
        const now = client.store.conversation(id);
        showActions(client, now, message, anchor, {
          nameOf,
          reply: () => this.#composer.begin('reply', message),
          edit: () => this.#composer.begin('edit', message),
        });
      },
    };
  }

  /** What is answered: from what is shown, else asked for once. */
  #quote(view, seq) {
    const shown = view.messages.find((message) => message.seq === seq);
    if (shown) return shown;
    const key = `${view.id} ${seq}`;
    if (!this.#quoted.has(key)) {
      this.#quoted.set(key, null);
      const keep = (entry) => {
        if (!entry || this.#id !== view.id) return;
        this.#quoted.set(key, { ...entry, removed: entry.removed ?? null, system: false });
        this.draw();
      };
      this.#client.messages.at(view.id, seq).then(keep, () => {});
    }
    return this.#quoted.get(key);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const view = this.#id === null ? null : this.#client.store.conversation(this.#id);
    if (!view) return;
    const fromEnd = scrollHeight - scrollTop - clientHeight;
    this.#following = fromEnd < END_PX && !view.newer;
    if (scrollTop < OLDER_PX) void this.#load('loadOlder', view.older);
    if (fromEnd < OLDER_PX) void this.#load('loadNewer', view.newer);
    this.#drawJump(view);
    this.#markRead(view);
  }

  /** @param {'loadOlder' | 'loadNewer'} how @param {boolean} more */
  async #load(how, more) {
    if (this.#loading || this.#id === null || !more) return;
    this.#loading = true;
    try {
      await this.#client[how](this.#id);
    } catch {
      // Scrolling on tries again.
    } finally {
      this.#loading = false;
    }
  }

  #topKey() {
    return this.#scroller.querySelector('.message')?.dataset.key;
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #toSeparator() {
    const separator = this.#scroller.querySelector('.unread-line');
    if (separator) this.#scroller.scrollTop = separator.offsetTop - this.#scroller.clientHeight / 4;
    else this.#toEnd();
    this.#scrolled();
  }

  #drawJump(view) {
    byId('jump').hidden = this.#following;
    byId('jump').textContent = t(view.unread > 0 ? 'thread.new' : 'thread.latest');
  }

  /** Somebody came back to the page, or went away. */
  #attention() {
    if (this.#id === null) return;
    const view = this.#client.store.conversation(this.#id);
    if (view) this.#markRead(view);
  }

  /** Read is what stands on a page that somebody looks at. */
  #markRead(view) {
    if (attentive() && this.#following && (view.unread > 0 || view.markedUnread)) this.#client.read(view.id, view.headSeq);
  }
}

/** What a message looks like follows from this, and from nothing else. */
function signatureOf(message, around, quoted) {
  const answered = quoted && [quoted.from, textOf(quoted, null)];
  return JSON.stringify([message, around, answered]);
}

/** Whether somebody looks at this page. */
const attentive = () => document.visibilityState === 'visible' && document.hasFocus();
