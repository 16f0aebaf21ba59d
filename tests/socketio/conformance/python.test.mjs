// python-socketio against the namespace /interop: interop.py does it, this file runs it over every transport.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fixtureForAllTests } from './fixture.mjs';

const python = fileURLToPath(new URL('../python/.venv/bin/python', import.meta.url));
const script = fileURLToPath(new URL('interop.py', import.meta.url));
const fixture = await fixtureForAllTests('interop');

for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
  test(`a stock client of Python over ${transports.join(' with upgrade to ')}`, async () => {
    assert.ok(existsSync(python), 'python/.venv is missing; ../run.sh makes it');
    const child = spawn(python, [script, fixture.url, ...transports], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(code, 0, said);
  });
}
