/** What stands by subject: operations on messages, groups, friends, presence, settings, pushes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Friends } from '../src/friends.js';
import { TestClock, settle } from './support/clock.js';
import { FullServer } from './support/operations.js';
import { start } from './support/start.js';

/** Clients of one server, as many as there are users. */
async function people(...users) {
  const clock = new TestClock();
  const server = new FullServer(clock);
  server.group('g', users);
  const clients = [];
  for (const user of users) clients.push((await start({ user, server, clock })).client);
  return { clock, server, clients };
}
const shown = (client, conversation) => client.store.conversation(conversation)?.messages ?? [];
const sent = (server, type) => server.log.filter((command) => command.type === type).map((c) => c.payload);

test('edit, react, pin and recall, as both sides see it', async () => {
  const { clock, clients: [alice, bob] } = await people('alice', 'bob');
  const id = 'direct:alice:bob';
  const updates = [];
  bob.on('message_updated', ({ kind, target_seq }) => updates.push([kind, target_seq]));
  await clock.finish(alice.send('user:bob', 'helo').acked);
  await clock.finish(alice.messages.edit(id, 1, 'hello'));
  await clock.finish(bob.messages.react(id, 1, '👍'));
  await clock.finish(alice.messages.pin(id, 1));
  await clock.until(() => shown(alice, id)[0].pinned && updates.length === 3);
  const [atAlice] = shown(alice, id);
  assert.deepEqual(
    [atAlice.content, atAlice.editedAt !== null, atAlice.reactions],
    ['hello', true, [{ emoji: '👍', count: 1, users: ['bob'], mine: false }]],
  );
  assert.equal(shown(bob, id)[0].reactions[0].mine, true);
  assert.equal(bob.store.conversation(id).unread, 1);
  await clock.finish(alice.messages.recall(id, 1));
  await clock.until(() => updates.length === 4);
  const [atBob] = shown(bob, id);
  assert.deepEqual([atBob.content, atBob.removed, atBob.pinned, atBob.reactions], [null, 'recalled', false, []]);
  assert.equal(bob.store.conversation(id).unread, 0, 'nothing is left to read');
  assert.equal(shown(bob, id).length, 1, 'updates are no messages');
  assert.deepEqual(updates.map(([kind]) => kind), ['message_edited', 'message_reaction', 'message_pin', 'message_recalled']);
});

test('a change waits for what was written before, and is made once whatever is lost', async () => {
  const { clock, server, clients: [alice] } = await people('alice', 'bob');
  server.up = false;
  server.cutAll();
  await clock.advance(100);
  alice.send('group:g', 'one');
  const edited = alice.messages.edit('group:g', 1, 'two');
  server.up = true;
  let lost = 0;
  server.refuse = (command, socket) => {
    if (command.type !== 'edit' || lost > 0) return null;
    lost += 1;
    server.answer(socket, command);
    return 'silence';
  };
  await clock.until(() => lost === 1);
  server.cutAll();
  assert.equal((await clock.finish(edited)).duplicate, true);
  await clock.until(() => shown(alice, 'group:g')[0]?.content === 'two');
  assert.equal(server.conversations.get('group:g').entries.length, 2);
});

test('replies, mentions and forwards', async () => {
  const { clock, clients: [alice, bob] } = await people('alice', 'bob', 'carol');
  await clock.finish(alice.send('group:g', 'who?').acked);
  await clock.finish(alice.send('group:g', '@bob', { replyTo: 1, mentions: ['bob', 'bob'] }).acked);
  await clock.finish(alice.send('group:g', 'all', { mentionAll: true }).acked);
  await clock.until(() => bob.store.conversation('group:g').headSeq === 3);
  const view = bob.store.conversation('group:g');
  assert.deepEqual([view.unread, view.mentions, view.mentionSeq], [3, 2, 2]);
  assert.deepEqual([view.messages[1].replyTo, view.messages[1].mentions], [1, ['bob']]);
  assert.equal(shown(alice, 'group:g')[1].mentionsMe, false);
  bob.settings.mute('group:g');
  assert.equal(bob.store.getSnapshot().unread, 2, 'mentions pierce the mute');
  bob.read('group:g', 2);
  assert.deepEqual([bob.store.conversation('group:g').mentions, bob.store.conversation('group:g').mentionSeq], [1, 3]);

  const { acked } = bob.forward('user:carol', 'group:g', 1);
  assert.deepEqual(shown(bob, 'direct:bob:carol').map(({ kind, state }) => [kind, state]), [['text', 'pending']]);
  await clock.finish(acked);
  await clock.until(() => shown(bob, 'direct:bob:carol').some((m) => m.forwarded));
  const [forwarded] = shown(bob, 'direct:bob:carol');
  assert.deepEqual([forwarded.content, forwarded.forwarded.from, forwarded.state], ['who?', 'alice', 'sent']);
  assert.equal(shown(bob, 'direct:bob:carol').length, 1);
});

