/** How things are said: times, names, lines about groups, and small pictures. Pure but for the DOM. */
import { icon } from './icons.js';
import { locale, t } from './i18n.js';

const DAY_MS = 86_400_000;
const startOfDay = (at) => new Date(at).setHours(0, 0, 0, 0);
const format = (at, options) => new Intl.DateTimeFormat(locale(), options).format(at);

/** @param {number} at milliseconds since the epoch */
export const clockTime = (at) => format(at, { hour: '2-digit', minute: '2-digit' });

/** A day in words. @param {number} at @param {number} [now] */
export function dayName(at, now = Date.now()) {
  const days = Math.round((startOfDay(now) - startOfDay(at)) / DAY_MS);
  if (days === 0) return t('today');
  if (days === 1) return t('yesterday');
  if (days > 1 && days < 7) return format(at, { weekday: 'long' });
  return format(at, { year: 'numeric', month: 'long', day: 'numeric' });
}

/** Short, for the list. @param {number} at @param {number} [now] */
export function listTime(at, now = Date.now()) {
  if (startOfDay(at) === startOfDay(now)) return clockTime(at);
  if (now - at < 6 * DAY_MS) return format(at, { weekday: 'short' });
  return format(at, { month: 'numeric', day: 'numeric' });
}

export const isSameDay = (a, b) => startOfDay(a) === startOfDay(b);

/** What a conversation is called. */
export function titleOf(view) {
  if (view.kind === 'system') {
    const role = view.id.startsWith('system:role:') ? view.id.slice('system:role:'.length) : null;
    if (role !== null) return t('system.title.role', { role });
    return t(view.id === 'system:all' ? 'system.title.all' : 'system.title.user');
  }
  return view.name ?? view.peer ?? (view.kind === 'group' ? t('group.untitled') : view.id);
}

/**
 * What a message says, as one text.
 * @param {import('/sdk/conversation.js').Message} message
 * @param {string | null} me
 * @param {(user: string) => string} [nameOf]
 */
export function textOf(message, me, nameOf = String) {
  if (message.removed) return t(`message.${message.removed}`);
  if (message.system) return systemText(message, me, nameOf);
  const { content, kind } = message;
  if (kind.startsWith('push:')) return pushText(message);
  if (typeof content === 'string') return content;
  const { text, title, name } = content ?? {};
  const told = [text, title, name].find((part) => typeof part === 'string');
  if (kind === 'text' && told !== undefined) return told;
  const label = t(`kind.${kind.split(':')[0]}`);
  return told === undefined ? `[${label}]` : `[${label}] ${told}`;
}

/** What was pushed, in a line: what it says itself, or all of it. */
export function pushText({ content }) {
  if (typeof content === 'string') return content;
  const { title, text, body, message } = content ?? {};
  const told = [title, text ?? body ?? message].filter((part) => typeof part === 'string');
  return told.length > 0 ? told.join(': ') : JSON.stringify(content);
}

/** A line about the group, in words. */
export function systemText({ kind, content, from }, me, nameOf = String) {
  const say = (user) => (user === me ? t('you') : nameOf(String(user ?? '')));
  const who = say(from);
  const { user, users, by, name, role, muted, announcement } = content ?? {};
  const whom = users ? users.map(say).join(', ') : say(user);
  switch (kind) {
    case 'group_created':
      return t('system.group_created', { who, name });
    case 'group_updated':
      if (name !== undefined) return t('system.group_renamed', { who, name });
      if (muted !== undefined) return t(muted ? 'system.all_muted' : 'system.all_unmuted', { who });
      if (announcement) return t('system.announced', { who, text: announcement });
      return t('system.group_updated', { who });
    case 'member_joined':
      return by === undefined || by === user
        ? t('system.member_joined', { user: whom })
        : t('system.member_invited', { who: say(by), user: whom });
    case 'member_left':
      return t('system.member_left', { user: whom });
    case 'member_kicked':
      return t('system.member_kicked', { who: say(by ?? from), user: whom });
    case 'member_banned':
      return t('system.member_banned', { who: say(by ?? from), user: whom });
    case 'member_unbanned':
      return t('system.member_unbanned', { who: say(by ?? from), user: whom });
    case 'member_muted':
      return t(muted ? 'system.member_muted' : 'system.member_unmuted', { who: say(by ?? from), user: whom });
    case 'member_role':
      return t('system.member_role', { user: whom, role: t(`system.role.${role}`) });
    case 'group_dissolved':
      return t('system.group_dissolved', { who });
    default:
      return kind;
  }
}

/** Whether somebody is there, in words. @param {import('/sdk/presence.js').PresenceOf | null} presence */
export function presenceText(presence) {
  if (!presence) return '';
  if (presence.status !== 'offline') return t(`presence.${presence.status}`);
  if (!presence.last_seen) return t('presence.offline');
  const at = presence.last_seen;
  const when = isSameDay(at, Date.now()) ? clockTime(at) : dayName(at);
  return t('presence.last_seen', { when });
}

/** Fills an avatar: an initial on a colour that follows from the name. */
export function paintAvatar(element, name) {
  const initial = [...name][0]?.toUpperCase() ?? '?';
  // What else stands in it, the dot, stays.
  if (element.firstChild?.nodeType === Node.TEXT_NODE) element.firstChild.data = initial;
  else element.prepend(initial);
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  element.dataset.hue = String(hash % 8);
}

/** The mark of an own message. @param {import('./icons.js').Icon} state */
export function markOf(state) {
  const mark = document.createElement('span');
  mark.className = `mark ${state}`;
  mark.dataset.testid = 'mark';
  mark.dataset.state = state;
  mark.setAttribute('role', 'img');
  mark.setAttribute('aria-label', t(`mark.${state}`));
  mark.title = t(`mark.${state}`);
  mark.append(icon(state));
  return mark;
}

/**
 * Puts a dot on an avatar that says whether its user is there; none where nothing is known.
 * @param {HTMLElement} avatar
 * @param {string | null} status
 */
export function paintDot(avatar, status) {
  let dot = /** @type {HTMLElement | null} */ (avatar.querySelector('.dot'));
  if (!status || status === 'offline' || status === 'invisible') {
    dot?.remove();
    return;
  }
  if (!dot) avatar.append((dot = document.createElement('span')));
  dot.className = `dot ${status}`;
  dot.dataset.testid = 'dot';
  dot.title = t(`presence.${status}`);
}
