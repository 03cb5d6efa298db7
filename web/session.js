/**
 * Who is signed in, in this tab: the token, and the id of the tab as a device. Kept in
 * sessionStorage, so that two tabs can be two people and a reload stays the same one.
 */

const KEPT_AS = 'hubbub/session';
const DEVICE_KEPT_AS = 'hubbub/device';
const NAME = /^[A-Za-z0-9._@+=~|-]{1,128}$/;

/** Why signing in failed; `message` is a key of the page's words. */
export class SignInError extends Error {}

/** @param {string} name */
export const isName = (name) => NAME.test(name);

/** @returns {{token: string, user: string | null, byName: boolean} | null} */
export function keptSession() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT_AS));
  } catch {
    return null;
  }
}

export function keepSession(session) {
  sessionStorage.setItem(KEPT_AS, JSON.stringify(session));
}

export function forgetSession() {
  sessionStorage.removeItem(KEPT_AS);
}

/** This tab as a device. */
export function deviceId() {
  const kept = sessionStorage.getItem(DEVICE_KEPT_AS);
  return kept ?? newDevice();
}

/** Makes this tab another device, after a copy of it took the old one over. */
export function newDevice() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const id = `web-${[...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')}`;
  sessionStorage.setItem(DEVICE_KEPT_AS, id);
  return id;
}

/**
 * Gets a token for a name, where the server runs in development mode.
 * @param {string} user
 * @returns {Promise<string>}
 */
export async function tokenFor(user) {
  let response;
  try {
    response = await fetch('/dev/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user, name: user }),
    });
  } catch {
    throw new SignInError('signin.unreachable');
  }
  if (response.status === 400 || response.status === 422) throw new SignInError('signin.bad_name');
  if (!response.ok) throw new SignInError('signin.wants_token');
  const { token } = await response.json();
  return token;
}
