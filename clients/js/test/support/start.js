import { Client } from '../../src/client.js';
import { FakeServer, tokenOf } from './server.js';
import { TestClock } from './clock.js';

/** A client of a fake server, connected and synced; `received` collects its entries. */
export async function start({ user = 'alice', server, clock = new TestClock(), connect = true, ...options } = {}) {
  server ??= new FakeServer(clock);
  const client = new Client({
    url: 'ws://fake/ws',
    token: tokenOf(user),
    WebSocket: server.WebSocket,
    clock,
    storage: null,
    logger: { warn: (...args) => { throw args[1] ?? args[0]; } },
    ...options,
  });
  const received = [];
  const states = [];
  client.on('entry', (entry) => received.push(entry));
  client.on('state', (state) => states.push(state.name));
  let synced = 0;
  client.on('synced', () => (synced += 1));
  if (connect) {
    client.connect();
    await clock.until(() => synced > 0, 60_000);
  }
  return { client, clock, server, received, states };
}
