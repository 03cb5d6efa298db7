/** What is shown of a log: updates, pages of history before and after them, and what is hidden. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Timeline } from '../src/timeline.js';
import { withUpdate } from '../src/updates.js';
import { seeded } from './support/clock.js';
import { stateOf } from './support/operations.js';

const NOW = 1_000;
const message = (seq, rest = {}) =>
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
const update = (seq, target_seq, kind, content = {}, rest = {}) =>
  message(seq, { type: 'message_updated', target_seq, kind, content, ...rest });
const asOf = (entry, seq = entry.seq) => ({ ...entry, asOf: seq });

test('an update in its target, and nowhere twice', () => {
  const first = asOf(message(1));
  const thumb = { emoji: '👍', active: true };
  const table = [
    ['edited', [update(2, 1, 'message_edited', 'b')], { content: 'b', edited_at: 2 }],
    [
      'edited twice',
      [update(2, 1, 'message_edited', 'b'), update(3, 1, 'message_edited', 'c')],
      { content: 'c', edited_at: 3 },
    ],
    ['recalled', [update(2, 1, 'message_recalled')], { content: null, removed: 'recalled' }],
    ['deleted', [update(2, 1, 'message_deleted')], { content: null, removed: 'deleted' }],
    [
      'an edit whose content was removed',
      [update(2, 1, 'message_edited', null, { removed: 'recalled' })],
      { content: '1', edited_at: undefined },
    ],
    [
      'nothing comes back',
      [update(2, 1, 'message_recalled'), update(3, 1, 'message_edited', 'x'), update(4, 1, 'message_reaction', thumb)],
      { content: null, removed: 'recalled', reactions: [] },
    ],
    ['pinned', [update(2, 1, 'message_pin', { active: true })], { pinned: true }],
    [
      'unpinned',
      [update(2, 1, 'message_pin', { active: true }), update(3, 1, 'message_pin', { active: false })],
      { pinned: false },
    ],
    [
      'reactions',
      [
        update(2, 1, 'message_reaction', thumb, { from: 'me' }),
        update(3, 1, 'message_reaction', thumb, { from: 'carol' }),
        update(4, 1, 'message_reaction', thumb, { from: 'me' }),
        update(5, 1, 'message_reaction', { emoji: '🎉', active: true }, { from: 'carol' }),
        update(6, 1, 'message_reaction', { emoji: '👍', active: false }, { from: 'me' }),
        update(7, 1, 'message_reaction', { emoji: '🎉', active: false }, { from: 'carol' }),
      ],
      { reactions: [{ emoji: '👍', count: 1, users: ['carol'], mine: false }] },
    ],
    ['a kind of a later version', [update(2, 1, 'message_blessed')], { content: '1' }],
  ];
  for (const [what, updates, expected] of table) {
    const once = updates.reduce((shown, next) => withUpdate(shown, next, 'me'), first);
    const again = updates.reduce((shown, next) => withUpdate(shown, next, 'me'), once);
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(once[key], value, `${what}: ${key}`);
    assert.equal(again, once, `${what}: again`);
  }
});

test('more who reacted than are named', () => {
  const users = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const reacted = users.reduce(
    (shown, from, i) => withUpdate(shown, update(2 + i, 1, 'message_reaction', { emoji: 'x', active: true }, { from }), 'g'),
    asOf(message(1)),
  );
  assert.deepEqual(reacted.reactions, [{ emoji: 'x', count: 7, users: users.slice(0, 5), mine: true }]);
  const fewer = withUpdate(reacted, update(9, 1, 'message_reaction', { emoji: 'x', active: false }, { from: 'g' }), 'g');
  assert.deepEqual(fewer.reactions, [{ emoji: 'x', count: 6, users: users.slice(0, 5), mine: false }]);
});

test('a page read before an update came, and one read after it', () => {
  const line = new Timeline();
  line.reset(10, 0);
  assert.equal(line.live.older, true);
  line.append(update(10, 4, 'message_edited', 'new'), 'me', NOW);
  const page = (head_seq, entries) => ({ entries, head_seq, floor_seq: 0, from_seq: 3, more: true });
  line.prepend(page(9, [message(4)]), 10, 'me', NOW);
  assert.deepEqual(line.live.messages.map((m) => m.content), ['new'], 'the page did not know it');
  line.append(update(11, 4, 'message_edited', 'newer'), 'me', NOW);
  assert.deepEqual(line.live.messages.map((m) => m.content), ['newer']);

  const later = new Timeline();
  later.reset(10, 0);
  later.prepend(page(12, [message(4, { content: 'newest' })]), 10, 'me', NOW);
  later.append(update(10, 4, 'message_edited', 'new'), 'me', NOW);
  later.append(update(11, 4, 'message_edited', 'newer'), 'me', NOW);
  assert.deepEqual(later.live.messages.map((m) => m.content), ['newest'], 'the page was ahead');
});

test('a page that is older than what is remembered of updates is left out', () => {
  const line = new Timeline();
  line.reset(10, 0);
  for (let seq = 10; seq < 600; seq += 1) line.append(update(seq, 4, 'message_edited', `${seq}`), 'me', NOW);
  line.prepend({ entries: [message(4)], head_seq: 9, more: false }, 10, 'me', NOW);
  assert.deepEqual(line.live.messages, []);
  line.prepend({ entries: [message(4)], head_seq: 590, more: false }, 10, 'me', NOW);
  assert.deepEqual(line.live.messages.map((m) => m.content), ['599']);
});

test('a stretch around a hit, until it meets the newest one', () => {
  const line = new Timeline();
  line.reset(90, 0);
  for (let seq = 90; seq <= 100; seq += 1) line.append(message(seq), 'me', NOW);
  const page = (from_seq, through_seq, more, head_seq = 100) => ({
    entries: Array.from({ length: through_seq - from_seq + 1 }, (_, i) => message(from_seq + i)),
    head_seq,
    floor_seq: 0,
    from_seq,
    through_seq,
    more,
  });
  line.around(page(40, 60, true), 'me', NOW);
  assert.deepEqual([line.shown.from, line.shown.through, line.shown.older], [40, 60, true]);
  line.append(update(101, 50, 'message_recalled'), 'me', NOW);
  line.append(message(102), 'me', NOW);
  assert.equal(line.shown.at(50).removed, 'recalled');
  line.prepend(page(1, 39, false), 40, 'me', NOW);
  assert.deepEqual([line.shown.messages.length, line.shown.older], [60, false]);
  line.extend(page(61, 80, true), 60, 'me', NOW);
  line.extend(page(61, 80, true), 60, 'me', NOW);
  assert.equal(line.shown.messages.length, 80, 'the same page again is left out');
  line.extend(page(81, 95, true), 80, 'me', NOW);
  assert.equal(line.aside, null);
  assert.deepEqual(line.live.messages.map((m) => m.seq), [...Array(100).keys()].map((i) => i + 1).concat(102));
});

test('what is hidden, cleared or expired is not shown, whenever it comes', () => {
  const line = new Timeline();
  line.hide([3], 0);
  for (let seq = 1; seq <= 4; seq += 1) line.append(message(seq), 'me', NOW);
  line.append(message(5, { expires_at: NOW }), 'me', NOW);
  line.append(message(6, { expires_at: NOW + 1 }), 'me', NOW);
  line.append(message(7, { expires_at: NOW + 1 }), 'me', NOW);
  line.append(update(8, 7, 'message_recalled'), 'me', NOW);
  const seqs = () => line.live.messages.map((m) => m.seq);
  assert.deepEqual(seqs(), [1, 2, 4, 6, 7]);
  line.hide([], 2);
  assert.deepEqual(seqs(), [4, 6, 7]);
  assert.equal(line.drop(({ expires_at }) => expires_at <= NOW + 1), true);
  assert.deepEqual(seqs(), [4, 7], 'that a message was taken back is shown for good');
  assert.equal(line.drop(() => false), false);
});

test('whatever order pages and updates come in, what is shown is what the log says', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seeded(seed);
    const dice = (n) => Math.floor(random() * n);
    const entries = [];
    for (let seq = 1; seq <= 60; seq += 1) {
      const target = 1 + dice(Math.max(1, seq - 1));
      const from = ['me', 'bob', 'carol'][dice(3)];
      const isUpdate = seq > 5 && random() < 0.5 && entries[target - 1].type === 'message';
      const reaction = { emoji: ['👍', '🎉'][dice(2)], active: random() < 0.6 };
      const kinds = [
        ['message_edited', `edit ${seq}`],
        ['message_reaction', reaction],
        ['message_reaction', reaction],
        ['message_pin', { active: random() < 0.5 }],
        ['message_recalled', {}],
      ];
      const [kind, content] = kinds[dice(random() < 0.2 ? 5 : 4)];
      entries.push(isUpdate ? update(seq, target, kind, content, { from }) : message(seq, { from }));
    }
    const line = new Timeline();
    const start = 1 + dice(50);
    line.reset(start, 0);
    /** A page as the server has it when its log ends at `head`. */
    const page = (from, through, head) => ({
      entries: entries
        .slice(from - 1, through)
        .filter(({ type }) => type === 'message')
        .map(({ seq }) => stateOf(entries.slice(0, head), seq, 'me')),
      head_seq: head,
      floor_seq: 0,
      from_seq: from,
      through_seq: through,
      more: from > 1,
    });
    for (let seq = start; seq <= 60; seq += 1) {
      line.append(entries[seq - 1], 'me', NOW);
      if (random() < 0.2 && line.live.from > 1) {
        // The page was read a while ago (though after the log began here), or knows more than has come.
        const head = Math.max(start - 1, Math.min(60, seq + dice(20) - 10));
        const before = line.live.from;
        line.prepend(page(Math.max(1, before - 10), before - 1, head), before, 'me', NOW);
      }
    }
    for (const shown of line.live.messages) {
      const wanted = stateOf(entries, shown.seq, 'me');
      const of = ({ content, removed = null, edited_at = null, pinned = false, reactions = [] }) => ({
        content,
        removed,
        edited_at: removed ? null : edited_at,
        pinned,
        reactions: [...reactions].sort((a, b) => (a.emoji < b.emoji ? -1 : 1)),
      });
      assert.deepEqual(of(shown), of(wanted), `seed ${seed}, seq ${shown.seq}`);
    }
    const covered = entries.filter((e) => e.seq >= line.live.from && e.type === 'message').map((e) => e.seq);
    assert.deepEqual(line.live.messages.map((m) => m.seq), covered, `seed ${seed}`);
  }
});
