/** The chat page: signs in, and connects the SDK's store with the list, the thread and the banner. */
import { Client } from '/sdk/index.js';
import { showConversationMenu } from './conversation.js';
import { askForChat, askForGroup, askToJoin, groupIn, showList } from './dialogs.js';
import { byId, say } from './dom.js';
import { clockTime, dayName, paintAvatar, paintDot, pushText, textOf } from './format.js';
import { FriendsPane } from './friends.js';
import { showGroup } from './group.js';
import { onLanguage, switchLanguage, t, translate } from './i18n.js';
import { List } from './list.js';
import { toast } from './menu.js';
import { Names } from './names.js';
import { showPreferences } from './preferences.js';
import {
  deviceId,
  forgetSession,
  isName,
  keepSession,
  keptSession,
  newDevice,
  SignInError,
  tokenFor,
} from './session.js';
import { Thread } from './thread.js';

/** @type {Client | null} */
let client = null;
/** How the sign-in form asks. @type {'name' | 'token'} */
let mode = 'name';
let signInError = '';

/** @type {Names} */
let names = null;
const nameOf = (user) => names.of(user);

const list = new List({ choose: (id) => show(id), act: (id, anchor) => act(id, anchor) });
const friends = new FriendsPane((user) => show(client.open(user)));
const thread = new Thread({ back: () => show(null), info: (id) => showGroup(client, id, nameOf), act });

function show(id) {
  byId('chat').dataset.view = id === null ? 'list' : 'thread';
  thread.open(client, id, nameOf);
  draw();
}

/** Chats or friends at the side. @param {'chats' | 'friends'} pane */
function choosePane(pane) {
  for (const name of ['chats', 'friends']) {
    byId(`pane-${name}`).hidden = name !== pane;
    byId(`tab-${name}`).setAttribute('aria-selected', String(name === pane));
  }
}

function act(id, anchor) {
  showConversationMenu(client, id, anchor, {
    info: () => showGroup(client, id, nameOf),
    pins: () => showPins(id),
    left: () => thread.id === id && show(null),
  });
}

async function showPins(id) {
  const { pins } = await client.messages.pins(id);
  const rows = pins.map(({ entry, by, at }) => {
    const text = entry ? textOf({ removed: null, ...entry }, client.user, nameOf) : '';
    return [text, `${nameOf(by)}, ${dayName(at)} ${clockTime(at)}`];
  });
  showList(t('conversation.pins'), rows.length === 0 ? [[t('list.nothing'), '']] : rows);
  pins.forEach(({ seq }, i) => {
    byId('list-rows').children[i].addEventListener('click', () => {
      byId('list-dialog').close();
      if (thread.id !== id) show(id);
      void thread.jumpTo(seq);
    });
  });
}

// Signing in.

function drawSignIn() {
  byId('signin-by-name').hidden = mode !== 'name';
  byId('signin-by-token').hidden = mode !== 'token';
  byId('signin-mode').textContent = t(mode === 'name' ? 'signin.use_token' : 'signin.use_name');
  byId('signin-error').textContent = signInError && t(signInError);
}

function showSignIn(error = '') {
  signInError = error;
  byId('chat').hidden = true;
  byId('signin').hidden = false;
  document.title = 'Hubbub';
  drawSignIn();
  byId(mode === 'name' ? 'signin-name' : 'signin-token').focus();
}

async function signIn() {
  signInError = '';
  try {
    if (mode === 'token') {
      const token = byId('signin-token').value.trim();
      if (token === '') return;
      begin({ token, user: null, byName: false });
    } else {
      const user = byId('signin-name').value.trim();
      if (!isName(user)) throw new SignInError('signin.bad_name');
      begin({ token: await tokenFor(user), user, byName: true });
    }
  } catch (error) {
    if (!(error instanceof SignInError)) throw error;
    signInError = error.message;
    if (signInError === 'signin.wants_token') mode = 'token';
  }
  drawSignIn();
}

