/**
 * The box to write in: what is half written, what it answers or changes, and whom it mentions.
 * Drafts are the user's, on all devices.
 */
import { button, byId, make } from './dom.js';
import { icon } from './icons.js';
import { textOf } from './format.js';
import { onLanguage, reasonText, t } from './i18n.js';
import { attempt, showMenu, toast } from './menu.js';

/** A draft is told this long after the last key, in milliseconds. */
const DRAFT_MS = 1_500;
const SUGGESTIONS_MAX = 6;
/** How long what is sent may stay: for ever first; the words are `lasting.NAME`. In milliseconds. */
const LASTING = [
  ['ever', null],
  ['minute', 60_000],
  ['hour', 3_600_000],
  ['day', 86_400_000],
];

export class Composer {
  /** @type {import('/sdk/index.js').Client} */
  #client;
  /** @type {string | null} */
  #id = null;
  #on;
  #nameOf = String;
  #composing = false;
  /** @type {{what: 'reply' | 'edit', message: import('/sdk/conversation.js').Message} | null} */
  #about = null;
  #draftTimer = null;
  /** The members of the open group, once somebody was to be mentioned. @type {{id: string, name?: string}[] | null} */
  #members = null;
  #chosen = 0;
  /** Of the open conversation; another one begins with `ever`. */
  #lasting = LASTING[0];
  #box = byId('draft');
  #list = byId('mentions');

