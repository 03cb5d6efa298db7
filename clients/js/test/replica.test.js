import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Replica } from '../src/replica.js';

const message = (seq, conversation = 'c') =>
  /** @type {any} */ ({ type: 'message', conversation, seq, content: `${seq}` });
const hidden = (seq, through) => /** @type {any} */ ({ type: 'void', conversation: 'c', seq, through });

/** A replica that has synced `c` up to `cursor`. */
function replica(cursor = 0) {
  const log = { seqs: [], summaries: [], gone: [], syncs: 0 };
  const r = new Replica({
    entry: (entry) => log.seqs.push(entry.seq),
    advanced: () => {},
    summary: (summary, change) => log.summaries.push([summary.id, change]),
    gone: (id) => log.gone.push(id),
    needSync: () => (log.syncs += 1),
  });
  r.begin('e1');
  r.applySync(page([conversation({ from_seq: cursor + 1, head_seq: cursor })]), 0);
  return { r, log };
}
const conversation = (rest) => ({ id: 'c', head_seq: 0, from_seq: 1, entries: [], more: false, ...rest });
const page = (conversations, rest = {}) => ({ epoch: 'e1', rev: 1, more: false, conversations, ...rest });

test('whatever the order, the application gets it in order and once', () => {
  const check = (items, seqs, cursor) => {
    const { r, log } = replica();
    for (const item of items) r.offer(item, 0);
    assert.deepEqual(log.seqs, seqs);
    assert.equal(r.cursorOf('c'), cursor);
  };
  check([message(1), message(2), message(3)], [1, 2, 3], 3);
  check([message(2), message(1), message(3)], [1, 2, 3], 3);
  check([message(3), message(2), message(1)], [1, 2, 3], 3);
  check([message(1), message(1), message(2), message(1), message(2)], [1, 2], 2);
  check([message(3), message(3), message(1)], [1], 1);
  check([hidden(1, 4), message(5)], [5], 5);
  check([message(5), hidden(1, 4)], [5], 5);
  check([message(1), hidden(1, 3), message(4)], [1, 4], 4);
  check([hidden(3, 6), message(1), message(2), message(7)], [1, 2, 7], 7);
});

test('a hole is pulled after a second, and only then', () => {
  const { r, log } = replica();
  r.offer(message(4), 100);
  assert.equal(r.nextDue, 1_100);
  assert.deepEqual(r.due(1_099), []);
  assert.deepEqual(r.due(1_100), [{ conversation: 'c', from: 1, to: 4 }]);
  assert.deepEqual(r.due(1_100), [], 'not twice');
  r.applyPull('c', { entries: [message(1), hidden(2, 3)], head_seq: 4, more: false }, 1_200);
  assert.deepEqual(log.seqs, [1, 4]);
  assert.equal(r.nextDue, null);
});

test('what overtook and came after all needs no pull', () => {
  const { r } = replica();
  r.offer(message(2), 0);
  r.offer(message(1), 500);
  assert.equal(r.nextDue, null);
  assert.deepEqual(r.due(5_000), []);
});

test('a head beyond the cursor is pulled at once, page after page', () => {
  const { r, log } = replica(2);
  r.note('c', 6, 50);
  assert.deepEqual(r.due(50), [{ conversation: 'c', from: 3, to: 6 }]);
  r.applyPull('c', { entries: [message(3), message(4)], head_seq: 6, more: true }, 60);
  assert.deepEqual(r.due(60), [{ conversation: 'c', from: 5, to: 6 }]);
  r.applyPull('c', { entries: [message(5), message(6)], head_seq: 6, more: false }, 70);
  assert.deepEqual(log.seqs, [3, 4, 5, 6]);
  r.note('c', 6, 80);
  assert.equal(r.nextDue, null, 'known already');
});

test('pulls that bring nothing end in a sync, not in a loop', () => {
  const { r, log } = replica();
  r.note('c', 9, 0);
  let now = 0;
  for (let i = 0; i < 3; i += 1) {
    now = r.nextDue;
    assert.equal(r.due(now).length, 1);
    r.applyPull('c', { entries: [], head_seq: 9, more: false }, now);
  }
  assert.equal(log.syncs, 1);
  assert.equal(r.nextDue, null);
});

test('a pull that finds the end is the last one', () => {
  const check = (meanwhile, headSeq, next) => {
    const { r, log } = replica();
    r.note('c', 9, 0);
    assert.deepEqual(r.due(0), [{ conversation: 'c', from: 1, to: 9 }]);
    meanwhile(r);
    r.applyPull('c', { entries: [message(1)], head_seq: headSeq, more: false }, 10);
    assert.deepEqual(r.due(60_000), next);
    assert.equal(log.syncs, 0);
  };
  const pull = (to) => [{ conversation: 'c', from: 2, to }];
  check(() => {}, 1, []);
  check(() => {}, 0, []);
  check(() => {}, 3, pull(3));
  // What came while the pull was under way may be newer than its answer.
  check((r) => r.offer(message(7), 5), 1, pull(7));
  check((r) => r.note('c', 8, 5), 1, pull(8));
});

