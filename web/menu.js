/** What pops up: a menu beside what was pressed (on a phone from below), and a line that goes away. */
import { byId, make } from './dom.js';
import { icon } from './icons.js';
import { reasonText, t } from './i18n.js';

/** So long a line stays, in milliseconds. */
const TOAST_MS = 5_000;
const MARGIN_PX = 8;
const PHONE = '(max-width: 719px)';

/**
 * @typedef {object} Choice
 * @property {string} label
 * @property {() => any} run
 * @property {import('./icons.js').Icon} [icon]
 * @property {boolean} [danger]
 * @property {string} [testid]
 */

/**
 * Opens the menu.
 * @param {HTMLElement} anchor
 * @param {(Choice | null | false)[]} choices
 * @param {HTMLElement[]} [above] what stands above the choices
 */
export function showMenu(anchor, choices, above = []) {
  const menu = byId('menu');
  menu.hidePopover();
  const rows = choices.filter(Boolean).map((choice) => {
    const row = make('button', { className: 'choice', testid: choice.testid }, [
      ...(choice.icon ? [icon(choice.icon)] : []),
      make('span', { text: choice.label }),
    ]);
    row.setAttribute('role', 'menuitem');
    row.type = 'button';
    row.classList.toggle('danger', choice.danger === true);
    row.addEventListener('click', () => {
      menu.hidePopover();
      void attempt(choice.run);
    });
    return row;
  });
  menu.replaceChildren(...above, ...rows);
  // Beside an open dialog nothing can be pressed: the menu has to stand in it.
  (anchor.closest('dialog') ?? document.body).append(menu);
  menu.showPopover();
  place(menu, anchor);
  (rows[0] ?? above[0])?.focus({ preventScroll: true });
}

export function hideMenu() {
  byId('menu').hidePopover();
}

/** Beside the anchor, wholly on the page; on a phone the style sheet puts it at the bottom. */
function place(menu, anchor) {
  if (matchMedia(PHONE).matches) {
    menu.style.left = menu.style.top = '';
    return;
  }
  const at = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = at.bottom + height + MARGIN_PX <= innerHeight;
  const top = below ? at.bottom + 4 : Math.max(MARGIN_PX, at.top - height - 4);
  menu.style.top = `${top}px`;
  menu.style.left = `${Math.max(MARGIN_PX, Math.min(at.left, innerWidth - width - MARGIN_PX))}px`;
}

let toastTimer = null;

/** Says something for a while. @param {string} text */
export function toast(text) {
  const line = byId('toast');
  line.textContent = text;
  // Opened anew it stands above whatever was opened since.
  line.hidePopover();
  line.showPopover();
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => line.hidePopover(), TOAST_MS);
}

/** What went wrong, in a sentence. @param {any} error */
export const sentenceOf = (error) =>
  error.key ? t(error.key) : t('error.generic', { reason: reasonText(error.reason ?? String(error.message ?? error)) });

/** Runs something, and says so when it fails. @param {() => any} run */
export async function attempt(run) {
  try {
    return await run();
  } catch (error) {
    toast(sentenceOf(error));
    return undefined;
  }
}

/** Asks before something that cannot be undone. @param {string} question @returns {Promise<boolean>} */
export function confirmed(question) {
  const dialog = byId('confirm-dialog');
  byId('confirm-text').textContent = question;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener('close', () => answer(dialog.returnValue === 'yes'), { once: true });
  });
}
