// docs/SPEC.md names the test behind each promise: each of these tests must exist, and nothing that the node offers may be
// without a line.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { get } from './rest.mjs';
import { insecure, startNode } from './server.mjs';

const inProject = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const spec = inProject('docs/SPEC.md');
const titlePatterns = { mjs: /\b(?:test|describe)\(\s*(['"`])(.+?)\1,/gs, rs: /\bfn (())(\w+)\(\)/g };

/** The titles of all tests in a file. */
function titlesIn(path) {
  return [...inProject(path).matchAll(titlePatterns[path.split('.').at(-1)])].map((found) => found.at(-1));
}

/** Those of `names` that no line of the specification has in backticks. */
const unnamed = (names) => names.filter((name) => !spec.includes(`\`${name}\``));

test('every test that the table of promises names is there', () => {
  const named = [...spec.matchAll(/`([\w/.]+): ([^`]+)`/g)];
  assert.ok(named.length > 250, `${named.length} tests are named`);
  const missing = named.filter(([, file, name]) => {
    const path = file.includes('/') ? file : `tests/socketio/${file}.test.mjs`;
    return !titlesIn(path).some((title) => title.includes(name));
  });
  assert.deepEqual(missing.map(([whole]) => whole), []);
});

test('every event that clients may send is in the table', () => {
  const [, verbs] = inProject('protocol/src/chat/request.rs').match(/match event \{(.*?)_ => Err/s);
  const events = [...verbs.matchAll(/"([a-z:-]+)"(?=[^\n]*=>|\s*\n?\s*\|)/g)].map(([, event]) => event);
  assert.ok(events.length >= 30, `${events}`);
  assert.deepEqual(unnamed(events), []);
});

test('every variable and every metric is in the table', async () => {
  const node = await startNode(insecure);
  try {
    const text = (await get(node, '/metrics')).body;
    const metrics = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
    assert.ok(metrics.length >= 80, `${metrics.length} metrics`);
    assert.deepEqual(unnamed(metrics), []);
  } finally {
    await node.stop();
  }
  const { PATH } = process.env;
  const config = execFileSync(process.env.REALTIME_BIN, ['check-config'], { env: { PATH, REALTIME_AUTH_REQUIRED: 'false' }, encoding: 'utf8' });
  const variables = [...config.matchAll(/^ {2}((?:REALTIME|PLUGIN)_\w+)/gm)].map(([, name]) => name);
  assert.ok(variables.length >= 60, `${variables.length} variables`);
  assert.deepEqual(unnamed(variables), []);
});