test('around a hit, newer pages, and back to the newest', async () => {
  const { clock, server, clients: [alice] } = await people('alice', 'bob');
  for (let i = 1; i <= 200; i += 1) server.write('bob', { to: 'user:alice', content: i, client_id: `b${i}` });
  const id = 'direct:alice:bob';
  const { client } = await start({ server, clock, position: { epoch: server.epoch, cursors: { [id]: 190 } } });
  await clock.finish(client.showAround(id, 100, 20));
  const view = () => client.store.conversation(id);
  assert.deepEqual([view().newer, view().messages[0].seq, view().messages.at(-1).seq], [true, 90, 110]);
  await clock.finish(client.loadOlder(id, 10));
  assert.equal(view().messages[0].seq, 80);
  for (let i = 0; i < 4; i += 1) await clock.finish(client.loadNewer(id, 25));
  assert.deepEqual([view().newer, view().messages.length], [false, 121]);
  await clock.finish(client.showAround(id, 10, 4));
  client.store.showNewest(id);
  assert.equal(view().messages[0].seq, 80);
  await clock.finish(client.showAround(id, 100));
  assert.equal(view().newer, false, 'it is there already');
  assert.equal((await clock.finish(client.messages.at(id, 7))).content, 7);
  alice.close();
});

test('deleted for me: on all devices of the user, and of nobody else', async () => {
  const { clock, server, clients: [alice, bob] } = await people('alice', 'bob');
  const { client: phone } = await start({ user: 'alice', server, clock });
  await clock.finish(bob.send('user:alice', 'secret').acked);
  const id = 'direct:alice:bob';
  await clock.until(() => shown(phone, id).length === 1 && shown(alice, id).length === 1);
  const heard = [];
  phone.on('message_hidden', (event) => heard.push(event));
  assert.deepEqual(await clock.finish(alice.messages.delete(id, 1)), {});
  await clock.until(() => heard.length === 1);
  assert.deepEqual([shown(alice, id), shown(phone, id), shown(bob, id).length], [[], [], 1]);
  assert.equal(alice.store.conversation(id).unread, 0);
});

test('messages that expire are gone when their time has come', async () => {
  const { clock, server, clients: [alice] } = await people('alice', 'bob');
  const expires_at = clock.now() + 5_000;
  server.write('bob', { to: 'group:g', content: 'soon', client_id: 'x' }, null, { expires_at });
  server.write('bob', { to: 'group:g', content: 'stays', client_id: 'y' });
  await clock.until(() => shown(alice, 'group:g').length === 2);
  let drawn = 0;
  alice.store.subscribe(() => (drawn += 1));
  await clock.advance(5_001);
  assert.deepEqual(shown(alice, 'group:g').map((m) => m.content), ['stays']);
  assert.equal(alice.store.conversation('group:g').unread, 1);
  assert.ok(drawn > 0);
});

