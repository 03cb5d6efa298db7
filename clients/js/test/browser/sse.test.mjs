/**
 * Event streams with the EventSource of Chromium: it reconnects by itself and says where it stood,
 * and the server goes on there.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { bench, PATIENCE_MS } from '../support/browser.js';

const directory = mkdtempSync(path.join(tmpdir(), 'hubbub-sse-'));
const file = path.join(directory, 'hubbub.toml');
writeFileSync(
  file,
  `[namespaces.news]
subscribe = "everyone"
publish = "everyone"
history = "everyone"
history_size = 100
recover = true
`,
);
after(() => rmSync(directory, { recursive: true }));
const here = bench({ server: { environment: { HUBBUB_CONFIG: file } } });

const TYPES = ['publication', 'message', 'subscribed', 'synced', 'not_recovered', 'bye', 'closed'];

/** A page that listens: `window.seen` has what came, `window.source` is the EventSource. */
async function listening(query, cookie = false) {
  const page = await here.page('listener', await here.context());
  await page.goto(here.server.url);
  const token = await here.server.token('bob');
  if (cookie) await page.context().addCookies([{ name: 'hubbub_token', value: token, url: here.server.url }]);
  const address = `/sse?${query}${cookie ? '' : `&token=${token}`}`;
  await page.evaluate(
    ([address, types]) => {
      window.seen = [];
      window.open_ = 0;
      window.listen = (address) => {
        window.source = new EventSource(address);
        window.source.onopen = () => (window.open_ += 1);
        for (const type of types) {
          window.source.addEventListener(type, ({ data, lastEventId }) => {
            const { payload } = JSON.parse(data);
            window.seen.push([type, payload.data ?? payload.content ?? payload.channel ?? null]);
            window.last = lastEventId;
          });
        }
      };
      window.listen(address);
    },
    [address, TYPES],
  );
  return { page, address };
}

/** Waits until so many events of a type came. */
const came = (page, type, count) =>
  page.waitForFunction(
    ([type, count]) => window.seen.filter(([kind]) => kind === type).length >= count,
    [type, count],
    { timeout: PATIENCE_MS },
  );

const values = (page, type) =>
  page.evaluate((type) => window.seen.filter(([kind]) => kind === type).map(([, value]) => value), type);

test('channels come in order, by the cookie, and a new stream goes on where the last one ended', async () => {
  const { page, address } = await listening('channels=news%3Aa%2Cnews%3Ab', true);
  await came(page, 'subscribed', 2);
  const alice = await here.nodeClient('alice');
  for (let n = 1; n <= 3; n += 1) await alice.channel('news:a').publish(n);
  await came(page, 'publication', 3);
  await page.evaluate(() => window.source.close());
  for (let n = 4; n <= 6; n += 1) await alice.channel('news:a').publish(n);
  await page.evaluate((address) => window.listen(`${address}&last_event_id=${window.last}`), address);
  await came(page, 'subscribed', 4);
  await alice.channel('news:a').publish(7);
  await came(page, 'publication', 7);
  assert.deepEqual(await values(page, 'publication'), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(await values(page, 'not_recovered'), []);
});

test('it reconnects by itself when the server was killed, with nothing lost or doubled', async () => {
  const { page } = await listening('user=1&channels=news:a');
  await came(page, 'synced', 1);
  const alice = await here.nodeClient('alice');
  const sent = [];
  const send = async (count) => {
    for (let n = 0; n < count; n += 1) {
      sent.push(`m${sent.length}`);
      await alice.send('user:bob', sent.at(-1)).acked;
    }
  };
  await send(3);
  await came(page, 'message', 3);
  for (let round = 1; round <= 2; round += 1) {
    await here.server.kill();
    const offline = alice.send('user:bob', (sent.push(`m${sent.length}`), sent.at(-1)));
    await here.server.resume();
    await offline.acked;
    await send(3);
    await came(page, 'synced', 1 + round);
    await came(page, 'message', sent.length);
  }
  assert.deepEqual(await values(page, 'message'), sent);
  // What is published is not stored, and that is said.
  assert.deepEqual(await values(page, 'not_recovered'), ['news:a', 'news:a']);
  assert.equal(await page.evaluate(() => window.open_), 3);
});

test('one that was replaced stops', async () => {
  const { page, address } = await listening('channels=news:a&device=tab');
  await came(page, 'subscribed', 1);
  const other = await here.page('other', await here.context());
  await other.goto(here.server.url);
  await other.evaluate((address) => {
    window.source = new EventSource(address);
  }, address);
  await came(page, 'closed', 1);
  await page.waitForFunction(() => window.source.readyState === EventSource.CLOSED);
  assert.equal(await other.evaluate(() => window.source.readyState), 1);
});
