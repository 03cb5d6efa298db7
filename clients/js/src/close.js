/**
 * What to do when a connection has ended, by close code: the client's column of the protocol's
 * table of close codes.
 */

/** Coming again with the same input would end the same way, or somebody decided it. */
const STOP = new Map([
  [1003, 'unsupported'],
  [1007, 'bad_utf8'],
  [1008, 'policy'],
  [1009, 'too_big'],
  [4001, 'unauthorized'],
  [4003, 'disconnected'],
  [4005, 'replaced'],
]);

/**
 * @param {number} code close code; 1006 where the connection broke without one
 * @returns {{action: 'stop' | 'refresh' | 'reconnect', reason: string}}
 */
export function adviceFor(code) {
  const stop = STOP.get(code);
  if (stop) return { action: 'stop', reason: stop };
  if (code === 4004) return { action: 'refresh', reason: 'token_expired' };
  return { action: 'reconnect', reason: 'connection_lost' };
}