test('settings: shown at once, and only what several changes come to is sent', async () => {
  const { clock, server, clients: [alice] } = await people('alice', 'bob');
  const view = () => alice.store.conversation('group:g');
  alice.settings.draft('group:g', 'h');
  alice.settings.draft('group:g', 'he');
  alice.settings.pin('group:g');
  const done = alice.settings.draft('group:g', 'hel');
  assert.deepEqual([view().draft, view().pinned], ['hel', true]);
  await clock.finish(done);
  await clock.until(() => sent(server, 'conversation_update').length === 2);
  assert.deepEqual(sent(server, 'conversation_update'), [
    { conversation: 'group:g', draft: 'h' },
    { conversation: 'group:g', draft: 'hel', pinned: true },
  ]);
  const [socket] = [...server.sockets].filter(({ user }) => user === 'alice');
  const tell = (rest) => socket.push('conversation_updated', { conversation: 'group:g', ...rest });
  tell({ pinned: false, hidden: true, marked_unread: true, rev: 1_000 });
  await clock.until(() => view().hidden);
  assert.deepEqual([view().pinned, view().draft, view().markedUnread], [false, '', true]);
  tell({ pinned: true, hidden: false, marked_unread: false, rev: 999 });
  await clock.advance(100);
  assert.equal(view().hidden, true, 'older news');
  server.write('bob', { to: 'group:g', content: 'new', client_id: 'n' });
  await clock.until(() => !view().hidden);
  alice.read('group:g', 1);
  assert.equal(view().markedUnread, false);
});

test('friends: the list follows by revision, and nothing goes back', async () => {
  const { clock, server, clients: [alice, bob] } = await people('alice', 'bob');
  await clock.finish(alice.friends.request('bob', 'It is me'));
  assert.equal(alice.friends.of('bob').state, 'requested');
  await clock.until(() => bob.friends.of('alice') !== null);
  assert.equal(bob.friends.of('alice').state, 'received');
  // What happens while nobody is connected comes by pages.
  bob.close();
  server.cutAll();
  for (const user of ['u1', 'u2', 'u3', 'u4', 'u5', 'u6', 'u7']) server.relate('alice', user, 'friend');
  server.relate('alice', 'bob', 'none');
  server.log.length = 0;
  await clock.until(() => alice.friends.list.length === 7 && alice.friends.of('bob') === null);
  const asked = sent(server, 'friends').map(({ since = 0 }) => since);
  assert.deepEqual(asked, [...asked].sort((a, b) => a - b));
  assert.equal(new Set(asked).size, asked.length, 'no page twice');
  const { list } = alice.friends;
  assert.equal(alice.friends.list, list, 'the same until something changes');
  alice.friends.told({ user: 'u1', state: 'none', blocked: false, at: 0, rev: 1 });
  assert.equal(alice.friends.list, list, 'older news');
});

test('friends: the server says that the list begins anew', async () => {
  const pages = [
    { relations: [{ user: 'bob', state: 'friend', blocked: false, at: 0, rev: 9 }], rev: 9, more: false },
    { relations: [{ user: 'carol', state: 'friend', blocked: true, at: 0, rev: 3 }], rev: 3, more: false, reset: true },
  ];
  const asked = [];
  const ask = (type, payload) => Promise.resolve(asked.push([type, payload]) && pages.shift());
  const friends = new Friends({ ask, write: ask }, () => {});
  friends.noticed(9);
  await settle();
  friends.noticed(10);
  await settle();
  assert.deepEqual(friends.list.map(({ user }) => user), ['carol']);
  assert.deepEqual(asked, [['friends', {}], ['friends', { since: 9 }]]);
});

test('presence: who is watched is watched again after a reconnection', async () => {
  const { clock, server, clients: [alice] } = await people('alice', 'bob');
  const heard = [];
  alice.on('online_status', ({ presences }) => heard.push(...presences));
  await clock.finish(alice.presence.watch(['bob', 'carol']));
  await clock.finish(alice.presence.watch(['bob']));
  assert.equal(alice.presence.of('bob').status, 'online');
  assert.equal(sent(server, 'presence_get').length, 1);
  const [socket] = [...server.sockets].filter(({ user }) => user === 'alice');
  socket.push('online_status', { presences: [{ user: 'bob', status: 'offline', last_seen: 5 }] });
  await clock.until(() => alice.presence.of('bob').status === 'offline');
  server.cutAll();
  await clock.until(() => sent(server, 'presence_get').length === 2);
  const again = sent(server, 'presence_get')[1];
  assert.deepEqual([again.users.sort(), again.watch], [['bob', 'carol'], true], 'all in one question');
  assert.equal(heard.length, 3);
});

