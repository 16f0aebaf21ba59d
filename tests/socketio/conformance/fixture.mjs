// Starting and stopping the conformance application: the example binary that CONFORMANCE_BIN names, or the one that
// cargo has built in the usual place.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inTime } from '../inbox.mjs';

const startMsMax = 20_000;
const stopMsMax = 20_000;
const logTailCharsMax = 4_000;
const usualPlaces = ['release', 'debug'].map((profile) =>
  fileURLToPath(new URL(`../../../target/${profile}/examples/conformance`, import.meta.url)),
);

function binary() {
  const found = process.env.CONFORMANCE_BIN ?? usualPlaces.find(existsSync);
  assert.ok(found && existsSync(found), 'no binary: cargo build --release --example conformance, or set CONFORMANCE_BIN');
  return found;
}

/** A fixture that is stopped after the last test of the file, see {@link startFixture}. */
export async function fixtureForAllTests(profile, environment) {
  const fixture = await startFixture(profile, environment);
  after(() => fixture.stop());
  return fixture;
}

/** Starts the application in a profile, on a free port; `environment` comes on top. */
export async function startFixture(profile, environment = {}) {
  const { PATH, HOME, REALTIME_IO_DRIVER } = process.env;
  const child = spawn(binary(), {
    env: {
      PATH,
      HOME,
      ...(REALTIME_IO_DRIVER && { REALTIME_IO_DRIVER }),
      CONF_PROFILE: profile,
      CONF_PORT: '0',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const fixture = new Fixture(child);
  await fixture.untilReady();
  return fixture;
}

class Fixture {
  #child;
  #exited;
  #logTail = '';

  constructor(child) {
    this.#child = child;
    this.#exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
    child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#logTail = (this.#logTail + text).slice(-logTailCharsMax);
    });
  }

  async untilReady() {
    const lines = createInterface({ input: this.#child.stdout });
    const said = Promise.race([once(lines, 'line'), this.#exited.then(() => [])]);
    const [line = ''] = await inTime(said, 'the fixture to listen', startMsMax);
    const address = /^listening on (.*):(\d+) with (.*)$/.exec(line);
    assert.ok(address, `the fixture did not start; its last words:\n${this.#logTail}`);
    [, this.host, this.port, this.driver] = address;
    this.url = `http://${this.host}:${this.port}`;
  }

  /** Stops the application as an operator does, and holds it to a clean end. */
  async stop() {
    this.#child.kill('SIGTERM');
    const overdue = setTimeout(() => this.#child.kill('SIGKILL'), stopMsMax);
    const end = await this.#exited;
    clearTimeout(overdue);
    assert.deepEqual(end, { code: 0, signal: null }, `no clean end; the fixture's last words:\n${this.#logTail}`);
  }
}
