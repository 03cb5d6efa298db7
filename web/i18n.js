/**
 * The page speaks English and Chinese.
 * Elements name theirs in `data-i18n` (text), `data-i18n-placeholder` or `data-i18n-label`.
 */
import { en } from './words.en.js';
import { zh } from './words.zh.js';

export const WORDS = { en, zh };

const KEPT_AS = 'hubbub/language';
const listeners = new Set();

/** @returns {'en' | 'zh'} */
function preferred() {
  const kept = localStorage.getItem(KEPT_AS);
  if (kept === 'en' || kept === 'zh') return kept;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

let language = preferred();

/** The BCP 47 tag, for dates and the document. */
export const locale = () => (language === 'zh' ? 'zh-CN' : 'en');

/**
 * A text in the chosen language, its `{names}` filled in. Where `n` is 1, `KEY.one` is taken if there is one.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const words = WORDS[language];
  const text = (values.n === 1 && words[`${key}.one`]) || (words[key] ?? key);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/** What went wrong, in words, from a reason of the protocol. @param {string} reason */
export function reasonText(reason) {
  return WORDS[language][`error.${reason}`] ?? reason;
}

/** Puts the words into every element that names its own. */
export function translate(root = document) {
  document.documentElement.lang = locale();
  for (const element of root.querySelectorAll('[data-i18n]')) {
    element.textContent = t(element.dataset.i18n);
  }
  for (const element of root.querySelectorAll('[data-i18n-placeholder]')) {
    element.placeholder = t(element.dataset.i18nPlaceholder);
  }
  for (const element of root.querySelectorAll('[data-i18n-label]')) {
    element.setAttribute('aria-label', t(element.dataset.i18nLabel));
  }
  for (const button of root.querySelectorAll('button.language')) {
    button.textContent = t('language');
    button.lang = language === 'zh' ? 'en' : 'zh-CN';
  }
}

/** Changes to the other language and tells who listens. */
export function switchLanguage() {
  language = language === 'zh' ? 'en' : 'zh';
  localStorage.setItem(KEPT_AS, language);
  translate();
  for (const listener of listeners) listener();
}

/** @param {() => void} listener called after each change of language */
export function onLanguage(listener) {
  listeners.add(listener);
}
