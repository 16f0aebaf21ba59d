// What a channel remembers, and whether the node says honestly if that is all: join with since, sync:messages, sync:channels.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { membersOf, withClients } from './client.mjs';
import { until } from './inbox.mjs';
import { poll } from './rest.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const contentsOf = (messages) => messages.map(({ content }) => content);
const numbers = (count, first = 0) => Array.from({ length: count }, (_, n) => `${first + n}`);

/** Says each of `contents` in the channel and returns the messages as `listener` hears them. */
async function said(speaker, listener, channelId, contents) {
  for (const content of contents) await speaker.send(channelId, content);
  return listener.nextOf('message', contents.length);
}

let node;
let small; // remembers five messages of a channel
let brief; // remembers for a second
before(async () => {
  [node, small, brief] = await Promise.all([
    startNode(insecure),
    startNode({ ...insecure, REALTIME_HISTORY_SIZE: '5' }),
    startNode({ ...insecure, REALTIME_HISTORY_TTL: '1' }),
  ]);
});
after(() => Promise.all([node, small, brief].map((each) => each.stop())));

describe('a join with since', () => {
  const forms = [
    ['a position', (message, { epoch }) => ({ since: { epoch, offset: message.offset } })],
    ['a time in milliseconds', (message) => ({ since: message.timestamp })],
    ['a message id', (message) => ({ lastMessageId: message.id })],
  ];
  for (const [form, sinceOf] of forms) {
    test(`as ${form} brings all that came after it, and says that it is all`, () =>
      withClients(node, websocket, async (open) => {
        const channelId = `since ${form}`;
        const [alice, bob] = await membersOf(open, channelId, 'alice', 'bob');
        const heard = await said(bob, alice, channelId, numbers(10));
        const { data } = await alice.join(channelId);
        const again = await alice.join(channelId, sinceOf(heard[3], data));
        assert.equal(again.data.recovered, true);
        assert.deepEqual(contentsOf(again.data.messages), numbers(6, 4));
        assert.deepEqual(again.data.messages, heard.slice(4), 'in the shape in which they were told');
      }));

    test(`as ${form} brings nothing when nothing came after it`, () =>
      withClients(node, websocket, async (open) => {
        const channelId = `up to date by ${form}`;
        const [alice, bob] = await membersOf(open, channelId, 'alice', 'bob');
        const [last] = await said(bob, alice, channelId, ['only']);
        const { data } = await alice.join(channelId);
        const again = await alice.join(channelId, sinceOf(last, data));
        assert.deepEqual([again.data.recovered, again.data.messages], [true, []]);
      }));
  }

  test('of another session than the one that heard the rest', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'other session', 'alice', 'bob');
      const { epoch } = (await alice.join('other session')).data;
      const [first] = await said(bob, alice, 'other session', ['first']);
      alice.close();
      await bob.send('other session', 'second');
      const later = await open('alice', { transports: ['polling'] });
      const { data } = await later.join('other session', { since: { epoch, offset: first.offset } });
      assert.deepEqual([data.recovered, contentsOf(data.messages)], [true, ['second']]);
      await bob.send('other session', 'third');
      const live = await later.next('message', ({ content }) => content !== 'second');
      assert.equal(live.content, 'third');
    }));

  test('loses and doubles nothing while others go on talking', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'in the stream', 'alice', 'bob');
      const { epoch, offset } = (await alice.join('in the stream')).data;
      const talk = (async () => {
        for (const content of numbers(200)) await bob.send('in the stream', content);
      })();
      await alice.next('message', ({ content }) => content === '50');
      const carol = await open('carol');
      const { data } = await carol.join('in the stream', { since: { epoch, offset } });
      await talk;
      await bob.send('in the stream', 'the end');
      await carol.next('message', ({ content }) => content === 'the end');
      assert.deepEqual([...contentsOf(data.messages), ...contentsOf(carol.drain('message'))], numbers(200));
    }));

  test('is answered in channel:joined where no acknowledgement is asked for', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'no ack', 'alice', 'bob');
      const { epoch, offset } = (await alice.join('no ack')).data;
      await said(bob, alice, 'no ack', ['one', 'two']);
      alice.drain('channel:joined');
      alice.socket.emit('channel:join', { channelId: 'no ack', since: { epoch, offset } });
      const joined = await alice.next('channel:joined');
      assert.deepEqual([joined.recovered, contentsOf(joined.messages)], [true, ['one', 'two']]);
    }));

  test('brings reactions beside the messages, their offsets telling their place', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'events', 'alice', 'bob');
      const { epoch, offset } = (await alice.join('events')).data;
      const { messageId } = await bob.send('events', 'one');
      await bob.ask('reaction', { channelId: 'events', messageId, emoji: '👍', action: 'add' });
      await bob.send('events', 'two');
      const { data } = await alice.join('events', { since: { epoch, offset } });
      assert.deepEqual(contentsOf(data.messages), ['one', 'two']);
      assert.deepEqual(data.events.map(({ event }) => event), ['reaction']);
      const reaction = data.events[0].data;
      assert.equal(reaction.messageId, messageId);
      const offsets = [data.messages[0], reaction, data.messages[1]].map((publication) => publication.offset - offset);
      assert.deepEqual(offsets, [1, 2, 3]);
    }));

  test('without since brings no messages', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'fresh', 'alice', 'bob');
      await said(bob, alice, 'fresh', ['old']);
      const carol = await open('carol');
      const { data } = await carol.join('fresh');
      assert.deepEqual([data.recovered, data.messages], [undefined, undefined]);
    }));

  for (const since of ['yesterday', -1, 1.5, true, [], {}, { epoch: 'x' }, { offset: 1 }, { epoch: 'x', offset: -1 }, { epoch: 7, offset: 1 }]) {
    test(`${JSON.stringify(since)} is a VALIDATION_ERROR`, () =>
      withClients(node, websocket, async (open) => {
        const alice = await open('alice');
        assert.equal((await alice.join('flawed', { since })).error?.code, 'VALIDATION_ERROR');
      }));
  }
});

