// The product's clients speak dialects of their own; each hears its own, in the same channel, in the same order.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fresh, withClients } from './client.mjs';
import { metric } from './metrics.mjs';
import { insecure, startNode } from './server.mjs';
import { tokenOf } from './tokens.mjs';

const websocketFirst = { transports: ['websocket', 'polling'] };
const isIso = (text) => new Date(text).toISOString() === text;

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

/** Joins as the product's room service does, and reads what it is told. */
async function enterRoom(client, roomName) {
  const ack = await client.ask('room:join', { roomName });
  assert.equal(ack.success, true, roomName);
  const joined = await client.next('room:joined');
  assert.deepEqual([joined.roomName, joined.success], [roomName, true]);
  return ack.data;
}

describe('the services of the product (legacy names)', () => {
  let guarded;
  before(async () => {
    guarded = await startNode({ REALTIME_RATE_LIMIT_ENABLED: 'true' });
  });
  after(() => guarded.stop());
  const as = (userId) => ({ ...websocketFirst, auth: { token: tokenOf(userId, { displayName: userId.toUpperCase() }) } });

  test('connect, are greeted, and measure the latency by an acknowledged ping', () =>
    withClients(guarded, as('alice'), async (open) => {
      const alice = await open();
      assert.deepEqual([alice.greeting.protocolVersion, alice.greeting.socketId], ['1.0', alice.socket.id]);
      assert.equal(alice.identity.userId, 'alice');
      assert.ok(alice.identity.sessionId && Array.isArray(alice.identity.rooms));
      const timestamp = Date.now();
      const pong = await alice.ask('ping', { timestamp });
      assert.equal(pong.timestamp, timestamp, 'not in the envelope');
      assert.equal(pong.success, undefined);
    }));

  for (const roomName of ['lobby-bare', 'channel:lobby-prefixed']) {
    test(`join ${roomName} and hear its spelling everywhere but in typing:event`, () =>
      withClients(guarded, {}, async (open) => {
        const [alice, bob] = [await open(undefined, as('alice')), await open(undefined, as('bob'))];
        await enterRoom(alice, roomName);
        const data = await enterRoom(bob, roomName);
        const bare = roomName.replace('channel:', '');
        assert.deepEqual([data.roomName, data.type, data.memberCount], [roomName, 'channel', 2]);
        assert.deepEqual(data.members.map(({ userId }) => userId).sort(), ['alice', 'bob']);
        assert.ok(data.members.every(({ joinedAt }) => isIso(joinedAt)));

        const arrival = await alice.next('user:joined');
        assert.deepEqual([arrival.roomName, arrival.userId, arrival.userName], [roomName, 'bob', 'BOB']);
        assert.ok(isIso(arrival.timestamp));

        const sent = await bob.ask('message:send', { roomName, content: 'hi', threadId: 't1', replyTo: 'm0', metadata: { a: 1 } });
        assert.equal(typeof sent.data.messageId, 'string');
        for (const member of [alice, bob]) {
          const message = await member.next('message:new');
          const { messageId, id, userId, userName, content, threadId, replyTo, metadata, user } = message;
          assert.deepEqual([message.roomName, message.channelId, messageId, id], [roomName, bare, sent.data.messageId, sent.data.messageId]);
          assert.deepEqual([userId, userName, content, threadId, replyTo, metadata], ['bob', 'BOB', 'hi', 't1', 'm0', { a: 1 }]);
          assert.equal(user.id, 'bob');
          assert.ok(isIso(message.timestamp) && isIso(message.createdAt));
          assert.equal(member.unread('message'), 0);
        }

        bob.socket.emit('typing:start', { roomName: bare, roomType: 'channel' });
        assert.equal((await alice.next('typing:event')).roomName, bare);

        bob.socket.emit('room:leave', { roomName });
        assert.equal((await bob.next('room:left')).roomName, roomName);
        const departure = await alice.next('user:left');
        assert.deepEqual([departure.roomName, departure.userId], [roomName, 'bob']);
      }));
  }

  test('set and hear presence with busy, the custom status as an object', () =>
    withClients(guarded, {}, async (open) => {
      const [alice, bob] = [await open(undefined, as('alice')), await open(undefined, as('bob'))];
      for (const client of [alice, bob]) await enterRoom(client, 'presence-of-services');
      alice.socket.emit('presence:update', { status: 'busy', customStatus: { text: 'meeting', emoji: '📅' } });
      const presence = await bob.next('presence:changed', ({ status }) => status === 'busy');
      assert.deepEqual([presence.userId, presence.customStatus, presence.customEmoji], ['alice', { text: 'meeting', emoji: '📅' }, '📅']);
      assert.ok(isIso(presence.lastSeen));
      assert.equal((await bob.ask('presence:get', { userIds: ['alice'] })).data.presences[0].status, 'busy');
      await bob.ask('presence:subscribe', { userIds: ['alice'] });
      assert.equal((await bob.next('presence:bulk')).presences[0].status, 'busy');
    }));

  test('catch up by sync:messages, and retry without a second message', () =>
    withClients(guarded, {}, async (open) => {
      const [alice, bob] = [await open(undefined, as('alice')), await open(undefined, as('bob'))];
      for (const client of [alice, bob]) await enterRoom(client, 'channel:synced');
      const retry = { channelId: 'synced', content: 'hi', type: 'text', clientMessageId: 'queue-1' };
      const acks = [];
      for (let attempt = 0; attempt < 3; attempt += 1) acks.push(await alice.ask('message:send', retry));
      assert.equal(new Set(acks.map(({ data }) => data.messageId)).size, 1);
      const { data } = await bob.ask('sync:messages', { channelId: 'synced', since: null, limit: 50 });
      assert.deepEqual(data.messages.map(({ content }) => content), ['hi']);
    }));

  test('are told why a room stays closed, in the acknowledgement and as room:joined', () =>
    withClients(guarded, as('alice'), async (open) => {
      const alice = await open();
      const ack = await alice.ask('room:join', { roomName: 'channel:private-board' });
      assert.deepEqual([ack.success, ack.error.code], [false, 'ROOM_ACCESS_DENIED']);
      const joined = await alice.next('room:joined');
      assert.deepEqual([joined.roomName, joined.success, typeof joined.error], ['channel:private-board', false, 'string']);
    }));

  test('read reactions under their names', () =>
    withClients(guarded, {}, async (open) => {
      const [alice, bob] = [await open(undefined, as('alice')), await open(undefined, as('bob'))];
      for (const client of [alice, bob]) await enterRoom(client, 'reactions-of-services');
      for (const event of ['reaction:add', 'reaction:remove']) {
        await alice.ask(event, { channelId: 'reactions-of-services', messageId: 'm1', emoji: '👍' });
        const { messageId, channelId, emoji, userId } = await bob.next(event);
        assert.deepEqual([messageId, channelId, emoji, userId], ['m1', 'reactions-of-services', '👍', 'alice']);
      }
      await alice.ask('message:read-ack', { channelId: 'reactions-of-services', messageId: 'm1' });
      const { userId, lastReadMessageId } = await bob.next('read_receipt:update');
      assert.deepEqual([userId, lastReadMessageId], ['alice', 'm1']);
    }));
});

