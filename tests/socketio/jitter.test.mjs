// A hundred stock clients on a bad network lose nothing, hear nothing twice and nothing out of order. jitter.mjs is the
// same with a thousand and for longer.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { jitterRun, verdict } from './jitter/coordinator.mjs';
import { insecure, startNode } from './server.mjs';

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

test('100 clients that lose their connection every four seconds miss nothing of what ten channels say', async (t) => {
  const counts = await jitterRun(node, { clients: 100, messages: 40, killEvery: 4, offline: 1, seed: 7 });
  t.diagnostic(JSON.stringify(counts));
  assert.deepEqual([counts.lost, counts.doubled, counts.reordered], [0, 0, 0]);
  assert.ok(counts.kills >= 100, 'each client was hit');
  assert.ok(counts.replay.count >= 50, 'most of them missed something that had to be replayed');
  assert.equal(counts.anew, 0, 'every session was taken up again');
});

test('the count of the run itself is right', () => {
  const counts = { kills: 1, recovered: 1, anew: 0 };
  const listener = (heard) => ({ heard, counts, replaysMs: [5] });
  const of = (heard) => {
    const { lost, doubled, reordered } = verdict([listener(heard)], { messages: 4, clients: 1 });
    return [lost, doubled, reordered];
  };
  assert.deepEqual(of([1, 2, 3, 4]), [0, 0, 0]);
  assert.deepEqual(of([1, 2, 4]), [1, 0, 0]);
  assert.deepEqual(of([1, 2, 2, 3, 4, 4]), [0, 2, 0]);
  assert.deepEqual(of([1, 3, 2, 4]), [0, 0, 1]);
  assert.deepEqual(of([]), [4, 0, 0]);
});
