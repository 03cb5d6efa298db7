/** How things are said: times, names, lines about groups, and small pictures. Pure but for the DOM. */
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
export const titleOf = (view) =>
  view.name ?? view.peer ?? (view.kind === 'group' ? t('group.untitled') : view.id);

/** What a message says, as one text. */
export function textOf(message, me) {
  if (message.system) return systemText(message, me);
  if (typeof message.content === 'string') return message.content;
  const { text, name } = message.content ?? {};
  const told = [text, name].find((part) => typeof part === 'string');
  return `[${message.kind}] ${told ?? JSON.stringify(message.content)}`;
}

/** A line about the group, in words. */
export function systemText({ kind, content, from }, me) {
  const say = (user) => (user === me ? t('you') : String(user ?? ''));
  const who = say(from);
  const { user, users, by, name, role } = content ?? {};
  const whom = users ? users.map(say).join(', ') : say(user);
  switch (kind) {
    case 'group_created':
      return t('system.group_created', { who, name });
    case 'group_updated':
      return t(name === undefined ? 'system.group_updated' : 'system.group_renamed', { who, name });
    case 'member_joined':
      return by === undefined || by === user
        ? t('system.member_joined', { user: whom })
        : t('system.member_invited', { who: say(by), user: whom });
    case 'member_left':
      return t('system.member_left', { user: whom });
    case 'member_kicked':
      return t('system.member_kicked', { who: say(by ?? from), user: whom });
    case 'member_role':
      return t('system.member_role', { user: whom, role: t(`system.role.${role}`) });
    case 'group_dissolved':
      return t('system.group_dissolved', { who });
    default:
      return kind;
  }
}

/** Fills an avatar: an initial on a colour that follows from the name. */
export function paintAvatar(element, name) {
  element.textContent = [...name][0]?.toUpperCase() ?? '?';
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  element.dataset.hue = String(hash % 8);
}

const PATHS = {
  pending: ['M8 4.5V8l2.5 1.5', 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8z'],
  sent: ['M3.5 8.5l3 3 6-7'],
  delivered: ['M1 8.5l3 3 6-7', 'M7.5 11l.6.5 6-7'],
  read: ['M1 8.5l3 3 6-7', 'M7.5 11l.6.5 6-7'],
  failed: ['M8 4v5', 'M8 11.6v.4', 'M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13z'],
};
const SVG = 'http://www.w3.org/2000/svg';

/** The mark of an own message. @param {keyof typeof PATHS} state */
export function markOf(state) {
  const mark = document.createElement('span');
  mark.className = `mark ${state}`;
  mark.dataset.testid = 'mark';
  mark.dataset.state = state;
  mark.setAttribute('role', 'img');
  mark.setAttribute('aria-label', t(`mark.${state}`));
  mark.title = t(`mark.${state}`);
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  for (const d of PATHS[state]) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  mark.append(svg);
  return mark;
}