/** Connects as somebody and shows the chat. */
function begin(session) {
  keepSession(session);
  byId('signin-name').value = '';
  byId('signin-token').value = '';
  client = new Client({
    url: location.origin,
    device: deviceId(),
    deviceKind: 'web',
    reconnect: { attempts: Infinity },
    getToken: async (reason) => {
      if (session.byName && reason !== 'connect') {
        session.token = await tokenFor(session.user);
        keepSession(session);
      }
      return session.token;
    },
  });
  const current = client;
  names = new Names(client, () => current === client && redraw());
  client.store.subscribe(() => current === client && draw());
  client.on('state', (state) => {
    if (current !== client || state.name !== 'closed') return;
    if (state.reason === 'unauthorized' || state.reason === 'token_expired') signOut('signin.rejected');
  });
  for (const type of ['relation', 'online_status', 'user_updated']) {
    client.on(type, () => current === client && drawSoon());
  }
  client.on('push', (push) => {
    if (current === client && Date.now() - push.at < FRESH_MS) toast(pushText({ content: push.data }));
  });
  client.on('group_request', ({ state, user }) => {
    if (state === 'pending' && user !== current.user) toast(t('group.asked', { user: nameOf(user) }));
  });
  client.on('relation', ({ state, blocked, user }) => {
    if (state === 'received' && !blocked) toast(t('friends.received_one', { user: nameOf(user) }));
  });
  client.on('synced', () => {
    // An older server knows none of these; the page does without.
    current.people.load().catch(() => {});
    current.presence.watchFriends().catch(() => {});
    joinFromAddress();
    // Of a conversation in which nothing is new a sync brings nothing to show in the list.
    const bare = current.store.getSnapshot().conversations.some((c) => c.last === null && c.headSeq > 0);
    if (bare) current.conversations({ limit: 200 }).catch(() => {});
  });
  byId('signin').hidden = true;
  byId('chat').hidden = false;
  client.connect();
  show(null);
}

function signOut(error = '') {
  thread.open(client, null, nameOf);
  client.close();
  client = null;
  forgetSession();
  showSignIn(error);
}

// The chat.

/** A push or request older than this when it comes is no news, in milliseconds. */
const FRESH_MS = 60_000;
/** Away after so long without a key or a touch, in milliseconds. */
const AWAY_MS = 5 * 60_000;

let drawing = false;

function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  if (!client) return;
  const { user, state, unread, conversations } = client.store.getSnapshot();
  const { me } = client.people;
  const status = client.presence.of(user)?.status ?? null;
  say(byId('me-name'), me?.user.name ?? user ?? '');
  paintAvatar(byId('me-avatar'), me?.user.name ?? user ?? '?');
  const online = state.name === 'online';
  paintDot(byId('me-avatar'), online ? (status ?? 'online') : null);
  say(byId('me-state'), online && status ? t(`presence.${status}`) : t(`state.${state.name}`));
  byId('chat').dataset.state = state.name;
  document.title = unread > 0 ? `(${unread > 99 ? '99+' : unread}) Hubbub` : 'Hubbub';
  watch(conversations);
  const statusOf = (peer) => client.presence.of(peer)?.status ?? null;
  list.draw(conversations, thread.id, { me: user, nameOf, statusOf });
  friends.draw(client);
  thread.draw();
  drawBanner(state);
}

/** Everything anew: a name or the language is another one. */
function redraw() {
  draw();
  thread.redraw();
}

/** Whoever stands in one of the lists is watched, the liveliest of them. */
function watch(conversations) {
  const peers = conversations.filter(({ peer }) => peer !== null).slice(0, 100).map(({ peer }) => peer);
  const close = client.friends.list.filter(({ state }) => state === 'friend').map(({ user }) => user);
  const users = [...new Set([client.user, ...peers, ...close.slice(0, 90)])].filter(Boolean);
  client.presence.watch(users).catch(() => {});
}

/** The page was opened by somebody's link to a group. */
function joinFromAddress() {
  if (!location.hash.startsWith('#join=')) return;
  const { group, link } = groupIn(decodeURIComponent(location.hash));
  history.replaceState(null, '', location.pathname);
  askToJoin(link ? `${group}/${link}` : group, join);
}

async function join(group, options) {
  const done = await client.groups.join(group, options);
  if (done.requested) toast(t('join.requested'));
  else show(done.conversation);
}

let awayTimer = null;
let isAway = false;