  /** @param {{sent: () => void}} on */
  constructor(on) {
    this.#on = on;
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    const box = this.#box;
    box.addEventListener('compositionstart', () => (this.#composing = true));
    box.addEventListener('compositionend', () => (this.#composing = false));
    box.addEventListener('keydown', (event) => this.#key(event));
    box.addEventListener('input', () => this.#typed());
    byId('about-cancel').addEventListener('click', () => this.#endAbout());
    byId('lasting').replaceChildren(icon('clock'));
    byId('lasting').addEventListener('click', () => this.#chooseLasting());
    onLanguage(() => this.#drawLasting());
    this.#drawLasting();
  }

  /**
   * @param {import('/sdk/index.js').Client} client
   * @param {string | null} id
   * @param {(user: string) => string} nameOf
   */
  open(client, id, nameOf) {
    this.#keepDraft();
    this.#client = client;
    if (id !== this.#id) this.#last(LASTING[0]);
    this.#id = id;
    this.#nameOf = nameOf;
    this.#members = null;
    this.#about = null;
    this.#drawAbout();
    this.#suggest();
    this.#box.value = id === null ? '' : (client.store.conversation(id)?.draft ?? '');
    this.#fit();
  }

  focus() {
    this.#box.focus();
  }

  /** Answers a message, or changes an own one. */
  begin(what, message) {
    if (what === 'edit') {
      this.#keepDraft();
      this.#box.value = textOf(message, null);
    }
    this.#about = { what, message };
    this.#drawAbout();
    this.#fit();
    this.#box.focus();
  }

  /** @returns {boolean} there was something to be ended */
  escape() {
    if (this.#list.hidden === false) {
      this.#list.hidden = true;
      return true;
    }
    if (!this.#about) return false;
    this.#endAbout();
    return true;
  }

  #endAbout() {
    const wasEdit = this.#about?.what === 'edit';
    this.#about = null;
    this.#drawAbout();
    if (wasEdit) this.#box.value = this.#client.store.conversation(this.#id)?.draft ?? '';
    this.#fit();
    this.#box.focus();
  }

  #drawAbout() {
    const bar = byId('about');
    bar.hidden = this.#about === null;
    if (!this.#about) return;
    const { what, message } = this.#about;
    const who = message.own ? t('you') : this.#nameOf(message.from);
    byId('about-what').textContent = what === 'edit' ? t('compose.editing') : t('compose.replying', { who });
    byId('about-text').textContent = textOf(message, this.#client.user, this.#nameOf);
  }

  #chooseLasting() {
    const choices = LASTING.map((lasting) => ({
      label: t(`lasting.${lasting[0]}`),
      icon: lasting === this.#lasting ? /** @type {const} */ ('sent') : undefined,
      testid: `lasting-${lasting[0]}`,
      run: () => this.#last(lasting),
    }));
    showMenu(byId('lasting'), choices);
  }

  #last(lasting) {
    this.#lasting = lasting;
    this.#drawLasting();
  }

  #drawLasting() {
    const [name, ms] = this.#lasting;
    const control = byId('lasting');
    control.classList.toggle('on', ms !== null);
    control.title = t('compose.lasting', { how: t(`lasting.${name}`) });
    control.setAttribute('aria-label', control.title);
  }

  #key(event) {
    // Enter also chooses a candidate of an input method: 229 is what some browsers say then.
    const choosing = this.#composing || event.isComposing || event.keyCode === 229;
    if (choosing) return;
    if (!this.#list.hidden && ['ArrowUp', 'ArrowDown', 'Enter', 'Tab'].includes(event.key)) {
      event.preventDefault();
      const count = this.#list.children.length;
      if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
        this.#chosen = (this.#chosen + (event.key === 'ArrowDown' ? 1 : count - 1)) % count;
        this.#markChosen();
      } else {
        this.#list.children[this.#chosen]?.click();
      }
      return;
    }
    if (event.key !== 'Enter' || event.shiftKey) return;
    event.preventDefault();
    this.#send();
  }

  #typed() {
    this.#fit();
    if (this.#id === null) return;
    this.#client.typing(this.#id, this.#box.value !== '');
    this.#suggest();
    if (this.#about?.what === 'edit') return;
    clearTimeout(this.#draftTimer);
    this.#draftTimer = setTimeout(() => this.#keepDraft(), DRAFT_MS);
  }

  /** Tells the draft, where it is another one than what is known. */
  #keepDraft() {
    clearTimeout(this.#draftTimer);
    const view = this.#id === null ? null : this.#client.store.conversation(this.#id);
    if (!view || this.#about?.what === 'edit' || view.draft === this.#box.value) return;
    // Nothing is lost that matters: the next key tells it again.
    this.#client.settings.draft(this.#id, this.#box.value).catch(() => {});
  }

  #send() {
    const text = this.#box.value.trim();
    if (text === '' || this.#id === null) return;
    const about = this.#about;
    const id = this.#id;
    if (about?.what === 'edit') {
      void attempt(() => this.#client.messages.edit(id, about.message.seq, text));
      this.#client.typing(id, false);
      this.#endAbout();
      return;
    }
    const { mentions, mentionAll } = this.#mentioned(text);
    try {
      const [, expiresInMs] = this.#lasting;
      const head = { replyTo: about?.message.seq ?? undefined, mentions, mentionAll };
      this.#client.send(id, text, expiresInMs === null ? head : { ...head, expiresInMs });
    } catch (error) {
      toast(t('error.generic', { reason: reasonText(error.reason) }));
      return;
    }
    this.#client.typing(id, false);
    this.#box.value = '';
    this.#about = null;
    this.#drawAbout();
    this.#list.hidden = true;
    this.#fit();
    this.#keepDraft();
    this.#on.sent();
  }

  /** Whom a text mentions: members that stand in it as `@id`. */
  #mentioned(text) {
    const words = new Set([...text.matchAll(/@([A-Za-z0-9._@+=~|-]+)/g)].map(([, word]) => word.replace(/\.+$/, '')));
    const mentions = (this.#members ?? []).map(({ id }) => id).filter((id) => words.has(id)).slice(0, 50);
    const view = this.#client.store.conversation(this.#id);
    const leads = view?.role === 'owner' || view?.role === 'admin';
    return { mentions, mentionAll: leads && words.has('all') };
  }

  /** Offers members where an `@` was begun. */
  #suggest() {
    const view = this.#id === null ? null : this.#client.store.conversation(this.#id);
    const before = this.#box.value.slice(0, this.#box.selectionStart ?? 0);
    const begun = /(?:^|\s)@([^\s@]*)$/.exec(before)?.[1];
    this.#list.hidden = true;
    if (view?.kind !== 'group' || !this.#box.value.includes('@')) return;
    if (this.#members === null) void this.#loadMembers(view.id);
    if (begun === undefined) return;
    const wanted = begun.toLowerCase();
    const fits = ({ id, name = '' }) => id.toLowerCase().startsWith(wanted) || name.toLowerCase().startsWith(wanted);
    const leads = view.role === 'owner' || view.role === 'admin';
    const all = leads ? [{ id: 'all', name: t('compose.all') }] : [];
    const found = [...all, ...(this.#members ?? []).filter(({ id }) => id !== this.#client.user)].filter(fits);
    if (found.length === 0) return;
    this.#chosen = 0;
    this.#list.replaceChildren(
      ...found.slice(0, SUGGESTIONS_MAX).map(({ id, name }) => {
        const row = button(`@${id}`, () => this.#insert(begun, id), { className: 'choice', testid: 'mention-choice' });
        if (name && name !== id) row.append(make('span', { className: 'muted', text: name }));
        return row;
      }),
    );
    this.#list.hidden = false;
    this.#markChosen();
  }

  #markChosen() {
    [...this.#list.children].forEach((row, i) => row.classList.toggle('chosen', i === this.#chosen));
  }

  #insert(begun, user) {
    const at = this.#box.selectionStart;
    const { value } = this.#box;
    this.#box.value = `${value.slice(0, at - begun.length)}${user} ${value.slice(at)}`;
    const end = at - begun.length + user.length + 1;
    this.#box.setSelectionRange(end, end);
    this.#box.focus();
    this.#typed();
  }

  async #loadMembers(id) {
    this.#members = [];
    try {
      const { members } = await this.#client.groups.members(id, { limit: 200 });
      if (this.#id !== id) return;
      this.#members = members;
      this.#suggest();
    } catch {
      this.#members = null;
    }
  }

  /** The box grows with what is written, up to a limit of the style sheet. */
  #fit() {
    this.#box.style.height = 'auto';
    this.#box.style.height = `${this.#box.scrollHeight}px`;
    byId('send').disabled = this.#box.value.trim() === '';
    byId('send').textContent = t(this.#about?.what === 'edit' ? 'compose.save' : 'compose.send');
  }
}
