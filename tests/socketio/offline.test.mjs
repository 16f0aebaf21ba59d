// What was said while a user was away is delivered once, when the user is back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { membersOf, withClients } from './client.mjs';
import { until } from './inbox.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const numbers = (count, first = 0) => Array.from({ length: count }, (_, n) => `${first + n}`);
// Sessions end with their connection here, so that it is the queue that brings back what was missed.
const withoutRecovery = { ...insecure, REALTIME_RECOVERY: 'off', REALTIME_PRESENCE_TIMEOUT: '0' };

let node;
let small; // remembers five messages of a channel
before(async () => {
  [node, small] = await Promise.all([startNode(withoutRecovery), startNode({ ...withoutRecovery, REALTIME_HISTORY_SIZE: '5' })]);
});
after(() => Promise.all([node.stop(), small.stop()]));

/** Waits until the channel has so many members, as `observer` is told by joining again. */
async function memberCountIs(observer, channelId, count) {
  await until(`${channelId} has ${count} members`, async () => (await observer.join(channelId)).data.memberCount === count);
}

test('messages of an absence come as ordinary events after the join, once', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = await membersOf(open, 'absence', 'alice', 'bob');
    await bob.send('absence', 'heard');
    await alice.next('message');
    alice.close();
    await memberCountIs(bob, 'absence', 1);
    for (const content of numbers(5)) await bob.send('absence', content);

    const back = await open('alice');
    const order = [];
    back.socket.onAny((event) => order.push(event));
    const { data } = await back.join('absence');
    assert.deepEqual(data.missed, { count: 5, lost: 0 });
    assert.deepEqual((await back.next('channel:joined')).missed, { count: 5, lost: 0 });
    const missed = await back.nextOf('message', 5);
    assert.deepEqual(missed.map(({ content }) => content), numbers(5));
    assert.ok(order.indexOf('channel:joined') < order.indexOf('message'), `${order}`);

    assert.equal((await back.join('absence')).data.missed, undefined, 'it is told once');
    assert.deepEqual(await back.heardUntilLastWordOf(bob, 'absence'), []);
  }));

test('what fell out of the memory is announced', () =>
  withClients(small, websocket, async (open) => {
    const [alice, bob] = await membersOf(open, 'long absence', 'alice', 'bob');
    await bob.send('long absence', 'heard');
    await alice.next('message');
    alice.close();
    await memberCountIs(bob, 'long absence', 1);
    for (const content of numbers(12)) await bob.send('long absence', content);
    const back = await open('alice');
    assert.deepEqual((await back.join('long absence')).data.missed, { count: 5, lost: 7 });
    assert.deepEqual((await back.nextOf('message', 5)).map(({ content }) => content), numbers(5, 7));
  }));

test('nothing is missed while another device was there', () =>
  withClients(node, websocket, async (open) => {
    const [phone, bob] = await membersOf(open, 'two devices', 'alice', 'bob');
    const laptop = await open('alice');
    await laptop.enter('two devices');
    phone.close();
    await bob.send('two devices', 'x');
    await laptop.next('message');
    const back = await open('alice');
    assert.equal((await back.join('two devices')).data.missed, undefined);
    assert.deepEqual(await back.heardUntilLastWordOf(bob, 'two devices'), []);
  }));

test('who left a channel misses nothing there', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = await membersOf(open, 'left', 'alice', 'bob');
    await alice.ask('channel:leave', { channelId: 'left' });
    alice.close();
    await bob.send('left', 'x');
    const back = await open('alice');
    assert.equal((await back.join('left')).data.missed, undefined);
    assert.deepEqual(await back.heardUntilLastWordOf(bob, 'left'), []);
  }));

test('a join with a since of its own gets what it asks for, and not the queue as well', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = await membersOf(open, 'own since', 'alice', 'bob');
    const { epoch, offset } = (await alice.join('own since')).data;
    alice.close();
    await memberCountIs(bob, 'own since', 1);
    await bob.send('own since', 'x');
    const back = await open('alice');
    const { data } = await back.join('own since', { since: { epoch, offset } });
    assert.deepEqual([data.recovered, data.messages.length, data.missed], [true, 1, undefined]);
    assert.deepEqual(await back.heardUntilLastWordOf(bob, 'own since'), []);
  }));

test('each channel has its own queue, and replies and messages of one do not mix into another', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = await membersOf(open, 'queue 0', 'alice', 'bob');
    for (const channelId of ['queue 1', 'queue 2']) {
      await alice.enter(channelId);
      await bob.enter(channelId);
    }
    alice.close();
    await memberCountIs(bob, 'queue 2', 1);
    for (const n of [0, 1, 2]) for (const content of numbers(3)) await bob.send(`queue ${n}`, content);
    const back = await open('alice');
    for (const n of [2, 0, 1]) {
      assert.deepEqual((await back.join(`queue ${n}`)).data.missed, { count: 3, lost: 0 });
      const missed = await back.nextOf('message', 3);
      assert.deepEqual(missed.map(({ channelId, content }) => `${channelId}: ${content}`), numbers(3).map((content) => `queue ${n}: ${content}`));
    }
  }));

test('reactions are missed and delivered, too', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = await membersOf(open, 'missed reaction', 'alice', 'bob');
    const { messageId } = await bob.send('missed reaction', 'x');
    await alice.next('message');
    alice.close();
    await memberCountIs(bob, 'missed reaction', 1);
    await bob.ask('reaction', { channelId: 'missed reaction', messageId, emoji: '👍', action: 'add' });
    const back = await open('alice');
    await back.join('missed reaction');
    assert.equal((await back.next('reaction')).messageId, messageId);
  }));

test('nobody is waited for longer than the time that is set', async () => {
  const brief = await startNode({ ...withoutRecovery, REALTIME_OFFLINE_TTL: '1' });
  try {
    await withClients(brief, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'given up', 'alice', 'bob');
      alice.close();
      await memberCountIs(bob, 'given up', 1);
      await bob.send('given up', 'x');
      // The only thing to wait for is time itself, as the node sees it.
      const { serverTime: goneAt } = await bob.ask('ping', {});
      await until('the time is over', async () => (await bob.ask('ping', {})).serverTime > goneAt + 2_500);
      const back = await open('alice');
      assert.equal((await back.join('given up')).data.missed, undefined);
      assert.deepEqual(await back.heardUntilLastWordOf(bob, 'given up'), []);
    });
  } finally {
    await brief.stop();
  }
});