test('a head of an earlier epoch is not asked for in the next one', () => {
  const { r, log } = replica(5);
  r.offer(message(9), 0);
  r.begin('e2');
  const entries = [message(1), message(2)];
  r.applySync(page([conversation({ reset: true, from_seq: 1, head_seq: 2, entries })], { epoch: 'e2' }), 0);
  for (const seq of [3, 4, 5, 6, 7, 8]) r.offer(message(seq), 0);
  assert.deepEqual(log.seqs, [1, 2, 3, 4, 5, 6, 7, 8], 'nothing held of the old history comes');
  assert.equal(r.nextDue, null);
});

test('live entries wait for the sync', () => {
  const { r, log } = replica(2);
  r.begin('e1');
  r.offer(message(5), 0);
  r.offer(message(4), 0);
  assert.deepEqual(log.seqs, []);
  r.applySync(page([conversation({ from_seq: 3, head_seq: 4, entries: [message(3), message(4)] })]), 0);
  assert.deepEqual(log.seqs, [3, 4, 5]);
});

test('a reset drops what is known and continues where the server says', () => {
  const { r, log } = replica(5);
  r.begin('e1');
  r.applySync(page([conversation({ reset: true, from_seq: 90, head_seq: 91, entries: [message(90), message(91)] })]), 0);
  assert.deepEqual(log.seqs, [90, 91]);
  assert.deepEqual(log.summaries.at(-1), ['c', { reset: true, fromSeq: 90 }]);
});

test('another epoch resets everything, and what it does not know is gone', () => {
  const { r, log } = replica(5);
  r.offer(message(1, 'd'), 0);
  assert.equal(log.syncs, 1, 'an unknown conversation asks for a sync');
  r.beginSync();
  r.applySync(page([{ ...conversation({}), id: 'd', head_seq: 1, entries: [message(1, 'd')] }]), 0);
  r.begin('e2');
  assert.deepEqual(r.syncRequest(), { epoch: 'e2', cursors: {} });
  r.applySync(page([conversation({ from_seq: 1, head_seq: 1, entries: [message(1)] })], { epoch: 'e2' }), 0);
  assert.deepEqual(log.summaries.at(-1), ['c', { reset: true, fromSeq: 1 }]);
  assert.deepEqual(log.gone, ['d']);
  assert.deepEqual(r.position().cursors, { c: 1 });
});

test('a synced conversation that goes on is pulled', () => {
  const { r } = replica();
  r.begin('e1');
  r.applySync(page([conversation({ from_seq: 1, head_seq: 9, entries: [message(1)], more: true })]), 10);
  assert.deepEqual(r.due(10), [{ conversation: 'c', from: 2, to: 9 }]);
});

test('what is held is bounded, and what found no room is pulled', () => {
  const { r, log } = replica();
  for (let seq = 2_500; seq > 1; seq -= 1) r.offer(message(seq), 0);
  assert.deepEqual(r.due(1_000), [{ conversation: 'c', from: 1, to: 2_500 }]);
  const entries = Array.from({ length: 2_500 }, (_, i) => message(i + 1));
  r.applyPull('c', { entries, head_seq: 2_500, more: false }, 1_000);
  assert.equal(log.seqs.length, 2_500);
  assert.equal(r.nextDue, null);
});

test('a lag without a conversation, or of an unknown one, asks for a sync', () => {
  const { r, log } = replica();
  r.note(undefined, undefined, 0);
  r.note('unknown', 4, 0);
  assert.equal(log.syncs, 2);
});

test('a sync names the liveliest conversations, as many as one message may hold', () => {
  const { r } = replica();
  r.beginSync();
  const ids = Array.from({ length: 1_500 }, (_, i) => `direct:alice:user-${1_000 + i}`);
  const synced = ids.map((id) => ({ ...conversation({ head_seq: 1, entries: [message(1, id)] }), id }));
  r.applySync(page(synced), 0);
  assert.equal(Object.keys(r.syncRequest().cursors).length, 1_000);
  const request = JSON.stringify(r.syncRequest(16_384));
  assert.ok(request.length < 16_384 && request.length > 5_000, `${request.length}`);
  assert.match(request, /user-2499/);
  assert.doesNotMatch(request, /user-1000/);
});

test('a sync that begins beyond the cursor leaves a hole, which is pulled', () => {
  const { r, log } = replica(2);
  r.beginSync();
  r.applySync(page([conversation({ from_seq: 5, head_seq: 5, entries: [message(5)] })]), 10);
  assert.deepEqual(r.due(10), [{ conversation: 'c', from: 3, to: 5 }]);
  r.applyPull('c', { entries: [message(3), message(4)], head_seq: 5, more: false }, 20);
  assert.deepEqual(log.seqs, [3, 4, 5]);
});