describe('a session in both spellings of one channel', () => {
  test('hears each message once, and stays until it has left both', () =>
    withClients(node, websocketFirst, async (open) => {
      const [alice, bob] = [await open('alice'), await open('bob')];
      for (const roomName of ['twice', 'channel:twice']) await enterRoom(alice, roomName);
      await enterRoom(bob, 'twice');
      await bob.ask('message:send', { roomName: 'twice', content: 'one' });
      assert.equal((await alice.next('message:new')).content, 'one');
      await alice.ask('room:leave', { roomName: 'twice' });
      await bob.ask('message:send', { roomName: 'twice', content: 'two' });
      const second = await alice.next('message:new');
      assert.deepEqual([second.content, second.roomName], ['two', 'channel:twice']);
      await alice.ask('room:leave', { roomName: 'channel:twice' });
      await bob.ask('message:send', { roomName: 'twice', content: 'three' });
      assert.equal((await alice.ask('message:send', { roomName: 'twice', content: 'x' })).error.code, 'NOT_JOINED');
      assert.equal(alice.unread('message:new'), 0);
    }));
});

describe('the hybrid names, where the node is told to speak both', () => {
  let both;
  before(async () => {
    both = await startNode({ ...insecure, REALTIME_DIALECT: 'both' });
  });
  after(() => both.stop());

  const pair = async (open, channelId) => {
    const [alice, bob] = [await open(fresh('alice')), await open(fresh('bob'))];
    for (const client of [alice, bob]) {
      client.socket.emit('channel:join', { channelId });
      await client.next('channel:joined');
    }
    return [alice, bob];
  };

  test('messages come as message and message:new, and the sender is told by message:sent', () =>
    withClients(both, websocketFirst, async (open) => {
      const [alice, bob] = await pair(open, 'hybrid');
      alice.socket.emit('message:send', { channelId: 'hybrid', content: 'hi', clientMessageId: 'c1', tempId: 'c1' });
      const message = await bob.next('message');
      const mirrored = await bob.next('message:new');
      assert.deepEqual([mirrored.id, mirrored.channelId, mirrored.userId, mirrored.content, mirrored.tempId], [message.id, 'hybrid', alice.userId, 'hi', 'c1']);
      assert.ok(isIso(mirrored.createdAt));
      const sent = await alice.next('message:sent');
      assert.deepEqual([sent.clientMessageId, sent.messageId], ['c1', message.id]);
      assert.ok(isIso(sent.sentAt));
    }));

  test('a retry under message:new is the same message', () =>
    withClients(both, websocketFirst, async (open) => {
      const [alice, bob] = await pair(open, 'hybrid retry');
      alice.socket.emit('message:send', { channelId: 'hybrid retry', content: 'hi', clientMessageId: 'c2' });
      const first = await alice.next('message:sent');
      alice.socket.emit('message:new', { channelId: 'hybrid retry', content: 'hi', clientMessageId: 'c2' });
      assert.equal((await alice.next('message:sent')).messageId, first.messageId);
      assert.deepEqual(await bob.heardUntilLastWordOf(alice, 'hybrid retry'), ['hi']);
    }));

  test('a refused message is told by message:failed', () =>
    withClients(both, websocketFirst, async (open) => {
      const alice = await open('alice');
      alice.socket.emit('message:send', { channelId: 'not joined', content: 'hi', clientMessageId: 'c3' });
      const failed = await alice.next('message:failed');
      assert.deepEqual([failed.clientMessageId, failed.errorCode, failed.retryable], ['c3', 'NOT_JOINED', false]);
      assert.equal(typeof failed.errorMessage, 'string');
    }));

  for (const [how, start, stop] of [
    ['typing:start and typing:stop', ['typing:start', {}], ['typing:stop', {}]],
    ['message:typing', ['message:typing', { isTyping: true }], ['message:typing', { isTyping: false }]],
  ]) {
    test(`typing by ${how} is told under all names`, () =>
      withClients(both, websocketFirst, async (open) => {
        const channelId = `hybrid ${how}`;
        const [alice, bob] = await pair(open, channelId);
        alice.socket.emit(start[0], { channelId, ...start[1] });
        assert.equal((await bob.next('typing')).isTyping, true);
        const begun = await bob.next('typing:start');
        assert.deepEqual([begun.userId, begun.channelId], [alice.userId, channelId]);
        assert.ok(isIso(begun.startedAt));
        assert.deepEqual(await bob.next('message:typing').then(({ userId, isTyping }) => [userId, isTyping]), [alice.userId, true]);
        alice.socket.emit(stop[0], { channelId, ...stop[1] });
        assert.equal((await bob.next('typing')).isTyping, false);
        assert.ok(isIso((await bob.next('typing:stop')).stoppedAt));
        assert.equal((await bob.next('message:typing')).isTyping, false);
      }));
  }

  for (const event of ['presence:update', 'user:status']) {
    test(`presence by ${event} is told as presence and presence:update, the custom status as texts`, () =>
      withClients(both, websocketFirst, async (open) => {
        const [alice, bob] = await pair(open, `hybrid ${event}`);
        alice.socket.emit(event, { status: 'dnd', customStatus: 'meeting', customEmoji: '📅' });
        assert.equal((await bob.next('presence', ({ status }) => status === 'dnd')).userId, alice.userId);
        const told = await bob.next('presence:update', ({ status }) => status === 'dnd');
        assert.deepEqual([told.userId, told.customStatus, told.customEmoji], [alice.userId, 'meeting', '📅']);
      }));
  }

  test('reading is told as read, read:update and message:read', () =>
    withClients(both, websocketFirst, async (open) => {
      const [alice, bob] = await pair(open, 'hybrid reading');
      alice.socket.emit('read:update', { channelId: 'hybrid reading', messageId: 'm1' });
      for (const event of ['read', 'read:update', 'message:read']) {
        const { userId, messageId } = await bob.next(event);
        assert.deepEqual([userId, messageId], [alice.userId, 'm1'], event);
      }
    }));
});

