/** Small tools for the DOM. Text goes in as text only: nothing here or elsewhere parses HTML. */

/** @param {string} id @returns {any} the element, which must exist */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no #${id}.`);
  return element;
}

/**
 * Makes an element.
 * @param {string} tag
 * @param {{className?: string, text?: string, testid?: string, title?: string}} [options]
 * @param {Node[]} [children]
 */
export function make(tag, { className, text, testid, title } = {}, children = []) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (testid) element.dataset.testid = testid;
  if (title) element.title = title;
  element.append(...children);
  return element;
}

/**
 * Makes a button.
 * @param {string} text
 * @param {(event: MouseEvent) => void} press
 * @param {{className?: string, testid?: string, title?: string}} [options]
 */
export function button(text, press, options = {}) {
  const element = /** @type {HTMLButtonElement} */ (make('button', { text, ...options }));
  element.type = 'button';
  if (options.title) element.setAttribute('aria-label', options.title);
  element.addEventListener('click', press);
  return element;
}

/**
 * Sets a text only where it differs: a screen reader says it again each time.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the children of `parent` those of `items`, in that order, touching only what differs: an
 * element with the focus keeps it, and nothing flickers.
 * @template T
 * @param {HTMLElement} parent
 * @param {Map<string, {signature: string, element: HTMLElement}>} kept what was drawn before
 * @param {T[]} items
 * @param {{keyOf: (item: T) => string, signatureOf: (item: T) => string, draw: (item: T) => HTMLElement}} how
 */
export function reconcile(parent, kept, items, { keyOf, signatureOf, draw }) {
  // What goes away goes first: what stays then keeps its place and needs no moving.
  const wanted = new Set(items.map(keyOf));
  for (const [key, { element }] of kept) {
    if (wanted.has(key)) continue;
    element.remove();
    kept.delete(key);
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const signature = signatureOf(item);
    let drawn = kept.get(key);
    if (!drawn) {
      drawn = { signature, element: draw(item) };
      kept.set(key, drawn);
    } else if (drawn.signature !== signature) {
      const element = draw(item);
      if (at === drawn.element) at = element;
      drawn.element.replaceWith(element);
      kept.set(key, (drawn = { signature, element }));
    }
    if (drawn.element === at) at = at.nextElementSibling;
    else parent.insertBefore(drawn.element, at);
  }
}
