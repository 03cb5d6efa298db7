import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from '../src/backoff.js';
import { adviceFor } from '../src/close.js';
import { clientIds, conversationOf, directId, userOfToken } from '../src/ids.js';
import { TestClock, seeded } from './support/clock.js';

test('the delay doubles up to a ceiling, and chance takes a share of it', () => {
  const options = { baseMs: 1_000, maxMs: 30_000, jitter: /** @type {const} */ ('full') };
  const check = (attempt, chance, ms) => assert.equal(backoffMs(attempt, options, () => chance), ms);
  check(1, 0.999, 999);
  check(1, 0, 0);
  check(2, 0.5, 1_000);
  check(5, 0.5, 8_000);
  check(6, 0.5, 15_000);
  check(1_000, 0.5, 15_000);
  assert.equal(backoffMs(4, { ...options, jitter: 'none' }, () => 0), 8_000);
});

test('close codes say what to do', () => {
  const check = (code, action) => assert.equal(adviceFor(code).action, action, String(code));
  for (const code of [1003, 1007, 1008, 1009, 4001, 4003, 4005]) check(code, 'stop');
  for (const code of [1000, 1001, 1005, 1006, 1011, 4002, 4006, 4008, 4009, 4010, 4999]) check(code, 'reconnect');
  check(4004, 'refresh');
});

test('client ids are UUIDv7 and ascend, also within one millisecond', () => {
  const next = clientIds(new TestClock(seeded(7)));
  const ids = Array.from({ length: 10_000 }, next);
  assert.deepEqual(ids, [...new Set(ids)].sort());
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('names of conversations', () => {
  assert.equal(directId('bob', 'alice'), 'direct:alice:bob');
  assert.equal(conversationOf('user:bob', 'carol'), 'direct:bob:carol');
  assert.equal(conversationOf('group:g', 'carol'), 'group:g');
});

test('the user of a token', () => {
  const token = (claims) => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.y`;
  assert.equal(userOfToken(token({ sub: 'alice', name: '爱丽丝' })), 'alice');
  assert.equal(userOfToken(token({})), null);
  assert.equal(userOfToken('opaque'), null);
});
