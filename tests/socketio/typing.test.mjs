// Who is typing: told to the others, and never longer than it is true.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { membersOf, withClients } from './client.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const type = (client, channelId, isTyping = true, more = {}) => client.ask('typing', { channelId, isTyping, ...more });

/** What `observer` heard of typing before the next message in the channel, which `speaker` sends: a third person's word. */
async function typingUntilWordOf(speaker, observer, channelId, event = 'typing') {
  await speaker.send(channelId, 'a word');
  await observer.next('message', ({ content }) => content === 'a word');
  return observer.drain(event).map(({ userId, isTyping }) => `${userId} ${isTyping}`);
}

let node; // where nobody stops typing by itself during a test
let brisk; // where everybody does
before(async () => {
  [node, brisk] = await Promise.all([
    startNode({ ...insecure, REALTIME_TYPING_TIMEOUT: '600000' }),
    startNode({ ...insecure, REALTIME_TYPING_TIMEOUT: '800', REALTIME_TYPING_DEBOUNCE: '100' }),
  ]);
});
after(() => Promise.all([node.stop(), brisk.stop()]));

describe('typing', () => {
  test('is told to the other members, begin and end', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob, carol] = await membersOf(open, 'both', 'alice', 'bob', 'carol');
      alice.socket.emit('typing', { channelId: 'both', isTyping: true });
      for (const observer of [bob, carol]) {
        const { userId, channelId, isTyping, timestamp } = await observer.next('typing');
        assert.deepEqual([userId, channelId, isTyping], ['alice', 'both', true]);
        assert.ok(Number.isInteger(timestamp));
      }
      alice.socket.emit('typing', { channelId: 'both', isTyping: false });
      for (const observer of [bob, carol]) assert.equal((await observer.next('typing')).isTyping, false);
    }));

  test('is not told to who types', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'not back', 'alice', 'bob');
      await type(alice, 'not back');
      await bob.next('typing');
      assert.deepEqual(await typingUntilWordOf(bob, alice, 'not back'), []);
    }));

  test('is told to the other devices of who types', () =>
    withClients(node, websocket, async (open) => {
      const [phone, bob] = await membersOf(open, 'devices', 'alice', 'bob');
      const laptop = await open('alice');
      await laptop.enter('devices');
      await type(phone, 'devices');
      await bob.next('typing');
      assert.equal((await laptop.next('typing')).userId, 'alice');
    }));

  test('that is repeated at once is told once', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob, carol] = await membersOf(open, 'repeated', 'alice', 'bob', 'carol');
      for (let repeat = 0; repeat < 5; repeat += 1) alice.socket.emit('typing', { channelId: 'repeated', isTyping: true });
      await alice.settled();
      assert.deepEqual(await typingUntilWordOf(carol, bob, 'repeated'), ['alice true']);
    }));

  test('that never began does not end', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob, carol] = await membersOf(open, 'no end', 'alice', 'bob', 'carol');
      await type(alice, 'no end', false);
      assert.deepEqual(await typingUntilWordOf(carol, bob, 'no end'), []);
    }));

  test('in a thread is apart from typing in its channel', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'threads', 'alice', 'bob');
      await type(alice, 'threads', true, { threadId: 't1' });
      assert.equal((await bob.next('typing')).threadId, 't1');
      await type(alice, 'threads');
      assert.equal((await bob.next('typing')).threadId, undefined);
      await type(alice, 'threads', false, { threadId: 't1' });
      const end = await bob.next('typing');
      assert.deepEqual([end.threadId, end.isTyping], ['t1', false]);
    }));

  test('in a channel that was not joined is silence for everybody', () =>
    withClients(node, websocket, async (open) => {
      const [bob] = await membersOf(open, 'closed door', 'bob');
      const alice = await open('alice');
      alice.socket.emit('typing', { channelId: 'closed door', isTyping: true });
      await alice.enter('closed door');
      assert.deepEqual(await typingUntilWordOf(alice, bob, 'closed door'), []);
      assert.equal(alice.unread('error'), 0);
    }));

  for (const [flaw, payload] of [
    ['without isTyping', { channelId: 'flawed' }],
    ['with isTyping that is no boolean', { channelId: 'flawed', isTyping: 'yes' }],
    ['without a channel', { isTyping: true }],
    ['without an object', undefined],
  ]) {
    test(`${flaw} is refused`, () =>
      withClients(node, websocket, async (open) => {
        const [alice] = await membersOf(open, 'flawed', 'alice');
        assert.equal((await alice.ask('typing', payload)).error?.code, 'VALIDATION_ERROR');
      }));
  }
});

