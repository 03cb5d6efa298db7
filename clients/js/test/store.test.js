import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Store } from '../src/store.js';
import { TestClock, settle } from './support/clock.js';

const entry = (seq, rest = {}) =>
  /** @type {any} */ ({
    type: 'message',
    conversation: 'group:g',
    seq,
    from: 'bob',
    kind: 'text',
    content: `${seq}`,
    client_id: `c${seq}`,
    at: seq,
    ...rest,
  });
const summary = (rest = {}) => ({
  id: 'group:g',
  kind: 'group',
  name: 'G',
  role: 'member',
  join: 'invite',
  member: true,
  head_seq: 0,
  floor_seq: 0,
  first_seq: 1,
  unread: 0,
  received_seq: 0,
  read_seq: 0,
  rev: 1,
  ...rest,
});

function store(rest = {}, fromSeq = 1) {
  const s = new Store(new TestClock());
  s.user = 'alice';
  s.summary(summary(rest), { reset: false, fromSeq });
  return s;
}
const view = (s) => s.conversation('group:g');

test('unread: messages by others beyond what is read', () => {
  const s = store({ read_seq: 1 });
  s.entry(entry(1));
  s.entry(entry(2));
  s.entry(entry(3, { from: 'alice' }));
  s.entry(entry(4, { kind: 'member_joined', content: { user: 'carol' } }));
  s.entry(entry(5));
  assert.equal(view(s).unread, 2);
  s.read('group:g', 2);
  assert.equal(view(s).unread, 1);
  s.receipt({ conversation: 'group:g', user: 'alice', received_seq: 5, read_seq: 5 });
  assert.equal(view(s).unread, 0, 'read on another device');
});

test('unread where the window does not reach back to what is read', () => {
  const s = store({ head_seq: 1_000, unread: 100, read_seq: 10 }, 990);
  for (let seq = 990; seq <= 1_000; seq += 1) s.entry(entry(seq));
  assert.equal(view(s).unread, 100);
  s.read('group:g', 998);
  assert.equal(view(s).unread, 2);
});

test('a receipt of before does not take the mark of after away', () => {
  const s = store({ head_seq: 2 });
  for (const seq of [1, 2]) s.entry(entry(seq));
  s.settings({ conversation: 'group:g', rev: 5, marked_unread: true });
  s.receipt({ conversation: 'group:g', user: 'alice', received_seq: 2, read_seq: 2 });
  assert.equal(view(s).markedUnread, true);
  assert.equal(s.read('group:g', 2), true, 'the server is to hear of it');
  assert.equal(view(s).markedUnread, false);
});

test('what nobody has any more is not shown here either', () => {
  const s = store({ head_seq: 3 });
  for (const seq of [1, 2, 3]) s.entry(entry(seq));
  s.summary(summary({ head_seq: 3, floor_seq: 2, unread: 1, rev: 2 }), { reset: false, fromSeq: 1 });
  assert.deepEqual(view(s).messages.map(({ seq }) => seq), [3]);
  assert.equal(view(s).unread, 1);
});

test('the window is bounded, wider while it is held, and says that there is more', () => {
  const s = store();
  for (let seq = 1; seq <= 700; seq += 1) s.entry(entry(seq));
  assert.equal(view(s).messages.length, 500);
  assert.equal(view(s).older, true);
  assert.equal(s.oldestSeq('group:g'), 201);
  const release = s.hold('group:g');
  s.prepend('group:g', { entries: [entry(199), entry(200)], more: true }, 201);
  assert.equal(view(s).messages.length, 502);
  s.prepend('group:g', { entries: [entry(1)], more: false }, 201);
  assert.equal(view(s).messages.length, 502, 'a page that does not fit is left out');
  release();
  assert.equal(view(s).messages.length, 500);
});