describe('a client that names its dialect', () => {
  const names = [
    ['primary', 'message', 'message:new'],
    ['legacy', 'message:new', 'message'],
  ];
  for (const [dialect, heard, unheard] of names) {
    test(`${dialect}, whatever event it joins by`, () =>
      withClients(node, websocketFirst, async (open) => {
        const chooser = await open(undefined, { auth: { userId: 'chooser', dialect } });
        await chooser.ask(dialect === 'primary' ? 'room:join' : 'channel:join', { channelId: `named ${dialect}`, roomName: `named ${dialect}` });
        await chooser.ask('message:send', { channelId: `named ${dialect}`, content: 'hi' });
        assert.equal((await chooser.next(heard)).content, 'hi');
        assert.equal(chooser.unread(unheard), 0);
      }));
  }

  for (const dialect of ['socket', 'both']) {
    test(`${dialect} hears both`, () =>
      withClients(node, websocketFirst, async (open) => {
        const chooser = await open(undefined, { auth: { userId: 'chooser', dialect } });
        await chooser.ask('channel:join', { channelId: `named ${dialect}` });
        await chooser.ask('message:send', { channelId: `named ${dialect}`, content: 'hi' });
        for (const event of ['message', 'message:new']) assert.equal((await chooser.next(event)).content, 'hi');
      }));
  }
});