describe('typing ends', () => {
  const ends = [
    ['with the message', (alice, channelId) => alice.send(channelId, 'done')],
    ['when its writer leaves', (alice, channelId) => alice.ask('channel:leave', { channelId })],
    ['when its writer disconnects', (alice) => alice.close()],
    ['when its writer loses the connection', (alice) => alice.cut()],
  ];
  for (const [how, end] of ends) {
    test(`${how}, and is told once`, () =>
      withClients(node, websocket, async (open) => {
        const channelId = `ends ${how}`;
        const [alice, bob, carol] = await membersOf(open, channelId, 'alice', 'bob', 'carol');
        await type(alice, channelId);
        assert.equal((await bob.next('typing')).isTyping, true);
        await end(alice, channelId);
        assert.equal((await bob.next('typing')).isTyping, false);
        assert.deepEqual(await typingUntilWordOf(carol, bob, channelId), []);
      }));
  }

  test('by itself when nothing more comes', () =>
    withClients(brisk, websocket, async (open) => {
      const [alice, bob, carol] = await membersOf(open, 'forgotten', 'alice', 'bob', 'carol');
      await type(alice, 'forgotten');
      const [begin, end] = await bob.nextOf('typing', 2);
      assert.deepEqual([begin.isTyping, end.isTyping], [true, false]);
      assert.ok(end.timestamp - begin.timestamp >= 799, 'not before its time, give or take what two clocks cut off');
      assert.deepEqual(await typingUntilWordOf(carol, bob, 'forgotten'), []);
    }));

  test('not while it goes on, which is told again once a second', () =>
    withClients(brisk, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'going on', 'alice', 'bob');
      const told = [];
      while (told.length < 3) {
        await type(alice, 'going on');
        told.push(...bob.drain('typing'));
      }
      assert.deepEqual(told.map(({ isTyping }) => isTyping), [true, true, true]);
      // The node counts the second on its monotonic clock, the timestamps are of the other: whole milliseconds, each cut off.
      const gapsMs = told.slice(1).map(({ timestamp }, n) => timestamp - told[n].timestamp);
      assert.ok(gapsMs.every((gapMs) => gapMs >= 999), `at most once a second, not after ${gapsMs} ms`);
    }));
});

describe('for a legacy client', () => {
  const enter = async (open, userId, roomName) => {
    const client = await open(userId);
    const ack = await client.ask('room:join', { roomName });
    assert.equal(ack.success, true);
    return client;
  };

  for (const roomName of ['bare', 'channel:prefixed']) {
    test(`in ${roomName} typing is the list of all who type, under the bare name`, () =>
      withClients(node, websocket, async (open) => {
        const alice = await enter(open, 'alice', roomName);
        const bob = await enter(open, 'bob', roomName);
        const carol = await enter(open, 'carol', roomName);
        const bare = roomName.replace('channel:', '');
        const typistsAt = async (observer) => {
          const { roomName: told, roomType, users } = await observer.next('typing:event');
          assert.deepEqual([told, roomType], [bare, 'channel']);
          for (const { startedAt } of users) assert.equal(new Date(startedAt).toISOString(), startedAt);
          return users.map(({ userId }) => userId).sort();
        };
        alice.socket.emit('typing:start', { roomName: bare, roomType: 'channel' });
        assert.deepEqual(await typistsAt(carol), ['alice']);
        bob.socket.emit('typing:start', { roomName: bare, roomType: 'channel' });
        assert.deepEqual(await typistsAt(carol), ['alice', 'bob']);
        alice.socket.emit('typing:stop', { roomName: bare, roomType: 'channel' });
        assert.deepEqual(await typistsAt(carol), ['bob']);
        bob.socket.emit('typing:stop', { roomName: bare, roomType: 'channel' });
        assert.deepEqual(await typistsAt(carol), []);
      }));
  }

  test('the type of the room and the thread are echoed', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = [await enter(open, 'alice', 'echoed'), await enter(open, 'bob', 'echoed')];
      alice.socket.emit('typing:start', { roomName: 'echoed', roomType: 'thread', threadId: 't7' });
      const { roomType, threadId, users } = await bob.next('typing:event');
      assert.deepEqual([roomType, threadId, users.map(({ userId }) => userId)], ['thread', 't7', ['alice']]);
    }));

  test('startedAt moves on while somebody goes on typing, and the list empties when time is up', () =>
    withClients(brisk, websocket, async (open) => {
      const [alice, bob] = [await enter(open, 'alice', 'moves on'), await enter(open, 'bob', 'moves on')];
      const told = [];
      while (told.length < 2) {
        await alice.ask('typing:start', { roomName: 'moves on', roomType: 'channel' });
        told.push(...bob.drain('typing:event'));
      }
      const [first, second] = told.map(({ users }) => Date.parse(users[0].startedAt));
      assert.ok(second > first);
      assert.deepEqual((await bob.next('typing:event', ({ users }) => users.length === 0)).users, []);
    }));
});

test('without typing indicators, nothing is told', async () => {
  const silent = await startNode({ ...insecure, REALTIME_ENABLE_TYPING: 'false' });
  try {
    await withClients(silent, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'silent', 'alice', 'bob');
      await type(alice, 'silent');
      assert.deepEqual(await typingUntilWordOf(alice, bob, 'silent'), []);
    });
  } finally {
    await silent.stop();
  }
});