test('a conversation without synced entries shows its newest one in the list, and only there', () => {
  const s = store({ head_seq: 9, read_seq: 9 }, 10);
  s.preview(entry(9));
  assert.equal(view(s).last.content, '9');
  assert.deepEqual(view(s).messages, []);
  assert.equal(view(s).older, true);
  s.entry(entry(10));
  assert.equal(view(s).last.content, '10');
});

test('group changes show in the view', () => {
  const s = store();
  const change = (seq, kind, content, from = 'bob') => s.entry(entry(seq, { kind, content, from }));
  change(1, 'group_updated', { name: 'New', join: 'open' });
  assert.deepEqual([view(s).name, view(s).join], ['New', 'open']);
  change(2, 'member_role', { user: 'alice', role: 'owner' });
  assert.equal(view(s).role, 'owner');
  change(3, 'member_role', { user: 'bob', role: 'owner' }, 'alice');
  assert.equal(view(s).role, 'admin');
  change(4, 'member_kicked', { user: 'alice', by: 'bob' });
  assert.equal(view(s).member, false);
  change(5, 'member_joined', { users: ['carol', 'alice'], by: 'bob' });
  assert.equal(view(s).member, true);
  change(6, 'member_muted', { user: 'alice', by: 'bob', muted: true, until: 9 });
  change(7, 'group_updated', { muted: true });
  assert.deepEqual([view(s).muted, view(s).allMuted], [{ until: 9 }, {}]);
  change(8, 'group_updated', { muted: false });
  change(9, 'member_role', { user: 'alice', role: 'admin' });
  assert.deepEqual([view(s).muted, view(s).allMuted], [null, null]);
  change(10, 'group_updated', { announcement: 'Noon' });
  assert.equal(view(s).announcement, 'Noon');
  change(11, 'group_updated', { announcement: '' });
  assert.equal(view(s).announcement, null);
  change(12, 'member_banned', { user: 'alice', by: 'bob' });
  assert.equal(view(s).member, false);
  change(13, 'group_dissolved', {});
  assert.equal(view(s).member, false);
});

test('an own message keeps its key from pending to read', () => {
  const s = store();
  s.pending({ clientId: 'x', type: 'send', lane: 'group:g', at: 5, payload: { content: 'hi', kind: 'text' } });
  const { key, state } = view(s).messages[0];
  assert.equal(state, 'pending');
  s.entry(entry(1, { from: 'alice', client_id: 'x' }));
  const states = [view(s).messages[0].state];
  s.receipt({ conversation: 'group:g', user: 'bob', received_seq: 1, read_seq: 0 });
  states.push(view(s).messages[0].state);
  s.receipt({ conversation: 'group:g', user: 'bob', received_seq: 1, read_seq: 1 });
  states.push(view(s).messages[0].state);
  s.receipt({ conversation: 'group:g', user: 'bob', received_seq: 0, read_seq: 0 });
  states.push(view(s).messages[0].state);
  assert.deepEqual(states, ['sent', 'delivered', 'read', 'read']);
  assert.equal(view(s).messages.length, 1);
  assert.equal(view(s).messages[0].key, key);
});

test('another user who happens to use the same client id takes nothing away', () => {
  const s = store();
  s.pending({ clientId: 'c1', type: 'send', lane: 'group:g', at: 5, payload: { content: 'hi', kind: 'text' } });
  s.entry(entry(1));
  assert.deepEqual(view(s).messages.map((m) => m.state), ['received', 'pending']);
});

test('snapshots stay the same until something changes, and subscribers hear once', async () => {
  const s = store();
  await settle();
  const before = s.getSnapshot();
  assert.equal(s.getSnapshot(), before);
  assert.equal(view(s), view(s));
  let heard = 0;
  const stop = s.subscribe(() => (heard += 1));
  s.entry(entry(1));
  s.entry(entry(2));
  await settle();
  assert.equal(heard, 1);
  assert.notEqual(s.getSnapshot(), before);
  assert.equal(before.conversations[0].headSeq, 0);
  stop();
  s.entry(entry(3));
  await settle();
  assert.equal(heard, 1);
});
