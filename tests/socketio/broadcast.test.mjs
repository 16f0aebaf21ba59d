// Broadcasts of the product's back end: delivered as they are, once, to everybody in the rooms.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { membersOf, withClients } from './client.mjs';
import { post } from './rest.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const apiKey = 'the-key-of-the-suite';
const withKey = { 'X-API-Key': apiKey };

let node;
before(async () => {
  node = await startNode({ ...insecure, REALTIME_API_KEY: apiKey });
});
after(() => node.stop());

let eventCount = 0;
const broadcast = (eventType, rooms, payload, more = {}) =>
  post(node, '/api/broadcast', { eventType, rooms, payload, eventId: `event-${(eventCount += 1)}`, ...more }, withKey);

test('a broadcast reaches every member under its own name, with its payload as it is', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = await membersOf(open, 'news', 'alice', 'bob');
    const payload = { id: 'm1', list: [1, 2.50, { deep: null }], text: 'ünï"\\ \u2028', meta: { eventId: 'e' } };
    const { status, body } = await broadcast('message:update', ['channel:news'], payload, { eventId: 'event-of-news' });
    assert.deepEqual([status, body.success, body.eventId, body.recipientCount], [200, true, 'event-of-news', 2]);
    for (const member of [alice, bob]) assert.deepEqual(await member.next('message:update'), payload);
  }));

for (const payload of [[1, 2], 'text', 7, null, true, {}]) {
  test(`a payload may be ${JSON.stringify(payload)}`, () =>
    withClients(node, websocket, async (open) => {
      const [alice] = await membersOf(open, 'any payload', 'alice');
      await broadcast('custom:event', ['channel:any payload'], payload);
      assert.deepEqual(await alice.next('custom:event'), payload);
    }));
}

describe('rooms', () => {
  test('may be named with and without their prefix', () =>
    withClients(node, websocket, async (open) => {
      const [alice] = await membersOf(open, 'spelled', 'alice');
      for (const room of ['spelled', 'channel:spelled']) {
        await broadcast('note', [room], { room });
        assert.deepEqual(await alice.next('note'), { room });
      }
    }));

  test('may be users: all devices of the user hear it, without joining', () =>
    withClients(node, websocket, async (open) => {
      const [phone, laptop, bob] = [await open('alice'), await open('alice'), await open('bob')];
      const { body } = await broadcast('notification', ['user:alice'], { title: 'hi' });
      assert.equal(body.recipientCount, 2);
      for (const device of [phone, laptop]) assert.deepEqual(await device.next('notification'), { title: 'hi' });
      await bob.settled();
      assert.equal(bob.unread('notification'), 0);
    }));

  test('that overlap bring the event once to each client and room', () =>
    withClients(node, websocket, async (open) => {
      const [alice] = await membersOf(open, 'overlap', 'alice');
      await broadcast('note', ['channel:overlap', 'overlap'], { n: 1 });
      await broadcast('note', ['channel:overlap'], { n: 2 });
      assert.deepEqual(await alice.next('note'), { n: 1 });
      assert.deepEqual(await alice.next('note'), { n: 2 });
    }));

  test('where nobody is count nobody', async () => {
    const { status, body } = await broadcast('note', ['channel:empty'], {});
    assert.deepEqual([status, body.recipientCount], [200, 0]);
  });
});

test('the same eventId again is answered alike and delivered once', () =>
  withClients(node, websocket, async (open) => {
    const [alice] = await membersOf(open, 'deduped', 'alice');
    const answers = [];
    for (let retry = 0; retry < 3; retry += 1) {
      answers.push((await broadcast('note', ['channel:deduped'], { n: 1 }, { eventId: 'the same' })).body);
    }
    assert.ok(answers.every(({ success, eventId }) => success && eventId === 'the same'));
    await broadcast('note', ['channel:deduped'], { n: 2 });
    assert.deepEqual([await alice.next('note'), await alice.next('note')], [{ n: 1 }, { n: 2 }]);
  }));

