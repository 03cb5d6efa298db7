/**
 * Client ids: UUIDv7 (RFC 9562 §5.7). They begin with the time, so that the server's index of them
 * grows at one end, and they ascend within one generator, so that sorting a queue restores its
 * order.
 */

/**
 * @param {import('./clock.js').Clock} clock
 * @returns {() => string} makes the next id; each is greater than the one before
 */
export function clientIds(clock) {
  let lastMs = 0;
  let counter = 0;
  const hex = (n, digits) => Math.floor(n).toString(16).padStart(digits, '0');
  const chance = (digits) => hex(clock.random() * 16 ** digits, digits);
  return () => {
    const now = clock.now();
    if (now > lastMs) {
      lastMs = now;
      counter = Math.floor(clock.random() * 0x800);
    } else if (++counter > 0xfff) {
      // The counter ran over within one millisecond: borrow from the next one.
      lastMs += 1;
      counter = 0;
    }
    const time = hex(lastMs, 12);
    const variant = hex(8 + clock.random() * 4, 1);
    const tail = `${variant}${chance(3)}-${chance(6)}${chance(6)}`;
    return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(counter, 3)}-${tail}`;
  };
}

/**
 * The id of the direct conversation between two users.
 * @param {string} a
 * @param {string} b
 */
export function directId(a, b) {
  return a < b ? `direct:${a}:${b}` : `direct:${b}:${a}`;
}

/**
 * The conversation that a recipient (`user:ID`, `group:ID`, a conversation id) stands for.
 * @param {string} to
 * @param {string} me the user who sends
 */
export function conversationOf(to, me) {
  return to.startsWith('user:') ? directId(me, to.slice('user:'.length)) : to;
}

/**
 * The user a token names, read without checking it: only to find what this user left in the queue.
 * @param {string} token a JWT
 * @returns {string | null}
 */
export function userOfToken(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return sub === undefined ? null : String(sub);
  } catch {
    return null;
  }
}