describe('all dialects in one channel', () => {
  test('hear the same messages in the same order, each encoded once per style', () =>
    withClients(node, { transports: ['websocket'] }, async (open) => {
      const auth = (userId, dialect) => ({ auth: { userId, dialect, recovery: false } });
      const [members, messages] = [[], 20];
      for (let n = 0; n < 6; n += 1) {
        const primary = await open(undefined, auth(`primary-${n}`, 'primary'));
        const bare = await open(undefined, auth(`bare-${n}`, 'legacy'));
        const prefixed = await open(undefined, auth(`prefixed-${n}`, 'legacy'));
        await primary.ask('channel:join', { channelId: 'babel' });
        await bare.ask('room:join', { roomName: 'babel' });
        await prefixed.ask('room:join', { roomName: 'channel:babel' });
        members.push([primary, 'message'], [bare, 'message:new'], [prefixed, 'message:new']);
      }
      const [encodes, deliveries] = [await metric(node, 'realtime_encodes_total'), await metric(node, 'realtime_deliveries_total')];
      for (let n = 0; n < messages; n += 1) {
        const [speaker] = members[n % members.length];
        assert.equal((await speaker.ask('message:send', { channelId: 'babel', content: `${n}` })).success, true);
      }
      for (const [member, event] of members) {
        const heard = await member.nextOf(event, messages);
        assert.deepEqual(heard.map(({ content }) => content), Array.from({ length: messages }, (_, n) => `${n}`));
        if (event === 'message:new') {
          const roomName = member.identity.userId.startsWith('bare') ? 'babel' : 'channel:babel';
          assert.ok(heard.every((message) => message.roomName === roomName));
        }
      }
      assert.equal((await metric(node, 'realtime_encodes_total')) - encodes, 3 * messages, 'three styles');
      assert.equal((await metric(node, 'realtime_deliveries_total')) - deliveries, members.length * messages);
    }));

  test('hear typing, presence and reactions of each other', () =>
    withClients(node, websocketFirst, async (open) => {
      const [primary, legacy] = [await open('primary'), await open('legacy')];
      await primary.enter('mixed company');
      await enterRoom(legacy, 'mixed company');
      await primary.ask('typing', { channelId: 'mixed company', isTyping: true });
      assert.deepEqual((await legacy.next('typing:event')).users.map(({ userId }) => userId), ['primary']);
      await legacy.ask('typing:start', { roomName: 'mixed company', roomType: 'channel' });
      assert.equal((await primary.next('typing')).userId, 'legacy');
      await primary.ask('presence:update', { status: 'dnd' });
      assert.equal((await legacy.next('presence:changed', ({ userId }) => userId === 'primary')).status, 'busy');
      await legacy.ask('presence:update', { status: 'busy' });
      assert.equal((await primary.next('presence', ({ status }) => status !== 'online')).status, 'dnd');
      await legacy.ask('reaction:add', { channelId: 'mixed company', messageId: 'm', emoji: '👍' });
      assert.equal((await primary.next('reaction')).action, 'add');
    }));

  test('hear of joins and leaves only in the legacy one, or where the operator wants it', async () => {
    const telling = await startNode({ ...insecure, REALTIME_JOIN_BROADCAST: 'true' });
    try {
      for (const [where, isTold] of [[node, false], [telling, true]]) {
        await withClients(where, websocketFirst, async (open) => {
          const [primary, other] = [await open('primary'), await open('other')];
          await primary.enter('passages');
          await other.enter('passages');
          await other.ask('channel:leave', { channelId: 'passages' });
          await primary.send('passages', 'marker');
          await primary.next('message');
          assert.deepEqual([primary.unread('user:joined'), primary.unread('user:left')], isTold ? [1, 1] : [0, 0]);
        });
      }
    } finally {
      await telling.stop();
    }
  });
});

