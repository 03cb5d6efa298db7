/** The chat page: signs in, and connects the SDK's store with the list, the thread and the banner. */
import { Client } from '/sdk/index.js';
import { askForChat, askForGroup, showGroup } from './dialogs.js';
import { byId } from './dom.js';
import { paintAvatar } from './format.js';
import { onLanguage, switchLanguage, t, translate } from './i18n.js';
import { List } from './list.js';
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

const list = new List((id) => show(id));
const thread = new Thread({ back: () => show(null), info: (id) => showGroup(client, id) });

function show(id) {
  byId('chat').dataset.view = id === null ? 'list' : 'thread';
  thread.open(client, id);
  draw();
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
  client.store.subscribe(() => current === client && draw());
  client.on('state', (state) => {
    if (current !== client || state.name !== 'closed') return;
    if (state.reason === 'unauthorized' || state.reason === 'token_expired') signOut('signin.rejected');
  });
  client.on('synced', () => {
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
  thread.open(client, null);
  client.close();
  client = null;
  forgetSession();
  showSignIn(error);
}

// The chat.

function draw() {
  if (!client) return;
  const { user, state, unread, conversations } = client.store.getSnapshot();
  byId('me-name').textContent = user ?? '';
  paintAvatar(byId('me-avatar'), user ?? '?');
  byId('me-state').textContent = t(`state.${state.name}`);
  byId('chat').dataset.state = state.name;
  document.title = unread > 0 ? `(${unread > 99 ? '99+' : unread}) Hubbub` : 'Hubbub';
  list.draw(conversations, thread.id, user);
  thread.draw();
  drawBanner(state);
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
byId('signout').addEventListener('click', () => signOut());
byId('new-chat').addEventListener('click', () => askForChat((user) => show(client.open(user))));
byId('new-group').addEventListener('click', () =>
  askForGroup(async (name, members) => {
    const { conversation } = await client.groups.create(name, members);
    show(conversation);
  }),
);
for (const button of document.querySelectorAll('button.language')) {
  button.addEventListener('click', switchLanguage);
}
document.addEventListener('keydown', (event) => {
  const dialogOpen = document.querySelector('dialog[open]') !== null;
  if (event.key === 'Escape' && !dialogOpen && !event.isComposing && client && thread.id) show(null);
});
onLanguage(() => {
  drawSignIn();
  if (!client) return;
  draw();
  thread.redraw();
});

translate();
const kept = keptSession();
if (kept) begin(kept);
else showSignIn();