test('pushes: durable ones once and in order, volatile ones as they come', async () => {
  const { clock, server, clients: [alice] } = await people('alice');
  const [socket] = server.sockets;
  const heard = [];
  alice.on('push', ({ type, data, seq = null }) => heard.push([type, data, seq]));
  alice.on('push:order_update', ({ data }) => heard.push(['named', data]));
  alice.on('push:message', () => heard.push('never'));
  server.push('system:user:alice', ['alice'], 'shop', 'order_update', { order: 1 });
  server.push('system:user:alice', ['alice'], 'shop', 'state', { any: true });
  await clock.until(() => heard.length === 3);
  const again = server.conversations.get('system:user:alice').entries[0];
  const { type: _, kind: __, content, ...rest } = again;
  socket.push('order_update', { ...rest, data: content });
  socket.push('collaboration', { from: 'bob', to: 'all', at: 1, data: 7 });
  socket.push('something_of_later', { from: 'bob' });
  await clock.until(() => heard.length === 4);
  await clock.advance(1_000);
  assert.deepEqual(heard, [
    ['order_update', { order: 1 }, 1],
    ['named', { order: 1 }],
    ['state', { any: true }, 2],
    ['collaboration', 7, null],
  ]);
  const view = alice.store.conversation('system:user:alice');
  assert.deepEqual([view.kind, view.unread, view.last.kind], ['system', 2, 'push:state']);
});

test('groups: what the commands say', async () => {
  const { clock, server, clients: [alice] } = await people('alice', 'bob');
  const { groups } = alice;
  const until = 5;
  const calls = [
    [() => groups.announce('group:g', 'Lunch at noon'), 'group_update', { group: 'g', announcement: 'Lunch at noon' }],
    [() => groups.join('g', { link: 'L', note: 'hi' }), 'group_join', { group: 'g', link: 'L', note: 'hi' }],
    [() => groups.transfer('g', 'bob'), 'group_role', { group: 'g', user: 'bob', role: 'owner' }],
    [() => groups.ban('g', 'bob', { until }), 'group_ban', { group: 'g', user: 'bob', until }],
    [() => groups.mute('g', { user: 'bob', until }), 'group_mute', { group: 'g', user: 'bob', muted: true, until }],
    [() => groups.mute('g', { muted: false }), 'group_mute', { group: 'g', muted: false }],
    [() => groups.approve('g', 'bob'), 'group_approve', { group: 'g', user: 'bob' }],
    [() => groups.createLink('g', { usesMax: 3 }), 'group_link_create', { group: 'g', uses_max: 3 }],
    [() => groups.requests('group:g'), 'group_requests', { group: 'g' }],
  ];
  for (const [call, type, payload] of calls) {
    server.log.length = 0;
    await clock.finish(/** @type {any} */ (call)());
    const [{ client_id: _, ...told }] = sent(server, type);
    assert.deepEqual(told, payload, String(type));
  }
});

test('own profile: what is told last is what counts', async () => {
  const { clients: [alice] } = await people('alice');
  const me = (rev, about) => ({ user: { id: 'alice', about }, privacy: {}, roles: [], rev });
  alice.people.updated(/** @type {any} */ (me(2, 'new')));
  alice.people.updated(/** @type {any} */ (me(1, 'old')));
  assert.equal(alice.people.me.user.about, 'new');
});

test('typing: told now and then, and a beginning right after an end is told when it is heard', async () => {
  const { clock, server, clients: [alice] } = await people('alice', 'bob');
  const t0 = clock.now();
  const told = () =>
    server.log.filter(({ type }) => type === 'typing').map(({ payload, at }) => [payload.active, at - t0]);
  const type = (active) => alice.typing('group:g', active);
  type(true);
  await clock.advance(1_000);
  type(true);
  type(false);
  type(false);
  type(true);
  type(true);
  await clock.advance(2_000);
  assert.deepEqual(told(), [[true, 0], [false, 1_000], [true, 2_250]]);
  await clock.advance(2_000);
  type(true);
  await clock.advance(250);
  type(true);
  await clock.advance(100);
  type(false);
  type(true);
  type(false);
  await clock.advance(10_000);
  assert.deepEqual(told().slice(3), [[true, 5_250], [false, 5_350]]);
});
