/**
 * What the browser tests share: Chromium, a server of its own for each test, and the few things that
 * people do on the chat page. `CHROMIUM` and `HUBBUB_BIN` say where browser and server are.
 */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { after, afterEach, before, beforeEach } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { Client } from '../../src/index.js';
import { NodeWebSocket } from '../../src/node-websocket.js';
import { Server } from './binary.js';

const OUT = fileURLToPath(new URL('../browser/out/', import.meta.url));
export const WIDE = { width: 1_000, height: 680 };
export const PHONE = { width: 360, height: 640 };
export const PATIENCE_MS = 20_000;

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The browser and the server of the test that runs. */
class Bench {
  browser = null;
  /** @type {Server} */
  server = null;
  /** Whatever a page complained about. @type {string[]} */
  complaints = [];
  #contexts = [];
  #clients = [];

  async begin(options) {
    this.complaints = [];
    this.server = await Server.start(options);
  }

  async end() {
    for (const client of this.#clients.splice(0)) client.close();
    for (const context of this.#contexts.splice(0)) await context.close();
    await this.server?.end();
  }

  /** Another profile of the browser. */
  async context(options = {}) {
    const context = await this.browser.newContext({ viewport: WIDE, locale: 'en-US', ...options });
    this.#contexts.push(context);
    return context;
  }

  /** A page of the server on which nobody has signed in yet. */
  async page(name, context) {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => this.complaints.push(`${name}: ${error.stack}`));
    page.on('console', (message) => {
      // The browser itself reports connections that fail while the server is down.
      const expected = /WebSocket connection|ERR_CONNECTION|net::ERR/.test(message.text());
      if (message.type() === 'error' && !expected) this.complaints.push(`${name}: ${message.text()}`);
    });
    return page;
  }

  /**
   * A page on which `user` has signed in.
   * @param {string} user
   * @param {any} [options] of a new profile, or a `context` that is there already
   */
  async signIn(user, { context, ...options } = {}) {
    const page = await this.page(user, context ?? (await this.context(options)));
    await page.goto(this.server.url);
    await page.getByTestId('signin-name').fill(user);
    await page.getByTestId('signin-submit').click();
    await online(page);
    return page;
  }

  /** A client of the SDK in Node, beside the pages. */
  async nodeClient(user, options = {}) {
    const client = new Client({
      url: this.server.url,
      token: await this.server.token(user),
      WebSocket: NodeWebSocket,
      storage: null,
      device: `node-${user}`,
      ...options,
    });
    this.#clients.push(client);
    client.connect();
    return client;
  }
}

/**
 * Sets up the browser for all tests of a file, and a server for each of them.
 * @param {{args?: string[], server?: Parameters<typeof Server.start>[0]}} [options]
 */
export function bench({ args = [], server = {} } = {}) {
  const made = new Bench();
  before(async () => {
    await mkdir(OUT, { recursive: true });
    // A profile of its own in a temporary directory is what `launch` makes.
    made.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [...ARGS, ...args],
    });
  });
  after(() => made.browser?.close());
  beforeEach(() => made.begin(server));
  afterEach(() => made.end());
  return made;
}

export const online = (page) => page.locator('[data-testid=chat][data-state=online]').waitFor();
export const shot = (page, name) => page.screenshot({ path: `${OUT}${name}.png` });
export const open = (page, conversation) =>
  page.locator(`[data-conversation="${conversation}"]`).click();

export async function newChat(page, user) {
  await page.getByTestId('new-chat').click();
  await page.getByTestId('chat-user').fill(user);
  await page.getByTestId('chat-start').click();
}

export async function say(page, ...texts) {
  for (const text of texts) {
    await page.getByTestId('draft').fill(text);
    await page.getByTestId('draft').press('Enter');
  }
}

/** Waits until a message of the open conversation has this text. */
export const shown = (page, text) =>
  page.getByTestId('messages').getByTestId('text').filter({ hasText: text }).waitFor();

/** Waits until the open conversation shows exactly these texts. */
export async function shows(page, texts) {
  const wanted = JSON.stringify(texts);
  const read = () =>
    page.getByTestId('messages').evaluate((list) =>
      JSON.stringify([...list.querySelectorAll('[data-testid=text]')].map((p) => p.textContent)),
    );
  const end = Date.now() + PATIENCE_MS;
  let texted = await read();
  while (texted !== wanted && Date.now() < end) {
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
    texted = await read();
  }
  assert.deepEqual(JSON.parse(texted), texts);
}

/** Waits until every own message on the page has this mark. */
export async function marked(page, state) {
  await page.waitForFunction((wanted) => {
    const marks = [...document.querySelectorAll('#messages .own .mark')];
    return marks.length > 0 && marks.every((mark) => mark.dataset.state === wanted);
  }, state);
}
