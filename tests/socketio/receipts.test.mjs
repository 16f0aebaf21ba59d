// Read receipts and reactions: under every name that clients use for them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fresh, newcomersIn, withClients } from './client.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const isIso = (text) => new Date(text).toISOString() === text;

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

/** Two members of a channel, and the id of a message in it. */
async function readersIn(open, channelId) {
  const [alice, bob] = await newcomersIn(open, channelId, 'alice', 'bob');
  const { messageId } = await alice.send(channelId, 'read this');
  await bob.next('message');
  return { alice, bob, messageId };
}

describe('what was read', () => {
  for (const event of ['read', 'message:read', 'read:update', 'message:read-ack']) {
    test(`by ${event} is told to the other members as read`, () =>
      withClients(node, websocket, async (open) => {
        const channelId = `by ${event}`;
        const { alice, bob, messageId } = await readersIn(open, channelId);
        assert.equal((await bob.ask(event, { channelId, messageId, readAt: new Date(0).toISOString() })).success, true);
        const read = await alice.next('read');
        assert.deepEqual([read.channelId, read.userId, read.messageId, read.lastReadMessageId], [channelId, bob.userId, messageId, messageId]);
        assert.ok(isIso(read.readAt));
      }));
  }

  test('by message:batch-read-ack is told with all ids, and the last of them as the last read', () =>
    withClients(node, websocket, async (open) => {
      const { alice, bob, messageId } = await readersIn(open, 'batch');
      const { messageId: second } = await alice.send('batch', 'and this');
      await bob.ask('message:batch-read-ack', { channelId: 'batch', messageIds: [messageId, second] });
      const read = await alice.next('read');
      assert.deepEqual(read.messageIds, [messageId, second]);
      assert.deepEqual([read.messageId, read.lastReadMessageId], [second, second]);
    }));

  test('by channel:read is told without a message', () =>
    withClients(node, websocket, async (open) => {
      const { alice, bob } = await readersIn(open, 'all of it');
      await bob.ask('channel:read', { channelId: 'all of it' });
      const read = await alice.next('read');
      assert.deepEqual([read.channelId, read.userId], ['all of it', bob.userId]);
      assert.ok(isIso(read.readAt));
    }));

  test('in a thread is told with the thread', () =>
    withClients(node, websocket, async (open) => {
      const { alice, bob, messageId } = await readersIn(open, 'thread');
      await bob.ask('read', { channelId: 'thread', messageId, threadId: 't1' });
      assert.equal((await alice.next('read')).threadId, 't1');
    }));

  test('is told of who read it, whatever the event says', () =>
    withClients(node, websocket, async (open) => {
      const { alice, bob, messageId } = await readersIn(open, 'forged');
      await bob.ask('read', { channelId: 'forged', messageId, userId: 'carol' });
      assert.equal((await alice.next('read')).userId, bob.userId);
    }));

  test('keeps its place behind the message', () =>
    withClients(node, websocket, async (open) => {
      const { alice, bob } = await readersIn(open, 'place');
      const order = [];
      alice.socket.onAny((event) => ['message', 'read'].includes(event) && order.push(event));
      for (let n = 0; n < 5; n += 1) {
        const { messageId } = await bob.send('place', `${n}`);
        await bob.ask('read', { channelId: 'place', messageId });
      }
      for (let n = 0; n < 5; n += 1) await alice.next('read');
      assert.deepEqual(order, Array.from({ length: 5 }, () => ['message', 'read']).flat());
    }));

  for (const [event, payload] of [
    ['receipt:update', { messageId: 'm', status: 'delivered' }],
    ['typing:update', { roomName: 'channel:x', typingUsers: [] }],
  ]) {
    test(`${event} of the product's client is taken without an error and told to nobody`, () =>
      withClients(node, websocket, async (open) => {
        const { alice, bob } = await readersIn(open, `ignored ${event}`);
        bob.socket.emit(event, payload);
        await bob.settled();
        await bob.send(`ignored ${event}`, 'marker');
        await alice.next('message', ({ content }) => content === 'marker');
        assert.deepEqual([alice.unread('read'), alice.unread(event), bob.unread('error')], [0, 0, 0]);
      }));
  }
});

