/**
 * Errors with the server's vocabulary: a `reason` that never changes its meaning, a `code` with
 * HTTP's meaning, and whether trying again can help. The SDK's own refusals use the same shape.
 */

/** What the SDK itself refuses; the server's reasons stand in the protocol's table. */
const OWN = {
  closed: [499, false, 'The client was closed.'],
  disconnected: [503, true, 'The connection ended before the answer came.'],
  timeout: [504, true, 'No answer came in time.'],
  queue_full: [429, true, 'Too much is waiting to be sent.'],
  too_big: [413, false, 'The message is over the limit of the server.'],
  expired: [410, false, 'It waited longer than the server remembers client ids.'],
  discarded: [499, false, 'It was taken back before it was sent.'],
  bad_argument: [400, false, 'The argument cannot be sent.'],
};

/** A refused or failed command. */
export class HubbubError extends Error {
  /**
   * @param {{reason: string, code?: number, message?: string, retry?: boolean,
   *   retry_after_ms?: number, until?: number}} payload as in an `error` of the protocol
   */
  constructor(payload) {
    super(payload.message ?? payload.reason);
    this.name = 'HubbubError';
    /** Stable slug. */
    this.reason = payload.reason;
    /** Status with HTTP's meaning. */
    this.code = payload.code ?? 500;
    /** Whether the same command may succeed later. */
    this.retry = payload.retry ?? false;
    /** When, in milliseconds, if the server said. @type {number | undefined} */
    this.retryAfterMs = payload.retry_after_ms;
    /** When what stands against it ends, in milliseconds since the epoch. @type {number | undefined} */
    this.until = payload.until;
  }
}

/**
 * One of the SDK's own errors.
 * @param {keyof typeof OWN} reason
 * @param {string} [detail] instead of the usual sentence
 */
export function refuse(reason, detail) {
  const [code, retry, message] = OWN[reason];
  return new HubbubError({
    reason,
    code: /** @type {number} */ (code),
    retry: /** @type {boolean} */ (retry),
    message: detail ?? /** @type {string} */ (message),
  });
}
