/** The small dialogs: a new chat, a new group, joining one, choosing a conversation, a list to read. */
import { button, byId, make } from './dom.js';
import { paintAvatar, titleOf } from './format.js';
import { t } from './i18n.js';
import { sentenceOf } from './menu.js';
import { isName } from './session.js';

/** Names out of what somebody typed; null when one of them is none. */
export function namesIn(text) {
  const names = [...new Set(text.split(/[\s,,、;;]+/).filter((name) => name !== ''))];
  return names.every(isName) ? names : null;
}

/** Opens a dialog whose form runs `submit`; it stays open and says why when that fails. */
export function ask(id, submit) {
  const dialog = byId(id);
  const form = dialog.querySelector('form');
  const error = dialog.querySelector('.error');
  const stop = new AbortController();
  error.textContent = '';
  const fail = (why) => (error.textContent = sentenceOf(why));
  form.addEventListener(
    'submit',
    async (event) => {
      event.preventDefault();
      error.textContent = '';
      try {
        if ((await submit()) !== 'stay') dialog.close();
      } catch (why) {
        fail(why);
      }
    },
    { signal: stop.signal },
  );
  for (const cancel of dialog.querySelectorAll('.cancel')) {
    cancel.addEventListener('click', () => dialog.close(), { signal: stop.signal });
  }
  dialog.addEventListener('close', () => stop.abort(), { once: true });
  dialog.showModal();
  /** Runs something, and says in the dialog when it fails. */
  const attempt = async (run) => {
    error.textContent = '';
    try {
      await run();
    } catch (why) {
      fail(why);
    }
  };
  return { dialog, fail, attempt, signal: stop.signal };
}

/** @param {(user: string) => void} start */
export function askForChat(start) {
  const input = byId('chat-user');
  input.value = '';
  ask('chat-dialog', async () => {
    const user = input.value.trim();
    if (!isName(user)) throw { key: 'signin.bad_name' };
    start(user);
  });
}

/** @param {(name: string, members: string[], join: any) => Promise<void>} create */
export function askForGroup(create) {
  const name = byId('group-name');
  const members = byId('group-members');
  const join = byId('group-join');
  name.value = '';
  members.value = '';
  join.value = 'invite';
  ask('group-dialog', async () => {
    const names = namesIn(members.value);
    if (names === null) throw { key: 'signin.bad_name' };
    await create(name.value.trim(), names, join.value);
  });
}

/** The address under which somebody joins a group. @param {string} group @param {string} link */
export const joinAddress = (group, link) => `${location.origin}/#join=${group}/${link}`;

/** A group, and perhaps a link, out of what somebody typed or the page's address. */
export function groupIn(text) {
  const [group, link] = text.trim().replace(/^.*#join=/, '').replace(/^group:/, '').split('/');
  return { group, link: link || undefined };
}

/** @param {string} given what is known already @param {(group: string, options: any) => Promise<void>} join */
export function askToJoin(given, join) {
  const where = byId('join-group');
  const note = byId('join-note');
  where.value = given;
  note.value = '';
  ask('join-dialog', async () => {
    const { group, link } = groupIn(where.value);
    if (!isName(group)) throw { key: 'join.bad' };
    await join(group, { link, note: note.value.trim() || undefined });
  });
}

/**
 * Lets the user choose one of their conversations.
 * @param {import('/sdk/index.js').Client} client
 * @param {string} title
 * @returns {Promise<string | null>}
 */
export function pickConversation(client, title) {
  const dialog = openList(title);
  return new Promise((pick) => {
    let picked = null;
    const rows = client.store
      .getSnapshot()
      .conversations.filter(({ member, kind }) => member && kind !== 'system')
      .map((view) => {
        const avatar = make('span', { className: 'avatar small' });
        paintAvatar(avatar, titleOf(view));
        const row = button('', () => {
          picked = view.id;
          dialog.close();
        }, { className: 'choice', testid: 'pick' });
        row.append(avatar, make('span', { text: titleOf(view) }));
        return make('li', {}, [row]);
      });
    byId('list-rows').replaceChildren(...rows);
    dialog.addEventListener('close', () => pick(picked), { once: true });
  });
}

/**
 * Shows rows of two texts.
 * @param {string} title
 * @param {[string, string][] | string[][]} rows
 */
export function showList(title, rows) {
  openList(title);
  byId('list-rows').replaceChildren(
    ...rows.map(([text, aside]) =>
      make('li', { testid: 'list-row' }, [
        make('span', { text }),
        make('span', { className: 'muted', text: aside }),
      ]),
    ),
  );
}

function openList(title) {
  const dialog = byId('list-dialog');
  byId('list-title').textContent = title;
  byId('list-rows').replaceChildren();
  dialog.showModal();
  return dialog;
}
