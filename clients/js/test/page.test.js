/** What can be said of the pages without a browser: the chat page's words, and that nothing parses HTML. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';

const WEB = new URL('../../../web/', import.meta.url);
const REFERENCE = new URL('reference/', WEB);

/** The files of a directory, without those below it. */
async function filesOf(directory) {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(new URL(name, directory), 'utf8') })));
}

const isCode = ({ name }) => name.endsWith('.js');
const files = await filesOf(WEB);
const reference = await filesOf(REFERENCE);
const code = files.filter(isCode);
const page = files.find(({ name }) => name === 'index.html').text;

test('both languages say the same things, and the page asks for nothing else', async () => {
  const browser = /** @type {any} */ (globalThis);
  browser.localStorage ??= { getItem: () => null };
  browser.navigator ??= { language: 'en' };
  const { WORDS } = await import(new URL('i18n.js', WEB).href);
  assert.deepEqual(Object.keys(WORDS.zh), Object.keys(WORDS.en));
  const places = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const key of Object.keys(WORDS.en)) {
    assert.deepEqual(places(WORDS.zh[key]), places(WORDS.en[key]), key);
  }
  const asked = [
    ...[...page.matchAll(/data-i18n(?:-\w+)?="([^"]+)"/g)].map((m) => m[1]),
    ...code.flatMap(({ text }) => [...text.matchAll(/\bt\('([^']+)'/g)].map((m) => m[1])),
  ];
  assert.ok(asked.length > 50);
  assert.deepEqual(asked.filter((key) => !(key in WORDS.en)), []);
});

test('nothing is parsed as HTML, and nothing stands inline', () => {
  for (const { name, text } of [...code, ...reference.filter(isCode)]) {
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/, name);
  }
  const pages = [...files, ...reference].filter(({ name }) => name.endsWith('.html'));
  assert.equal(pages.length, 2);
  for (const { text } of pages) {
    assert.doesNotMatch(text, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/);
    assert.doesNotMatch(text, /https?:\/\//);
  }
});

test('every element that the code asks for is there', () => {
  const ids = new Set([...page.matchAll(/\bid="([^"]+)"/g)].map((m) => m[1]));
  const asked = code.flatMap(({ text }) => [...text.matchAll(/byId\('([^']+)'\)/g)].map((m) => m[1]));
  assert.deepEqual(asked.filter((id) => !ids.has(id)), []);
});
