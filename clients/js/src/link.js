/**
 * Keeps one connection up: connects, waits, connects again, and stops where the close code or the
 * application says so. Its state is what a page shows.
 *
 * @typedef {{name: 'idle'} | {name: 'connecting', attempt: number} | {name: 'online', session: any}
 *   | {name: 'reconnecting', attempt: number, at: number, reason: string}
 *   | {name: 'offline', reason: string}
 *   | {name: 'closed', reason: string, code?: number}} LinkState
 *   `reconnecting`: the next attempt is at `at` (milliseconds since the epoch). `offline`: given up
 *   for now; `connect()` or the browser's `online` event tries again. `closed`: stopped for good.
 */
import { backoffMs } from './backoff.js';
import { adviceFor } from './close.js';
import { Connection } from './connection.js';

/** How long the server may take to answer when the page becomes visible again. */
const PROBE_MS = 5_000;

export class Link {
  #options;
  #events;
  #clock;
  /** @type {Connection | null} */
  #connection = null;
  /** @type {any} */
  #timer = null;
  #attempt = 0;
  #onlineSince = null;
  /** Why the token is asked for. @type {string} */
  #tokenReason = 'connect';
  /** Outdated answers of `getToken` are told by this. */
  #round = 0;
  /** @type {LinkState} */
  state = { name: 'idle' };

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {() => Promise<any>} options.webSocket gives the constructor
   * @param {(reason: string) => string | Promise<string>} options.getToken
   * @param {boolean} options.renewable `getToken` can give another token than the last one
   * @param {{id: string, kind?: string, name?: string} | undefined} options.device
   * @param {Required<import('./backoff.js').ReconnectOptions>} options.reconnect
   * @param {import('./clock.js').Clock} options.clock
   * @param {object} events
   * @param {(state: LinkState) => void} events.state
   * @param {(token: string) => void} events.token about to be used
   * @param {(session: any, connection: Connection) => void} events.up
   * @param {(type: string, payload: any) => void} events.event
   * @param {() => void} events.down the connection of `up` ended
   */
  constructor(options, events) {
    this.#options = options;
    this.#events = events;
    this.#clock = options.clock;
  }

  /** The connection while the session is open. */
  get connection() {
    return this.#connection?.ready ? this.#connection : null;
  }

  /** Connects, or tries at once what would be tried later. */
  open() {
    if (this.state.name === 'connecting' || this.state.name === 'online') return;
    if (this.state.name !== 'reconnecting') this.#attempt = 0;
    this.#clock.clearTimeout(this.#timer);
    void this.#connect();
  }

  /**
   * A hint from outside that the network may have changed.
   * @param {boolean} usable
   */
  hint(usable) {
    const waiting = this.state.name === 'reconnecting' || this.state.name === 'offline';
    if (waiting && usable) this.open();
    else this.connection?.probe(PROBE_MS);
  }

  /** The connection is of use: the count of attempts starts again. */
  progressed() {
    if (this.connection) this.#attempt = 0;
  }

  /**
   * Ends for good.
   * @param {string} reason
   */
  close(reason) {
    this.#clock.clearTimeout(this.#timer);
    this.#round += 1;
    const connection = this.#connection;
    const wasUp = this.connection !== null;
    this.#connection = null;
    if (this.state.name !== 'closed') this.#become({ name: 'closed', reason });
    connection?.end(1000, reason);
    if (wasUp) this.#events.down();
  }

  async #connect() {
    this.#round += 1;
    const round = this.#round;
    this.#attempt += 1;
    this.#become({ name: 'connecting', attempt: this.#attempt });
    let WebSocket;
    let token;
    try {
      WebSocket = await this.#options.webSocket();
      token = await this.#options.getToken(this.#tokenReason);
    } catch (error) {
      if (round === this.#round) this.#again(`no_token: ${error?.message ?? error}`, 0);
      return;
    }
    if (round !== this.#round) return;
    this.#tokenReason = 'connect';
    this.#events.token(token);
    const { url, device } = this.#options;
    /** @type {import('./connection.js').ConnectionEvents} */
    const events = {
      connected: (session) => {
        if (connection !== this.#connection) return;
        this.#onlineSince = this.#clock.now();
        this.#become({ name: 'online', session });
        this.#events.up(session, connection);
      },
      event: (type, payload) => {
        if (connection === this.#connection) this.#events.event(type, payload);
      },
      closed: (end) => {
        if (connection !== this.#connection) return;
        const wasUp = this.state.name === 'online';
        this.#connection = null;
        this.#ended(end);
        if (wasUp) this.#events.down();
      },
    };
    const connection = new Connection({ url, WebSocket, token, device, clock: this.#clock }, events);
    this.#connection = connection;
  }

  /** Decides what follows the end of a connection. */
  #ended({ code, reason, bye }) {
    const { stableMs } = this.#options.reconnect;
    const { action, reason: advice } = adviceFor(code);
    if (this.#onlineSince !== null && this.#clock.now() - this.#onlineSince >= stableMs) {
      this.#attempt = 0;
    }
    this.#onlineSince = null;
    if (action === 'stop' || (bye && !bye.reconnect)) {
      this.#become({ name: 'closed', reason: action === 'stop' ? advice : 'bye', code });
    } else if (action === 'refresh' && !this.#options.renewable) {
      this.#become({ name: 'closed', reason: advice, code });
    } else {
      if (action === 'refresh') this.#tokenReason = 'expired';
      this.#again(action === 'refresh' ? advice : reason || advice, bye?.retry_after_ms ?? 0);
    }
  }

  /** Plans the next attempt, not before `notBeforeMs`. */
  #again(reason, notBeforeMs) {
    const { reconnect } = this.#options;
    if (this.#attempt >= reconnect.attempts) {
      this.#become({ name: 'offline', reason: 'attempts_exhausted' });
      return;
    }
    const attempt = this.#attempt + 1;
    const waitMs =
      notBeforeMs + backoffMs(Math.max(1, this.#attempt), reconnect, this.#clock.random);
    this.#timer = this.#clock.setTimeout(() => void this.#connect(), waitMs);
    this.#become({ name: 'reconnecting', attempt, at: this.#clock.now() + waitMs, reason });
  }

  #become(state) {
    this.state = state;
    this.#events.state(state);
  }
}
