/** Devices are listed and signed out from afar: the SDK against the real server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heard, serveEach, signIn } from '../support/sdk.js';

serveEach();

test('devices: listed, and signed out from afar', async () => {
  const alice = await signIn('alice', 'alice-1', { deviceKind: 'web', deviceName: 'At home' });
  const phone = await signIn('alice', 'alice-2', { deviceKind: 'mobile' });
  // A device shows a moment after it came.
  let devices = [];
  while (devices.length < 2) devices = await alice.people.devices();
  assert.deepEqual(devices.map(({ id, current = false }) => [id, current]).sort(), [['alice-1', true], ['alice-2', false]]);
  const closed = heard(phone, 'state', (state) => state.name === 'closed');
  await alice.people.signOut('alice-2');
  assert.equal((await closed).code, 4003);
});
