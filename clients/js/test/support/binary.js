/** The real server binary on a free port and a directory of its own, to be killed and started again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from './certificate.js';

const BINARY =
  process.env.HUBBUB_BIN ?? fileURLToPath(new URL('../../../../target/debug/hubbub', import.meta.url));

export class Server {
  #child = null;
  #directory;
  /** What it is configured with, besides its place. */
  #environment = {};
  port = 0;
  /** What it said, for when a test fails. */
  log = '';

  /**
   * With `tls`, under a certificate that nobody trusts.
   * @param {{ tls?: boolean, environment?: Record<string, string> }} [options]
   */
  static async start({ tls = false, environment = {} } = {}) {
    if (!existsSync(BINARY)) throw new Error(`No server at ${BINARY}: build it, or set HUBBUB_BIN.`);
    const server = new Server();
    server.#directory = await mkdtemp(path.join(tmpdir(), 'hubbub-browser-'));
    server.#environment = environment;
    if (tls) await server.renew();
    await server.resume();
    return server;
  }

  get url() {
    const scheme = this.#environment.HUBBUB_TLS_KEY_FILE ? 'https' : 'http';
    return `${scheme}://127.0.0.1:${this.port}`;
  }

  /** A new certificate in place of the old one, which the server takes up when it runs. */
  async renew() {
    const { certificate, key } = makeCertificate();
    const file = (name) => path.join(this.#directory, name);
    await writeFile(file('certificate.pem'), certificate);
    await writeFile(file('key.pem'), key, { mode: 0o600 });
    this.#environment = {
      ...this.#environment,
      HUBBUB_TLS_CERTIFICATE_FILE: file('certificate.pem'),
      HUBBUB_TLS_KEY_FILE: file('key.pem'),
    };
    this.#child?.kill('SIGHUP');
    return certificate;
  }

  /** Starts it on the data of before and, after the first time, on the port of before. */
  async resume() {
    const data = path.join(this.#directory, 'data');
    const args = ['serve', '--dev', '--bind', `127.0.0.1:${this.port}`, '--data-dir', data];
    this.#child = spawn(BINARY, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.#directory,
      env: { ...process.env, ...this.#environment },
    });
    this.#child.stderr.on('data', (text) => (this.log += text));
    const ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`The server ended with ${code}: ${this.log}`);
    });
    const ready = (async () => {
      for await (const line of createInterface({ input: this.#child.stdout })) {
        const port = /^listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port) return Number(port);
      }
      return ended;
    })();
    ended.catch(() => {});
    this.port = await Promise.race([ready, ended]);
    this.#child.stdout.resume();
  }

  /** `kill -9`. */
  async kill() {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  async end() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** @param {string} user */
  async token(user) {
    const response = await fetch(`${this.url}/dev/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user }),
    });
    return (await response.json()).token;
  }
}