/** Somebody touched the page: no longer away, and not for a while. */
function touched() {
  clearTimeout(awayTimer);
  if (isAway) sayAway(false);
  awayTimer = setTimeout(() => sayAway(true), AWAY_MS);
}

function sayAway(away) {
  if (!client || client.state.name !== 'online') return;
  const status = client.presence.of(client.user)?.status ?? 'online';
  // Who chose busy or invisible stays that.
  if (status === 'busy' || status === 'invisible') return;
  isAway = away;
  client.presence.set(away ? 'away' : 'online').catch(() => {});
}

let countdown = null;
let bannerDelay = null;

/** What is wrong with the connection, if something is, and what can be done. */
function drawBanner(state) {
  clearInterval(countdown);
  clearTimeout(bannerDelay);
  const banner = byId('banner');
  if (state.name === 'online' || state.name === 'idle') {
    banner.hidden = true;
    return;
  }
  const replaced = state.name === 'closed' && state.reason === 'replaced';
  const words =
    state.name === 'connecting' && state.attempt > 1
      ? 'banner.reconnecting'
      : replaced
        ? 'banner.replaced'
        : `banner.${state.name}`;
  // The first connection is usually there at once; a banner that flashes helps nobody.
  if (state.name === 'connecting' && state.attempt <= 1 && banner.hidden) {
    bannerDelay = setTimeout(() => (banner.hidden = false), 1_000);
  } else {
    banner.hidden = false;
  }
  const text = t(words, { reason: state.reason });
  // Set only when it differs: a screen reader says it again each time.
  if (byId('banner-text').textContent !== text) byId('banner-text').textContent = text;
  byId('banner-action').hidden = state.name === 'connecting';
  byId('banner-action').textContent = t(replaced ? 'banner.here' : 'banner.now');
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((state.at - Date.now()) / 1_000));
    byId('banner-countdown').textContent = t('banner.in', { n: seconds });
  };
  if (state.name === 'reconnecting') {
    tick();
    countdown = setInterval(tick, 250);
  } else {
    byId('banner-countdown').textContent = state.name === 'connecting' ? t('state.connecting') : '';
  }
}

byId('banner-action').addEventListener('click', () => {
  if (client.state.name === 'closed' && client.state.reason === 'replaced') {
    newDevice();
    const session = keptSession();
    client.close();
    begin(session);
  } else {
    client.connect();
  }
});
byId('signin-form').addEventListener('submit', (event) => {
  event.preventDefault();
  void signIn();
});
byId('signin-mode').addEventListener('click', () => {
  mode = mode === 'name' ? 'token' : 'name';
  showSignIn();
});
byId('signout').addEventListener('click', () => {
  byId('settings-dialog').close();
  signOut();
});
byId('settings').addEventListener('click', () => showPreferences(client));
byId('tab-chats').addEventListener('click', () => choosePane('chats'));
byId('tab-friends').addEventListener('click', () => choosePane('friends'));
byId('new-chat').addEventListener('click', () => askForChat((user) => show(client.open(user))));
byId('new-group').addEventListener('click', () =>
  askForGroup(async (name, members, joining) => {
    const { conversation } = await client.groups.create(name, members, { join: joining });
    show(conversation);
  }),
);
byId('join').addEventListener('click', () => askToJoin('', join));
for (const type of ['keydown', 'pointerdown', 'focus']) addEventListener(type, touched, { passive: true });
addEventListener('hashchange', () => client && joinFromAddress());
for (const dialog of document.querySelectorAll('dialog.reading')) {
  dialog.querySelector('.cancel').addEventListener('click', () => dialog.close());
}
for (const button of document.querySelectorAll('button.language')) {
  button.addEventListener('click', switchLanguage);
}
document.addEventListener('keydown', (event) => {
  const isOpen = document.querySelector('dialog[open], #menu:popover-open') !== null;
  if (event.key !== 'Escape' || isOpen || event.isComposing || !client || !thread.id) return;
  if (!thread.escape()) show(null);
});
onLanguage(() => {
  drawSignIn();
  if (client) redraw();
});

translate();
const kept = keptSession();
if (kept) begin(kept);
else showSignIn();
