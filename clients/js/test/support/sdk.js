/**
 * What the tests of the SDK against the real server share: a server for each test, clients that are
 * closed with it, and waiting for what a client is told.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach } from 'node:test';
import { Client } from '../../src/index.js';
import { NodeWebSocket } from '../../src/node-websocket.js';
import { Server } from './binary.js';

/** The server of the test that runs. @type {Server} */
export let server;
let clients = [];

/** Starts a server for each test of a file. @param {Record<string, string>} [environment] */
export function serveEach(environment = {}) {
  beforeEach(async () => {
    server = await Server.start({ environment });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await server.end();
  });
}

/** A client that has synced. */
export async function signIn(user, device = `${user}-1`, options = {}) {
  const client = new Client({
    url: server.url,
    token: await server.token(user),
    WebSocket: NodeWebSocket,
    storage: null,
    device,
    ...options,
  });
  clients.push(client);
  const synced = heard(client, 'synced');
  client.connect();
  await synced;
  return client;
}

/** The next event of a type that fits. */
export const heard = (client, type, fits = (_) => true) =>
  new Promise((resolve) => {
    const stop = client.on(type, (event) => fits(event) && (stop(), resolve(event)));
  });

/** Resolves when `done()` holds, which is looked at after each of the client's changes. */
export const reached = (client, done) =>
  new Promise((resolve) => {
    const look = () => done() && (stop(), resolve(undefined));
    const stop = client.store.subscribe(look);
    look();
  });

/** The messages of a conversation, as a page would show them. */
export const shown = (client, id) => client.store.conversation(id)?.messages ?? [];

/** For `assert.rejects`: refused, for this reason. */
export const refused = (reason) => (error) => {
  assert.equal(error.reason, reason, error.message);
  return true;
};