describe('a reaction', () => {
  const forms = [
    ['reaction', { action: 'add' }, 'add'],
    ['reaction', { action: 'remove' }, 'remove'],
    ['reaction:add', {}, 'add'],
    ['reaction:remove', {}, 'remove'],
  ];
  for (const [event, more, action] of forms) {
    test(`by ${event} ${JSON.stringify(more)} is told to every member as reaction`, () =>
      withClients(node, websocket, async (open) => {
        const channelId = `${event} ${action}`;
        const { alice, bob, messageId } = await readersIn(open, channelId);
        assert.equal((await bob.ask(event, { channelId, messageId, emoji: '👍', ...more })).success, true);
        for (const member of [alice, bob]) {
          const reaction = await member.next('reaction');
          const { type, action: told, userId, emoji } = reaction;
          assert.deepEqual([type, told, reaction.messageId, reaction.channelId, userId, emoji], ['reaction', action, messageId, channelId, bob.userId, '👍']);
          assert.ok(isIso(reaction.timestamp));
        }
      }));
  }

  test('may be 50 characters of any script', () =>
    withClients(node, websocket, async (open) => {
      const { alice, bob, messageId } = await readersIn(open, 'long');
      const emoji = '👩‍👩‍👧‍👦'.repeat(4);
      await bob.ask('reaction:add', { channelId: 'long', messageId, emoji });
      assert.equal((await alice.next('reaction')).emoji, emoji);
    }));
});

describe('refused are', () => {
  const messageId = 'm-1';
  const flaws = [
    ['read', 'without a message', {}],
    ['read', 'with a message id that is a number', { messageId: 7 }],
    ['read', 'with an empty message id', { messageId: '' }],
    ['read', 'with a message id of 300 bytes', { messageId: 'x'.repeat(300) }],
    ['message:batch-read-ack', 'without ids', {}],
    ['message:batch-read-ack', 'with ids that are no list', { messageIds: 'm' }],
    ['message:batch-read-ack', 'with no id at all', { messageIds: [] }],
    ['reaction:add', 'without a message', { emoji: '👍' }],
    ['reaction:add', 'without an emoji', { messageId }],
    ['reaction:add', 'with an empty emoji', { messageId, emoji: '' }],
    ['reaction:add', 'with an emoji of 51 characters', { messageId, emoji: 'x'.repeat(51) }],
    ['reaction:remove', 'with an emoji that is no string', { messageId, emoji: 7 }],
    ['reaction', 'with an unknown action', { messageId, emoji: '👍', action: 'toggle' }],
    ['reaction', 'without an action', { messageId, emoji: '👍' }],
  ];
  for (const [event, flaw, payload] of flaws) {
    test(`${event} ${flaw}`, () =>
      withClients(node, websocket, async (open) => {
        const channelId = `${event} ${flaw}`;
        const { alice, bob } = await readersIn(open, channelId);
        const ack = await bob.ask(event, { channelId, ...payload });
        assert.deepEqual([ack.success, ack.error?.code], [false, 'VALIDATION_ERROR']);
        bob.socket.emit(event, { channelId, ...payload });
        assert.deepEqual(await bob.next('error').then(({ code, event: of }) => [code, of]), ['VALIDATION_ERROR', event]);
        await bob.send(channelId, 'marker');
        await alice.next('message', ({ content }) => content === 'marker');
        assert.deepEqual([alice.unread('read'), alice.unread('reaction')], [0, 0]);
      }));
  }

  for (const [event, payload] of [
    ['read', { messageId }],
    ['reaction', { messageId, emoji: '👍', action: 'add' }],
  ]) {
    test(`${event} in a channel that was not joined`, () =>
      withClients(node, websocket, async (open) => {
        const stranger = await open('stranger');
        const ack = await stranger.ask(event, { channelId: 'somewhere else', ...payload });
        assert.deepEqual([ack.success, ack.error?.code], [false, 'NOT_JOINED']);
      }));
  }
});

describe('notifications that a user has read', () => {
  test('are told to the user’s other devices, and to nobody else', () =>
    withClients(node, websocket, async (open) => {
      const phone = await open(fresh('alice'));
      const [laptop, bob] = [await open(phone.userId), await open(fresh('bob'))];
      phone.socket.emit('notification:read', { notificationId: 'n1' });
      assert.equal((await laptop.next('notification:read')).notificationId, 'n1');
      phone.socket.emit('notification:read:all');
      await laptop.next('notification:read:all');
      await Promise.all([phone.settled(), bob.settled()]);
      assert.deepEqual([phone.unread('notification:read'), bob.unread('notification:read')], [0, 0]);
    }));
});
