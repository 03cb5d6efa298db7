import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HubbubError } from '../src/errors.js';
import { Outbox } from '../src/outbox.js';

const item = (clientId, lane = 'a', type = 'send', at = 0) => ({ clientId, type, payload: {}, lane, at });
const refusal = (reason, rest = {}) => new HubbubError({ reason, retry: true, ...rest });

function outbox(...items) {
  const box = new Outbox();
  const outcomes = [];
  for (const one of items) {
    box.add(one, (error, ack) => outcomes.push([one.clientId, error?.reason ?? ack]));
  }
  return { box, outcomes };
}

/** Sends everything that may be sent; `client id<after`. */
function drain(box, now = 0) {
  const sent = [];
  for (let next = box.next(now); next; next = box.next(now)) {
    next.item.inFlight = true;
    sent.push(next.after ? `${next.item.clientId}<${next.after}` : next.item.clientId);
  }
  return sent;
}

test('sends of a lane are pipelined, each behind the one before', () => {
  const { box } = outbox(item('1'), item('2', 'b'), item('3'), item('4', 'b'));
  assert.deepEqual(drain(box), ['1', '2', '3<1', '4<2']);
});

test('other commands wait for an empty lane, and hold it', () => {
  const { box } = outbox(item('1'), item('2', 'a', 'group_invite'), item('3'), item('4', 'b'));
  assert.deepEqual(drain(box), ['1', '4']);
  box.settle('1', null, {});
  assert.deepEqual(drain(box), ['2']);
  box.settle('2', null, {});
  assert.deepEqual(drain(box), ['3']);
});

test('a postponed item holds back its lane, no other', () => {
  const { box } = outbox(item('1'), item('2'), item('3', 'b'));
  assert.deepEqual(drain(box), ['1', '2<1', '3']);
  box.postpone('1', refusal('overloaded', { retry_after_ms: 700 }), 0, () => 0);
  box.postpone('2', refusal('out_of_order'), 0, () => 0);
  assert.equal(box.wakeAt(0), 50);
  assert.deepEqual(drain(box, 100), []);
  assert.deepEqual(drain(box, 700), ['1', '2<1']);
});

test('rate_limited pauses everything', () => {
  const { box } = outbox(item('1'), item('2', 'b'));
  const { item: first } = box.next(0);
  first.inFlight = true;
  box.postpone('1', refusal('rate_limited', { retry_after_ms: 400 }), 0, () => 0);
  assert.deepEqual(drain(box, 399), []);
  assert.equal(box.wakeAt(0), 400);
  assert.deepEqual(drain(box, 400), ['1', '2']);
});

test('after a cut everything is sent again, under the same names and in order', () => {
  const { box, outcomes } = outbox(item('1'), item('2'), item('3'));
  drain(box);
  box.settle('1', null, 'ok');
  box.cut();
  assert.deepEqual(drain(box), ['2', '3<2']);
  assert.deepEqual(outcomes, [['1', 'ok']]);
});

test('bounded in items and in bytes', () => {
  const few = new Outbox({ itemsMax: 2, bytesMax: 1_000_000 });
  few.add(item('1'), () => {});
  few.add(item('2'), () => {});
  assert.throws(() => few.add(item('3'), () => {}), { reason: 'queue_full' });
  const small = new Outbox({ itemsMax: 100, bytesMax: 2_000 });
  const big = { ...item('1'), payload: { content: '字'.repeat(600) } };
  assert.throws(() => small.add(big, () => {}), { reason: 'queue_full' });
  assert.equal(small.bytes, 0);
  small.add(item('2'), () => {});
  small.settle('2', null);
  assert.equal(small.bytes, 0);
});

test('what is older than the dedupe window fails instead of being sent', () => {
  const { box, outcomes } = outbox(item('1', 'a', 'send', 0), item('2', 'a', 'send', 900));
  box.expire(1_001, 1_000);
  assert.deepEqual(outcomes, [['1', 'expired']]);
  assert.deepEqual(drain(box, 1_001), ['2']);
});

test('what an earlier run left comes first', () => {
  const { box } = outbox(item('9', 'a', 'send', 9));
  const taken = box.adopt([item('2', 'a', 'send', 2), item('1', 'a', 'send', 1), item('9')], () => () => {});
  assert.deepEqual(taken.map((one) => one.clientId), ['1', '2']);
  assert.deepEqual(drain(box), ['1', '2<1', '9<2']);
});
