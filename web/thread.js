/**
 * The open conversation: messages, scrolling, marks, and the box to write in.
 *
 * Invariant: what the reader looks at does not move by itself. At the end the page follows new
 * messages; elsewhere it keeps its place, also when older messages are put in above.
 */
import { byId, make, reconcile } from './dom.js';
import { clockTime, dayName, isSameDay, markOf, paintAvatar, systemText, textOf, titleOf } from './format.js';
import { locale, reasonText, t } from './i18n.js';

/** So near to the end counts as at the end, in pixels. */
const END_PX = 48;
/** So near to the top older messages are fetched, in pixels. */
const OLDER_PX = 240;
/** At least so many are shown where there are as many. */
const FIRST_PAGE = 30;
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
  /** What is half written, per conversation. @type {Map<string, string>} */
  #drafts = new Map();
  #composing = false;
  #scroller = byId('scroller');
  #draft = byId('draft');

  /** @param {{back: () => void, info: (conversation: string) => void}} go */
  constructor(go) {
    byId('back').addEventListener('click', go.back);
    byId('group-info').addEventListener('click', () => go.info(this.#id));
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(this.#scroller);
    byId('jump').addEventListener('click', () => {
      this.#following = true;
      this.#toEnd();
      this.draw();
    });
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#draft.addEventListener('compositionstart', () => (this.#composing = true));
    this.#draft.addEventListener('compositionend', () => (this.#composing = false));
    this.#draft.addEventListener('keydown', (event) => {
      // Enter also chooses a candidate of an input method: 229 is what some browsers say then.
      const choosing = this.#composing || event.isComposing || event.keyCode === 229;
      if (event.key !== 'Enter' || event.shiftKey || choosing) return;
      event.preventDefault();
      this.#send();
    });
    this.#draft.addEventListener('input', () => {
      this.#fitDraft();
      if (this.#id) this.#client.typing(this.#id, this.#draft.value !== '');
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
   */
  open(client, id) {
    if (this.#id) this.#drafts.set(this.#id, this.#draft.value);
    this.#release();
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
    this.#draft.value = this.#drafts.get(id) ?? '';
    this.#fitDraft();
    this.draw();
    if (!this.#following) this.#toSeparator();
    if (matchMedia('(min-width: 720px)').matches) this.#draft.focus();
  }

  /** Draws what has changed. */
  draw() {
    const view = this.#id === null ? null : this.#client.store.conversation(this.#id);
    if (!view) return;
    const me = this.#client.user;
    byId('thread-title').textContent = titleOf(view);
    paintAvatar(byId('thread-avatar'), titleOf(view));
    byId('group-info').hidden = view.kind !== 'group';
    byId('thread-typing').textContent =
      view.typing.length === 0
        ? ''
        : t(view.typing.length > 1 ? 'thread.typing_many' : 'thread.typing', { who: view.typing.join(', ') });
    byId('composer').hidden = !view.member;
    byId('not-member').hidden = view.member;
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
    if (this.#following) this.#toEnd();
    else if (oldTop !== this.#topKey()) this.#scroller.scrollTop = this.#scroller.scrollHeight - fromEnd;
    this.#drawJump(view);
    this.#markRead(view);
    if (view.older && view.messages.length < FIRST_PAGE) void this.#loadOlder();
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
      items.push({
        key: message.key,
        signature: `${message.state} ${message.seq} ${message.readBy} ${message.error} ${continues} ${locale()}`,
        draw: () =>
          message.system ? systemLine(message, me) : this.#bubble(message, { continues, named }),
      });
      previous = message;
    }
    return items;
  }

  #bubble(message, { continues, named }) {
    const text = make('p', { className: 'text', text: textOf(message, null), testid: 'text' });
    text.dir = 'auto';
    const title = new Date(message.at).toLocaleString(locale());
    const time = make('time', { text: clockTime(message.at), title });
    time.dateTime = new Date(message.at).toISOString();
    const meta = make('span', { className: 'meta' }, [time]);
    if (message.own) meta.append(markOf(message.state));
    const bubble = make('div', { className: 'bubble' }, [text, meta]);
    if (named) bubble.prepend(make('strong', { className: 'from', text: message.from }));
    const item = make('li', { className: 'message', testid: 'message' }, [bubble]);
    item.classList.add(message.own ? 'own' : 'theirs');
    item.classList.toggle('continues', continues);
    item.dataset.key = message.key;
    item.dataset.state = message.state;
    if (message.seq !== null) item.dataset.seq = String(message.seq);
    if (message.state === 'failed') item.append(this.#failure(message));
    return item;
  }

  #failure(message) {
    const retry = make('button', { className: 'link', text: t('failed.retry'), testid: 'retry' });
    const discard = make('button', { className: 'link', text: t('failed.discard'), testid: 'discard' });
    retry.type = 'button';
    discard.type = 'button';
    retry.addEventListener('click', () => this.#client.retry(message.clientId));
    discard.addEventListener('click', () => this.#client.discard(message.clientId));
    const why = make('span', { text: `${t('mark.failed')}: ${reasonText(message.error)}` });
    return make('div', { className: 'failure', testid: 'failure' }, [why, retry, discard]);
  }

  #send() {
    const text = this.#draft.value.trim();
    if (text === '' || this.#id === null) return;
    try {
      this.#client.send(this.#id, text);
    } catch (error) {
      this.#draft.setCustomValidity(t('error.generic', { reason: reasonText(error.reason) }));
      this.#draft.reportValidity();
      this.#draft.setCustomValidity('');
      return;
    }
    this.#client.typing(this.#id, false);
    this.#draft.value = '';
    this.#fitDraft();
    this.#separatorAfter = null;
    this.#following = true;
    this.draw();
  }

  /** The box grows with what is written, up to a limit of the style sheet. */
  #fitDraft() {
    this.#draft.style.height = 'auto';
    this.#draft.style.height = `${this.#draft.scrollHeight}px`;
    byId('send').disabled = this.#draft.value.trim() === '';
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < END_PX;
    if (scrollTop < OLDER_PX) void this.#loadOlder();
    const view = this.#id === null ? null : this.#client.store.conversation(this.#id);
    if (!view) return;
    this.#drawJump(view);
    this.#markRead(view);
  }

  async #loadOlder() {
    const id = this.#id;
    if (this.#loading || id === null || !this.#client.store.conversation(id)?.older) return;
    this.#loading = true;
    try {
      await this.#client.loadOlder(id);
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
    if (attentive() && this.#following && view.unread > 0) this.#client.read(view.id, view.headSeq);
  }
}

function systemLine(message, me) {
  return make('li', { className: 'message system', testid: 'system' }, [
    make('span', { text: systemText(message, me) }),
  ]);
}

/** Whether somebody looks at this page. */
const attentive = () => document.visibilityState === 'visible' && document.hasFocus();
