/** The dialogs: a new chat, a new group, and a group's members. */
import { byId, make } from './dom.js';
import { paintAvatar, titleOf } from './format.js';
import { reasonText, t } from './i18n.js';
import { isName } from './session.js';

const MEMBERS_SHOWN_MAX = 1_000;

/** Names out of what somebody typed; null when one of them is none. */
function namesIn(text) {
  const names = [...new Set(text.split(/[\s,,、;;]+/).filter((name) => name !== ''))];
  return names.every(isName) ? names : null;
}

/** Opens a dialog whose form runs `submit`; it stays open and says why when that fails. */
function ask(id, submit) {
  const dialog = byId(id);
  const form = dialog.querySelector('form');
  const error = dialog.querySelector('.error');
  const stop = new AbortController();
  error.textContent = '';
  const fail = (why) => {
    const reason = () => reasonText(why.reason ?? String(why));
    error.textContent = why.key ? t(why.key) : t('error.generic', { reason: reason() });
  };
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
  for (const button of dialog.querySelectorAll('.cancel')) {
    button.addEventListener('click', () => dialog.close(), { signal: stop.signal });
  }
  dialog.addEventListener('close', () => stop.abort(), { once: true });
  dialog.showModal();
  return { dialog, fail, signal: stop.signal };
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

/** @param {(name: string, members: string[]) => Promise<void>} create */
export function askForGroup(create) {
  const name = byId('group-name');
  const members = byId('group-members');
  name.value = '';
  members.value = '';
  ask('group-dialog', async () => {
    const names = namesIn(members.value);
    if (names === null) throw { key: 'signin.bad_name' };
    await create(name.value.trim(), names);
  });
}

/**
 * @param {import('/sdk/index.js').Client} client
 * @param {string} conversation
 */
export function showGroup(client, conversation) {
  const view = client.store.conversation(conversation);
  const group = conversation.slice('group:'.length);
  const input = byId('invite-users');
  byId('info-title').textContent = titleOf(view);
  byId('info-count').textContent = '';
  byId('info-members').replaceChildren();
  byId('info-invite').hidden = !view.member || view.role === 'member';
  byId('leave').hidden = !view.member;
  input.value = '';
  const { dialog, fail, signal } = ask('info-dialog', async () => {
    const names = namesIn(input.value);
    if (names === null || names.length === 0) throw { key: 'signin.bad_name' };
    await client.groups.invite(group, names);
    input.value = '';
    await list();
    return 'stay';
  });
  const list = async () => {
    const rows = [];
    let after;
    let count = 0;
    do {
      const page = await client.groups.members(group, { after, limit: 200 });
      count = page.count;
      for (const member of page.members) rows.push(memberRow(member, client.user));
      after = page.next;
    } while (after !== undefined && rows.length < MEMBERS_SHOWN_MAX);
    byId('info-count').textContent = t('group.count', { n: count });
    byId('info-members').replaceChildren(...rows);
  };
  const leave = () => client.groups.leave(group).then(() => dialog.close(), fail);
  byId('leave').addEventListener('click', leave, { signal });
  list().catch(fail);
}

function memberRow(member, me) {
  const avatar = make('span', { className: 'avatar small' });
  paintAvatar(avatar, member.name ?? member.id);
  avatar.setAttribute('aria-hidden', 'true');
  const name = member.id === me ? `${member.id} (${t('you')})` : (member.name ?? member.id);
  return make('li', { testid: 'member' }, [
    avatar,
    make('span', { text: name }),
    make('span', { className: 'muted', text: t(`role.${member.role}`) }),
  ]);
}
