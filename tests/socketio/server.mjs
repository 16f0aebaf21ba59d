// Starting and stopping one node: the binary that REALTIME_BIN names or, when SUITE_TARGET=reference says so, the oracle.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { secret } from './tokens.mjs';

const startMsMax = 20_000;
const stopMsMax = 20_000;
const logTailCharsMax = 4_000;
const running = new Set();
// A test file that the runner cuts off must not leave its nodes behind.
process.once('SIGTERM', () => process.exit(1));
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

const logFolder = fileURLToPath(new URL('../.cache/socketio-logs/', import.meta.url));
// Below the range that the kernel gives to outgoing connections, and apart for test files that run side by side.
const portMin = 10_000 + (process.pid % 1_000) * 20;
let portOffset = 0;

export const isReference = process.env.SUITE_TARGET === 'reference';

/** Environment of a node that takes any name for an identity, as on a developer's machine. */
export const insecure = { REALTIME_AUTH_REQUIRED: 'false' };

/** Starts a node with `environment` on top of the suite's own and waits until it says that it is ready. */
export async function startNode(environment = {}, port = undefined) {
  port ??= await freePort();
  const [command, args] = target();
  const child = spawn(command, args, { env: nodeEnvironment(port, environment), stdio: ['ignore', 'pipe', 'pipe'] });
  const node = new ChatNode(child, port);
  await node.untilReady();
  return node;
}

function target() {
  const binary = process.env.REALTIME_BIN;
  if (isReference) {
    assert.equal(binary, undefined, 'REALTIME_BIN and SUITE_TARGET=reference exclude each other');
    return [process.execPath, [fileURLToPath(new URL('reference/server.mjs', import.meta.url))]];
  }
  assert.ok(binary, 'REALTIME_BIN must name the binary under test, or SUITE_TARGET=reference ask for the oracle');
  return [binary, []];
}

function nodeEnvironment(port, environment) {
  const { PATH, HOME, REALTIME_IO_DRIVER } = process.env;
  return {
    PATH,
    HOME,
    ...(REALTIME_IO_DRIVER && { REALTIME_IO_DRIVER }),
    REALTIME_HOST: '127.0.0.1',
    REALTIME_PORT: String(port),
    REALTIME_CORES: '4',
    REALTIME_JWT_SECRET: secret,
    REALTIME_JWT_ALGORITHM: 'HS256',
    REALTIME_RATE_LIMIT_ENABLED: 'false',
    // Suites that stop a node want all of its clients to come back at once.
    REALTIME_DRAIN_SECONDS: '0',
    ...environment,
  };
}

async function freePort() {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const port = portMin + (portOffset++ % 20);
    const probe = createServer();
    const isFree = await new Promise((resolve) => {
      probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
  throw new Error(`no free port from ${portMin} on`);
}

/** A running node; its output goes to a log file, and the end of it into the message of a failure. */
class ChatNode {
  #child;
  #exited;
  #logTail = '';

  constructor(child, port) {
    this.#child = child;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    running.add(child);
    child.once('exit', () => running.delete(child));
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
      child.once('error', (error) => resolve({ code: error.message, signal: null }));
    });
    mkdirSync(logFolder, { recursive: true });
    const log = createWriteStream(`${logFolder}${basename(process.argv[1] ?? 'node')}-${port}.log`, { flags: 'w' });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        log.write(text);
        this.#logTail = (this.#logTail + text).slice(-logTailCharsMax);
      });
    }
  }

  get pid() {
    return this.#child.pid;
  }

  async untilReady() {
    const deadline = Date.now() + startMsMax;
    while (this.#isRunning && Date.now() < deadline) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.status === 200) return;
      await sleep(20);
    }
    const state = this.#isRunning ? 'is not ready in time' : 'ended at its start';
    this.#child.kill('SIGKILL');
    throw new Error(`the node ${state}; its last words:\n${this.#logTail}`);
  }

  /** Asks the node to stop, as an operator does, and holds it to a clean end. */
  async stop() {
    this.#child.kill('SIGTERM');
    const overdue = setTimeout(() => this.#child.kill('SIGKILL'), stopMsMax);
    const end = await this.#exited;
    clearTimeout(overdue);
    assert.deepEqual(end, { code: 0, signal: null }, `the node did not stop cleanly; its last words:\n${this.#logTail}`);
  }

  get #isRunning() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }
}
