/** A group's own dialog: members and what may be done to them, who asks, links, bans, and its end. */
import { ask, joinAddress, namesIn, showList } from './dialogs.js';
import { button, byId, make } from './dom.js';
import { clockTime, dayName, paintAvatar, paintDot, titleOf } from './format.js';
import { icon } from './icons.js';
import { t } from './i18n.js';
import { confirmed, showMenu, toast } from './menu.js';

const MEMBERS_SHOWN_MAX = 1_000;
const RANK = { member: 0, admin: 1, owner: 2 };
const HOUR_MS = 3_600_000;
const LINK_MS = 7 * 24 * HOUR_MS;

/**
 * @param {import('/sdk/index.js').Client} client
 * @param {string} conversation
 * @param {(user: string) => string} nameOf
 */
export function showGroup(client, conversation, nameOf) {
  const { groups } = client;
  const group = conversation.slice('group:'.length);
  const now = () => client.store.conversation(conversation);
  const invitees = byId('invite-users');
  invitees.value = '';
  const { dialog, attempt, signal } = ask('info-dialog', async () => {
    const names = namesIn(invitees.value);
    if (names === null || names.length === 0) throw { key: 'signin.bad_name' };
    await groups.invite(group, names);
    invitees.value = '';
    return 'stay';
  });

  const draw = () => {
    const view = now();
    if (!view) return;
    const leads = view.member && view.role !== 'member';
    byId('info-title').textContent = titleOf(view);
    byId('info-announcement').textContent = view.announcement ?? '';
    byId('info-announcement').hidden = !view.announcement;
    byId('info-edit').hidden = !leads;
    byId('info-invite').hidden = !leads && !(view.member && view.join === 'open');
    byId('info-lead').hidden = !leads;
    byId('info-muted').checked = view.allMuted !== null;
    byId('leave').hidden = !view.member;
    byId('dissolve').hidden = !view.member || view.role !== 'owner';
    if (document.activeElement?.closest('#info-edit') === null) {
      byId('info-name').value = view.name ?? '';
      byId('info-announce').value = view.announcement ?? '';
      byId('info-join').value = view.join ?? 'invite';
    }
  };

  const members = async () => {
    const rows = [];
    const { role } = now() ?? {};
    let after;
    let count = 0;
    do {
      const page = await groups.members(group, { after, limit: 200 });
      count = page.count;
      for (const member of page.members) rows.push(memberRow(member, role));
      after = page.next;
    } while (after !== undefined && rows.length < MEMBERS_SHOWN_MAX);
    byId('info-count').textContent = t('group.count', { n: count });
    byId('info-members').replaceChildren(...rows);
  };

  const requests = async () => {
    const view = now();
    const leads = view?.member && view.role !== 'member';
    const { requests: waiting } = leads ? await groups.requests(group, { limit: 50 }) : { requests: [] };
    byId('info-requests-part').hidden = waiting.length === 0;
    byId('info-requests').replaceChildren(
      ...waiting.map(({ user, name, note }) =>
        make('li', { testid: 'join-request' }, [
          make('span', { className: 'who' }, [
            make('span', { text: name ?? user }),
            ...(note ? [make('span', { className: 'muted note', text: note })] : []),
          ]),
          button(t('friends.accept'), () => attempt(() => groups.approve(group, user)), { className: 'primary', testid: 'approve' }),
          button(t('friends.reject'), () => attempt(() => groups.reject(group, user)), { className: 'quiet', testid: 'reject' }),
        ]),
      ),
    );
  };

  const memberRow = (member, role) => {
    const { id, name = id, muted } = member;
    const me = id === client.user;
    const avatar = make('span', { className: 'avatar small' });
    paintAvatar(avatar, name);
    paintDot(avatar, client.presence.of(id)?.status ?? null);
    avatar.setAttribute('aria-hidden', 'true');
    const parts = [
      avatar,
      make('span', { className: 'who', text: me ? `${name} (${t('you')})` : name }),
      ...(muted ? [icon('mute')] : []),
      make('span', { className: 'muted', text: t(`role.${member.role}`) }),
    ];
    const over = !me && role && role !== 'member' && RANK[role] > RANK[member.role];
    if (over) {
      const more = button('', () => memberMenu(member, role, more), {
        className: 'quiet icon',
        testid: 'member-menu',
        title: t('group.member_menu'),
      });
      more.append(icon('more'));
      parts.push(more);
    }
    return make('li', { testid: 'member' }, parts);
  };

  const memberMenu = ({ id, role: theirs, muted }, role, anchor) => {
    const hand = async () => {
      if (await confirmed(t('group.transfer_sure', { user: id }))) await groups.transfer(group, id);
    };
    const within = (run) => () => attempt(run);
    showMenu(anchor, [
      role === 'owner' && theirs === 'member' && { label: t('group.make_admin'), testid: 'make-admin', run: within(() => groups.setRole(group, id, 'admin')) },
      role === 'owner' && theirs === 'admin' && { label: t('group.make_member'), run: within(() => groups.setRole(group, id, 'member')) },
      muted
        ? { label: t('group.unmute'), run: within(() => groups.mute(group, { user: id, muted: false })) }
        : { label: t('group.mute_hour'), icon: 'mute', testid: 'mute', run: within(() => groups.mute(group, { user: id, until: Date.now() + HOUR_MS })) },
      !muted && { label: t('group.mute'), icon: 'mute', run: within(() => groups.mute(group, { user: id })) },
      role === 'owner' && { label: t('group.transfer'), testid: 'transfer', danger: true, run: within(hand) },
      { label: t('group.kick'), testid: 'kick', danger: true, run: within(() => groups.kick(group, id)) },
      { label: t('group.ban'), testid: 'ban', danger: true, run: within(() => groups.ban(group, id)) },
    ]);
  };

  const on = (id, type, run) => byId(id).addEventListener(type, () => attempt(run), { signal });
  on('info-save', 'click', async () => {
    const view = now();
    const change = {};
    const name = byId('info-name').value.trim();
    const announcement = byId('info-announce').value.trim();
    if (name !== view.name) change.name = name;
    if (announcement !== (view.announcement ?? '')) change.announcement = announcement;
    if (byId('info-join').value !== view.join) change.join = byId('info-join').value;
    if (Object.keys(change).length > 0) await groups.update(group, change);
    toast(t('saved'));
  });
  on('info-muted', 'change', () => groups.mute(group, { muted: byId('info-muted').checked }));
  on('info-link', 'click', async () => {
    const { link } = await groups.createLink(group, { expiresInMs: LINK_MS });
    byId('info-address').value = joinAddress(group, link);
    byId('info-address').hidden = false;
    byId('info-address').select();
    await navigator.clipboard?.writeText(byId('info-address').value).then(() => toast(t('group.link_copied')), () => {});
  });
  on('info-links', 'click', async () => {
    const { links } = await groups.links(group);
    const rows = links.map(({ link, by, expires_at, uses_left }) => [
      nameOf(by),
      [expires_at && `${dayName(expires_at)}, ${clockTime(expires_at)}`, uses_left && `${uses_left} ×`].filter(Boolean).join(' · '),
      t('group.revoke'),
      () => groups.revokeLink(group, link),
    ]);
    showRows(t('group.links'), rows, attempt);
  });
  on('info-bans', 'click', async () => {
    const { bans } = await groups.bans(group);
    const rows = bans.map(({ user, name, until }) => [
      name ?? user,
      until ? `${dayName(until)}, ${clockTime(until)}` : '',
      t('group.unban'),
      () => groups.unban(group, user),
    ]);
    showRows(t('group.bans'), rows, attempt);
  });
  on('leave', 'click', () => groups.leave(group).then(() => dialog.close()));
  on('dissolve', 'click', async () => {
    if (!(await confirmed(t('group.dissolve_sure')))) return;
    await groups.dissolve(group);
    dialog.close();
  });

  byId('info-address').hidden = true;
  byId('info-count').textContent = '';
  byId('info-members').replaceChildren();
  byId('info-requests-part').hidden = true;
  const refresh = () => {
    draw();
    void attempt(members);
    void attempt(requests);
  };
  client.on('conversation', (event) => event.conversation === conversation && refresh(), { signal });
  client.on('group_request', (event) => event.group === group && attempt(requests), { signal });
  refresh();
}

/** Rows that can be taken away. */
function showRows(title, rows, attempt) {
  showList(title, rows.length === 0 ? [[t('list.nothing'), '']] : rows);
  const elements = byId('list-rows').children;
  rows.forEach(([, , label, run], i) => {
    const element = elements[i];
    const take = async () => {
      await run();
      element.remove();
    };
    element.append(button(label, () => attempt(take), { className: 'quiet', testid: 'row-action' }));
  });
}
