// Presence in a channel of more than five hundred members: batched, so that everybody's coming is not told to everybody.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { withClients } from './client.mjs';
import { metric } from './metrics.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const memberCount = 520;

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

test('changes in a big channel come as presence:bulk, at most 200 at once, and end with the latest of each user', () =>
  withClients(node, websocket, async (open) => {
    const members = [];
    for (let first = 0; first < memberCount; first += 40) {
      const batch = await Promise.all(Array.from({ length: 40 }, (_, n) => open(`member-${first + n}`)));
      members.push(...batch);
    }
    await Promise.all(members.map((member) => member.enter('crowd')));
    const observer = await open('observer');
    await observer.enter('crowd');

    // Two changes each: the first of them may be skipped, the second is what everybody must know in the end.
    await Promise.all(members.map((member) => member.ask('presence:update', { status: 'away' })));
    await Promise.all(members.map((member) => member.ask('presence:update', { status: 'dnd' })));
    const statuses = new Map();
    let bulkCount = 0;
    while (![...Array(memberCount).keys()].every((n) => statuses.get(`member-${n}`) === 'dnd')) {
      const { channelId, presences } = await observer.next('presence:bulk');
      bulkCount += 1;
      assert.equal(channelId, 'crowd');
      assert.ok(presences.length <= 200, `${presences.length} at once`);
      for (const { userId, status } of presences) statuses.set(userId, status);
    }
    assert.deepEqual(observer.drain('presence'), [], 'nothing is told one by one');
    assert.ok(bulkCount >= 3, 'more than 400 members do not fit into two');
    assert.ok((await metric(node, 'realtime_presence_coalesced_total')) >= memberCount);
  }));

test('a small channel is told one by one', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = [await open('alice'), await open('bob')];
    for (const client of [alice, bob]) await client.enter('small');
    await bob.ask('presence:update', { status: 'dnd' });
    assert.equal((await alice.next('presence', ({ status }) => status === 'dnd')).userId, 'bob');
    assert.equal(alice.unread('presence:bulk'), 0);
  }));