describe('for clients of the primary dialect', () => {
  const mirrors = [
    ['message:new', 'message'],
    ['reaction:add', 'reaction'],
    ['reaction:remove', 'reaction'],
    ['read_receipt:update', 'read'],
  ];
  for (const [eventType, mirror] of mirrors) {
    test(`${eventType} comes as ${mirror}, too`, () =>
      withClients(node, websocket, async (open) => {
        const [alice] = await membersOf(open, `mirrored ${eventType}`, 'alice');
        const payload = { id: 'm1', channelId: `mirrored ${eventType}`, content: 'x', emoji: '👍' };
        await broadcast(eventType, [`channel:mirrored ${eventType}`], payload);
        assert.deepEqual(await alice.next(eventType), payload);
        assert.equal((await alice.next(mirror)).id, 'm1');
      }));
  }
});

test('a batch is a list of broadcasts, in order', () =>
  withClients(node, websocket, async (open) => {
    const [alice] = await membersOf(open, 'batched', 'alice');
    const events = Array.from({ length: 20 }, (_, n) => ({ eventType: 'note', roomNames: ['channel:batched'], payload: { n }, timestamp: 1 }));
    const { status, body } = await post(node, '/api/broadcast/batch', { events }, withKey);
    assert.deepEqual([status, body.success], [200, true]);
    assert.deepEqual((await alice.nextOf('note', 20)).map(({ n }) => n), Array.from({ length: 20 }, (_, n) => n));
  }));

test('broadcasts keep one order with messages', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = await membersOf(open, 'in order', 'alice', 'bob');
    const order = [];
    bob.socket.on('note', ({ n }) => order.push(n));
    bob.socket.on('message', ({ content }) => order.push(Number(content)));
    for (let n = 0; n < 10; n += 1) {
      if (n % 2 === 0) await broadcast('note', ['channel:in order'], { n });
      else await alice.send('in order', `${n}`);
    }
    await bob.next('message', ({ content }) => content === '9');
    assert.deepEqual(order, Array.from({ length: 10 }, (_, n) => n));
  }));

describe('a broadcast is refused', () => {
  const good = { eventType: 'note', rooms: ['channel:c'], payload: {}, eventId: 'refused' };
  const flaws = [
    ...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener', 'connected', 'authenticated', 'auth:error', 'error'].map(
      (eventType) => [`under the reserved name ${eventType}`, { eventType }],
    ),
    ['without a name', { eventType: undefined }],
    ['with an empty name', { eventType: '' }],
    ['with a name that is no string', { eventType: 5 }],
    ['without rooms', { rooms: undefined }],
    ['with no room at all', { rooms: [] }],
    ['with more than 100 rooms', { rooms: Array.from({ length: 101 }, (_, n) => `channel:${n}`) }],
    ['with rooms that are no list', { rooms: 'channel:c' }],
    ['with a room that is no name', { rooms: [''] }],
    ['without a payload', { payload: undefined }],
  ];
  for (const [flaw, more] of flaws) {
    test(flaw, async () => {
      const { status, body } = await post(node, '/api/broadcast', { ...good, ...more }, withKey);
      assert.deepEqual([status, body.error.code], [400, 'VALIDATION_ERROR']);
    });
  }

  test('in a batch of more than 100', async () => {
    const events = Array.from({ length: 101 }, () => ({ eventType: 'note', roomNames: ['channel:c'], payload: {} }));
    assert.equal((await post(node, '/api/broadcast/batch', { events }, withKey)).status, 400);
  });

  test('in a batch as a whole, when one of it is bad', () =>
    withClients(node, websocket, async (open) => {
      const [alice] = await membersOf(open, 'all or nothing', 'alice');
      const event = { eventType: 'note', roomNames: ['channel:all or nothing'], payload: { n: 1 } };
      assert.equal((await post(node, '/api/broadcast/batch', { events: [event, { ...event, eventType: 'connect' }] }, withKey)).status, 400);
      await broadcast('note', ['channel:all or nothing'], { n: 2 });
      assert.deepEqual(await alice.next('note'), { n: 2 });
    }));
});
