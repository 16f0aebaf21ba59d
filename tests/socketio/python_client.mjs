// One stock client of Python, and the ways in which such clients come.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Inbox, waitMsMax } from './inbox.mjs';

/** The path of a file beside the Python client. */
export const inFolder = (path) => fileURLToPath(new URL(`python/${path}`, import.meta.url));
export const python = inFolder('.venv/bin/python');

/** The ways in which such clients come: the transports that they are given, by name. */
export const pythonTransports = {
  'polling only': ['polling'],
  'websocket only': ['websocket'],
  'polling with upgrade': ['polling', 'websocket'],
};

/** A python-socketio client in a process of its own. */
export class PythonClient extends Inbox {
  #process;
  #askCount = 0;

  constructor(node, transports) {
    assert.ok(existsSync(python), 'python/.venv is missing; run.sh makes it');
    super('the Python client');
    this.node = node;
    this.transports = transports;
    this.#process = spawn(python, [inFolder('client.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.exited = once(this.#process, 'exit');
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      const { event, args } = JSON.parse(line);
      this.keep(event, args);
    });
  }

  connect(auth) {
    this.#tell({ do: 'connect', url: this.node.url, auth, transports: this.transports });
  }

  emit(event, payload) {
    this.#tell({ do: 'emit', event, payload });
  }

  ask(event, payload) {
    const id = this.#askCount++;
    this.#tell({ do: 'ask', id, event, payload });
    return this.next(`ack ${id}`);
  }

  async close() {
    this.#process.stdin.end();
    const overdue = setTimeout(() => this.#process.kill('SIGKILL'), waitMsMax);
    await this.exited;
    clearTimeout(overdue);
  }

  #tell(command) {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`);
  }
}

/** Runs `scenario` with one such client and ends it afterwards. */
export async function withPython(node, transports, scenario) {
  const client = new PythonClient(node, transports);
  try {
    await scenario(client);
  } finally {
    await client.close();
  }
}
