/**
 * Channels: publish and subscribe, with what was missed.
 *
 * A subscription holds over any number of connections. Where the namespace recovers, the application
 * gets each publication once and in order, or a `reset` that says that something is gone; the place
 * in the channel decides, so that what comes twice, or before the answer that has it as well, is
 * passed over. Deliberately absent: keeping publications.
 *
 * @typedef {import('./messages.js').Calls} Calls
 * @typedef {{channel: string, offset?: number, from: string, key?: string, timestamp?: number,
 *   data: any}} Publication
 * @typedef {{offset: number, epoch: string}} Position
 */
import { Emitter } from './emitter.js';

export class Channels {
  #calls;
  #newId;
  #report;
  /** @type {Map<string, Channel>} */
  #channels = new Map();

  /**
   * @param {Calls} calls
   * @param {() => string} newId
   * @param {(error: unknown) => void} report what a listener threw, and what the server refused
   */
  constructor(calls, newId, report) {
    this.#calls = calls;
    this.#newId = newId;
    this.#report = report;
  }

  /** @param {string} name `NAMESPACE:NAME`, or a pattern such as `news:*` @returns {Channel} */
  channel(name) {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = new Channel(name, this.#calls, this.#newId, this.#report);
      this.#channels.set(name, channel);
    }
    return channel;
  }

  /** A session is open: what was subscribed is so again. */
  begin() {
    for (const channel of this.#channels.values()) channel.resume();
  }

  /** Something may have been lost. @param {{conversation?: string}} lag */
  lagged(lag) {
    if (lag.conversation === undefined) this.begin();
  }

  /** @param {string} type @param {any} payload @returns {boolean} it was about a channel */
  told(type, payload) {
    switch (type) {
      case 'publication':
        for (const channel of this.#heard(payload.channel)) channel.take(payload);
        return true;
      case 'channel_joined':
      case 'channel_left':
        for (const channel of this.#heard(payload.channel)) channel.moved(type, payload);
        return true;
      case 'subscribed':
        this.channel(payload.channel).given(payload);
        return true;
      case 'unsubscribed':
        this.#channels.get(payload.channel)?.taken();
        return true;
      default:
        return false;
    }
  }

  /** The channel itself, and the patterns that it is meant by. */
  #heard(name) {
    return [...this.#channels.values()].filter(
      (one) => one.name === name || (one.name.endsWith('*') && name.startsWith(one.name.slice(0, -1))),
    );
  }
}

export class Channel {
  #calls;
  #newId;
  #report;
  #emitter;
  #wanted = false;
  /** The answer that is awaited. @type {Promise<void> | null} */
  #asking = null;
  /** @type {Position | null} */
  #position = null;
  /** @readonly @type {string} */
  name;

  /** @param {string} name @param {Calls} calls @param {() => string} newId @param {(error: unknown) => void} report */
  constructor(name, calls, newId, report) {
    this.name = name;
    this.#calls = calls;
    this.#newId = newId;
    this.#report = report;
    this.#emitter = new Emitter(report);
  }

  /** The last publication that was delivered; null for a pattern, and before the first answer. */
  get position() {
    return this.#position;
  }

  /**
   * Listens to `publication`; to `reset`, after which something is missing before what comes; to
   * `joined` and `left` of users; to `unsubscribed` by a back end, or because the server refused.
   * @param {'publication' | 'reset' | 'joined' | 'left' | 'unsubscribed'} type
   * @param {(event: any) => void} listener
   * @param {{signal?: AbortSignal}} [options]
   */
  on(type, listener, options) {
    return this.#emitter.on(type, listener, options);
  }

  /**
   * Subscribes, now or as soon as there is a connection, until `unsubscribe`.
   * @param {{position?: Position, token?: string}} [options] `position` of an earlier run, to be told
   *   what was missed since; a `token` for this channel, where it takes one
   * @returns {Promise<void>} rejects where the server does not permit it
   */
  subscribe({ position, token } = {}) {
    this.#wanted = true;
    if (position && !this.#position) this.#position = position;
    return this.#ask(token);
  }

  /** @returns {Promise<void>} */
  async unsubscribe() {
    this.#wanted = false;
    this.#position = null;
    await this.#calls.ask('unsubscribe', { channel: this.name });
  }

  /**
   * Publishes. After a lost connection it is sent again under the same id: once, where the namespace
   * keeps a history.
   * @param {any} data any JSON
   * @param {{clientId?: string, key?: string}} [options] `key`: in a volatile namespace, what it is about
   * @returns {Promise<Partial<Position>>}
   */
  publish(data, { clientId = this.#newId(), key } = {}) {
    return this.#calls.ask('publish', { channel: this.name, data, client_id: clientId, ...(key && { key }) });
  }

  /**
   * What is kept, oldest first; without a range the newest.
   * @param {{after?: number, before?: number, limit?: number}} [range]
   * @returns {Promise<{publications: Publication[], offset: number, epoch: string, more: boolean}>}
   */
  history({ after, before, limit } = {}) {
    return this.#calls.ask('channel_history', { channel: this.name, after, before, limit });
  }

  /**
   * Who is subscribed, a page at a time.
   * @param {{after?: string, limit?: number}} [page]
   * @returns {Promise<{users: {user: string, connections: number}[], total: number, more: boolean}>}
   */
  presence({ after, limit } = {}) {
    return this.#calls.ask('channel_presence', { channel: this.name, after, limit });
  }

  /** Asks for what was missed, if it is subscribed. */
  resume() {
    if (this.#wanted) void this.#ask().catch(this.#report);
  }

  /** @param {Publication} publication */
  take(publication) {
    if (!this.#wanted) return;
    const { offset } = publication;
    if (offset === undefined || this.name.endsWith('*')) {
      this.#emitter.emit('publication', publication);
    } else if (this.#position && offset === this.#position.offset + 1) {
      this.#position = { ...this.#position, offset };
      this.#emitter.emit('publication', publication);
    } else if (this.#position && offset > this.#position.offset) {
      // Something was lost in between. While the answer is awaited, it has this one as well.
      this.resume();
    }
  }

  /** @param {string} type @param {{user: string}} payload */
  moved(type, { user }) {
    if (this.#wanted) this.#emitter.emit(type === 'channel_joined' ? 'joined' : 'left', { channel: this.name, user });
  }

  /** The server has subscribed this connection. */
  given(answer) {
    this.#wanted = true;
    if (this.#position) this.resume();
    else this.#answered(answer);
  }

  /** It has ended the subscription. */
  taken() {
    this.#wanted = false;
    this.#position = null;
    this.#emitter.emit('unsubscribed', { channel: this.name });
  }

  /** One question at a time: the one that is on its way is asked again after a cut. */
  #ask(token) {
    this.#asking ??= this.#question(token).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #question(token) {
    const recover = this.#position ?? undefined;
    try {
      const payload = { channel: this.name, ...(recover && { recover }), ...(token && { token }) };
      const answer = await this.#calls.ask('subscribe', payload);
      if (this.#wanted) this.#answered(answer);
    } catch (error) {
      if (!error.retry) this.taken();
      throw error;
    }
  }

  #answered({ offset, epoch, recovered, publications = [] }) {
    if (offset === undefined) return;
    const before = this.#position;
    if (recovered === true && before) {
      for (const one of publications) this.take({ channel: this.name, ...one });
    } else {
      this.#position = { offset, epoch };
      if (recovered === false) this.#emitter.emit('reset', { channel: this.name });
      for (const one of publications) this.#emitter.emit('publication', { channel: this.name, ...one });
    }
  }
}