describe('the node admits that it does not have everything', () => {
  const notRecovered = async (client, channelId, more) => {
    const { success, data } = await client.join(channelId, more);
    assert.deepEqual([success, data.recovered, data.messages], [true, false, []]);
  };

  test('where more was said than it remembers', () =>
    withClients(small, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'overflow', 'alice', 'bob');
      const { epoch } = (await alice.join('overflow')).data;
      const heard = await said(bob, alice, 'overflow', numbers(20));
      for (const more of [
        { since: { epoch, offset: heard[2].offset } },
        { since: heard[2].timestamp },
        { lastMessageId: heard[2].id },
      ]) {
        await notRecovered(alice, 'overflow', more);
      }
      const { data } = await alice.join('overflow', { since: { epoch, offset: heard[15].offset } });
      assert.deepEqual([data.recovered, contentsOf(data.messages)], [true, numbers(4, 16)]);
    }));

  test('where it was said too long ago', () =>
    withClients(brief, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'long ago', 'alice', 'bob');
      const { epoch, offset } = (await alice.join('long ago')).data;
      await said(bob, alice, 'long ago', ['soon forgotten']);
      await until('it is forgotten', async () => (await poll(brief, 'long ago', { since: 1_000_000_000 })).body.messages.length === 0);
      await notRecovered(alice, 'long ago', { since: { epoch, offset } });
    }));

  test('where the offset is of another life', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'other life', 'alice', 'bob');
      await said(bob, alice, 'other life', ['x']);
      await notRecovered(alice, 'other life', { since: { epoch: 'no-such-epoch', offset: 0 } });
      await notRecovered(alice, 'other life', { lastMessageId: 'no-such-message' });
      const { epoch } = (await alice.join('other life')).data;
      await notRecovered(alice, 'other life', { since: { epoch, offset: 1_000_000 } });
    }));

  test('where it was started anew in between', async () => {
    let mortal = await startNode(insecure);
    try {
      await withClients(mortal, websocket, async (open) => {
        const alice = await open('alice');
        const { epoch, offset } = (await alice.join('reborn')).data;
        await alice.send('reborn', 'lost with the node');
        await mortal.stop();
        mortal = await startNode(insecure, mortal.port);
        await alice.back();
        await notRecovered(alice, 'reborn', { since: { epoch, offset } });
      });
    } finally {
      await mortal.stop();
    }
  });
});

describe('sync:messages', () => {
  const sync = (client, payload) => client.ask('sync:messages', payload);

  test('brings what was said after a moment, as the product’s client reads it', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'synced', 'alice', 'bob');
      const heard = await said(bob, alice, 'synced', numbers(5));
      const { success, data } = await sync(alice, { channelId: 'synced', since: heard[1].timestamp, limit: 50 });
      assert.equal(success, true);
      assert.deepEqual(contentsOf(data.messages), numbers(3, 2));
      assert.ok(Number.isInteger(data.serverTime));
      const { id, channelId, content, userId, createdAt, type } = data.messages[0];
      assert.deepEqual([id, channelId, content, userId, type], [heard[2].id, 'synced', '2', 'bob', 'text']);
      assert.equal(createdAt, heard[2].createdAt);
    }));

  test('brings at most its limit, 100 at most, and takes null for since', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'synced much', 'alice', 'bob');
      await said(bob, alice, 'synced much', numbers(130));
      assert.equal((await sync(alice, { channelId: 'synced much', since: null, limit: 7 })).data.messages.length, 7);
      assert.equal((await sync(alice, { channelId: 'synced much', since: null })).data.messages.length, 50);
      assert.equal((await sync(alice, { channelId: 'synced much', since: null, limit: 100 })).data.messages.length, 100);
    }));

  test('is for members', () =>
    withClients(node, websocket, async (open) => {
      const stranger = await open('stranger');
      assert.equal((await sync(stranger, { channelId: 'synced', since: null })).error.code, 'NOT_JOINED');
      assert.equal((await sync(stranger, { since: null })).error.code, 'VALIDATION_ERROR');
    }));
});

test('sync:channels lists the channels that a user is in', () =>
  withClients(node, websocket, async (open) => {
    const [alice] = await membersOf(open, 'listed one', 'alice', 'bob');
    await alice.enter('listed two');
    await alice.send('listed two', 'x');
    const { success, data } = await alice.ask('sync:channels', { since: null });
    assert.equal(success, true);
    assert.deepEqual(data.channels.map(({ id }) => id).sort(), ['listed one', 'listed two']);
    assert.ok(data.channels.every(({ type }) => type === 'channel'));
    assert.ok(Number.isInteger(data.serverTime));
  }));
