/** How a message looks: what it answers, what it says, its marks and reactions. */
import { button, make } from './dom.js';
import { clockTime, markOf, pushText, systemText, textOf } from './format.js';
import { icon } from './icons.js';
import { locale, reasonText, t } from './i18n.js';

/**
 * @typedef {import('/sdk/conversation.js').Message} Message
 *
 * @typedef {object} Around what the thread knows and does
 * @property {string | null} me
 * @property {(user: string) => string} nameOf
 * @property {boolean} named the sender's name stands above it
 * @property {boolean} continues it stands together with the one before
 * @property {Message | null} quoted what it answers, where that is known
 * @property {(seq: number) => void} jump
 * @property {(message: Message, anchor: HTMLElement) => void} act
 * @property {(message: Message, emoji: string, active: boolean) => void} react
 * @property {(message: Message) => void} retry
 * @property {(message: Message) => void} discard
 */

/** @param {Message} message @param {Around} around */
export function messageItem(message, around) {
  if (message.system) {
    const text = systemText(message, around.me, around.nameOf);
    return make('li', { className: 'message system', testid: 'system' }, [make('span', { text })]);
  }
  const bubble = make('div', { className: 'bubble' }, bubbleParts(message, around));
  const act = button('', () => around.act(message, act), {
    className: 'quiet act',
    testid: 'act',
    title: t('message.actions'),
  });
  act.append(icon('more'));
  const line = make('div', { className: 'line' }, message.seq === null ? [bubble] : [bubble, act]);
  if (message.seq !== null) {
    line.addEventListener('contextmenu', (event) => {
      if (getSelection()?.isCollapsed === false) return;
      event.preventDefault();
      around.act(message, act);
    });
  }
  const item = make('li', { className: 'message', testid: 'message' }, [line]);
  if (message.reactions.length > 0) item.append(reactions(message, around));
  item.classList.add(message.own ? 'own' : 'theirs');
  item.classList.toggle('continues', around.continues);
  item.classList.toggle('mentioned', message.mentionsMe);
  item.classList.toggle('removed', message.removed !== null);
  item.dataset.key = message.key;
  item.dataset.state = message.state;
  if (message.seq !== null) item.dataset.seq = String(message.seq);
  if (message.state === 'failed') item.append(failure(message, around));
  return item;
}

function bubbleParts(message, around) {
  const parts = [];
  if (around.named) {
    parts.push(make('strong', { className: 'from', text: around.nameOf(message.from) }));
  }
  if (message.forwarded) {
    const who = around.nameOf(message.forwarded.from);
    parts.push(make('span', { className: 'forwarded', testid: 'forwarded' }, [
      icon('forward'),
      make('span', { text: t('message.forwarded', { who }) }),
    ]));
  }
  if (message.replyTo !== null && !message.removed) parts.push(quote(message, around));
  parts.push(message.kind.startsWith('push:') ? pushed(message) : body(message, around), meta(message));
  return parts;
}

/** The text, with mentions set off. */
function body(message, { me, nameOf }) {
  const text = make('p', { className: 'text', testid: 'text' });
  text.dir = 'auto';
  const said = textOf(message, null, nameOf);
  const { url } = message.content ?? {};
  if (message.removed || message.mentions.length + Number(message.mentionAll) === 0) {
    text.textContent = said;
  } else {
    for (const part of said.split(MENTION)) {
      const isMention = part.startsWith('@') && mentions(message, part.slice(1));
      const isMe = part.slice(1) === me;
      text.append(isMention ? make('span', { className: isMe ? 'mention me' : 'mention', text: part }) : part);
    }
  }
  // Only what a link may be: never a script.
  if (typeof url === 'string' && /^(https?:\/\/|\/(?!\/))/.test(url)) {
    const link = make('a', { text: said });
    link.setAttribute('href', url);
    link.setAttribute('rel', 'noreferrer noopener');
    link.setAttribute('target', '_blank');
    text.replaceChildren(link);
  }
  return text;
}

/** An `@word` with what may stand in a user's id; a full stop at its end is the sentence's. */
const MENTION = /(@[A-Za-z0-9._+=~|-]*[A-Za-z0-9_+=~|-])/;

const mentions = (message, word) =>
  message.mentions.includes(word) || (message.mentionAll && word === 'all');

function pushed(message) {
  return make('div', { className: 'pushed' }, [
    make('strong', { text: message.kind.slice('push:'.length).replaceAll('_', ' ') }),
    make('p', { className: 'text', text: pushText(message), testid: 'text' }),
  ]);
}

function quote(message, { me, nameOf, quoted, jump }) {
  const who = quoted ? (quoted.from === me ? t('you') : nameOf(quoted.from)) : '';
  const text = quoted ? textOf(quoted, me, nameOf) : t('message.quoted');
  const element = button('', () => jump(message.replyTo), { className: 'quote', testid: 'quote' });
  element.append(make('strong', { text: who }), make('span', { text }));
  return element;
}

function meta(message) {
  const title = new Date(message.at).toLocaleString(locale());
  const time = make('time', { text: clockTime(message.at), title });
  time.setAttribute('datetime', new Date(message.at).toISOString());
  const parts = [];
  if (message.pinned) parts.push(marked('pin', t('message.pinned')));
  if (message.expiresAt !== null) {
    const until = new Date(message.expiresAt).toLocaleString(locale());
    parts.push(marked('clock', t('message.expires', { until })));
  }
  if (message.editedAt !== null && !message.removed) {
    parts.push(make('span', { text: t('message.edited'), testid: 'edited' }));
  }
  parts.push(time);
  if (message.own) parts.push(markOf(message.state));
  return make('span', { className: 'meta' }, parts);
}

function marked(name, title) {
  const mark = make('span', { className: 'small-icon', title, testid: name }, [icon(name)]);
  mark.setAttribute('role', 'img');
  mark.setAttribute('aria-label', title);
  return mark;
}

function reactions(message, around) {
  const chips = message.reactions.map(({ emoji, count, users, mine }) => {
    const names = users.map((user) => (user === around.me ? t('you') : around.nameOf(user))).join(', ');
    const chip = button(`${emoji} ${count}`, () => around.react(message, emoji, !mine), {
      className: mine ? 'reaction mine' : 'reaction',
      testid: 'reaction',
    });
    chip.title = count > users.length ? `${names} …` : names;
    chip.setAttribute('aria-pressed', String(mine));
    return chip;
  });
  return make('div', { className: 'reactions' }, chips);
}

function failure(message, around) {
  const why = make('span', { text: `${t('mark.failed')}: ${reasonText(message.error)}` });
  return make('div', { className: 'failure', testid: 'failure' }, [
    why,
    button(t('failed.retry'), () => around.retry(message), { className: 'link', testid: 'retry' }),
    button(t('failed.discard'), () => around.discard(message), { className: 'link', testid: 'discard' }),
  ]);
}