describe('odd events of the product’s clients', () => {
  test('batch brings several events at once', () =>
    withClients(node, websocketFirst, async (open) => {
      const [alice, bob] = [await open('alice'), await open('bob')];
      await bob.enter('batched');
      alice.socket.emit('batch', [
        { event: 'channel:join', data: { channelId: 'batched' }, timestamp: 1 },
        { event: 'message:send', data: { channelId: 'batched', content: 'one' }, timestamp: 1 },
        { event: 'message:send', data: { channelId: 'batched', content: 'two' }, timestamp: 1 },
      ]);
      assert.deepEqual((await bob.nextOf('message', 2)).map(({ content }) => content), ['one', 'two']);
    }));

  test('dispatch is forbidden unless the operator allows it', async () => {
    const order = { event: 'message:new', room: 'channel:dispatched', payload: { id: 'x' } };
    await withClients(node, websocketFirst, async (open) => {
      const alice = await open('alice');
      await alice.enter('dispatched');
      assert.equal((await alice.ask('dispatch', order)).error.code, 'FORBIDDEN');
    });
    const trusting = await startNode({ ...insecure, REALTIME_ALLOW_CLIENT_DISPATCH: 'true' });
    try {
      await withClients(trusting, websocketFirst, async (open) => {
        const [alice, bob] = [await open('alice'), await open('bob')];
        for (const client of [alice, bob]) await client.enter('dispatched');
        assert.equal((await alice.ask('dispatch', order)).success, true);
        assert.deepEqual(await bob.next('message:new'), { id: 'x' });
        for (const event of ['connect', 'authenticated', 'error']) {
          assert.equal((await alice.ask('dispatch', { ...order, event })).success, false, event);
        }
        assert.equal((await alice.ask('dispatch', { ...order, room: 'channel:not joined' })).success, false);
      });
    } finally {
      await trusting.stop();
    }
  });

  test('events of the operator’s relay list are passed on with the true user', async () => {
    const relaying = await startNode({ ...insecure, REALTIME_RELAY_EVENTS: 'stream:reaction' });
    try {
      await withClients(relaying, websocketFirst, async (open) => {
        const [alice, bob] = [await open('alice'), await open('bob')];
        for (const client of [alice, bob]) await client.enter('stream:s1');
        alice.socket.emit('stream:reaction', { streamId: 's1', emoji: '🎉', userId: 'forged' });
        const { streamId, emoji, userId } = await bob.next('stream:reaction');
        assert.deepEqual([streamId, emoji, userId], ['s1', '🎉', 'alice']);
        assert.equal((await alice.ask('stream:start', { streamId: 's1' })).error.code, 'UNKNOWN_EVENT');
      });
    } finally {
      await relaying.stop();
    }
  });

  test('a member by sending, where the operator wants joins to be implied', async () => {
    const implying = await startNode({ ...insecure, REALTIME_IMPLICIT_JOIN: 'true' });
    try {
      await withClients(implying, websocketFirst, async (open) => {
        const [alice, bob] = [await open('alice'), await open('bob')];
        await bob.enter('implied');
        assert.equal((await alice.send('implied', 'hi')).success, true);
        assert.equal((await bob.next('message')).content, 'hi');
        assert.equal((await alice.send('private-room', 'hi')).error.code, 'ROOM_ACCESS_DENIED');
      });
    } finally {
      await implying.stop();
    }
  });
});
