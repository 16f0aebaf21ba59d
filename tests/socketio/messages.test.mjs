// From message:send to message: shapes, retries, refusals, binary and big content.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { transports, withClients } from './client.mjs';
import { insecure, startNode } from './server.mjs';

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

/** Two clients that have joined `channelId`, over a pair of transports. */
async function pairIn(open, channelId, others = {}) {
  const [alice, bob] = [await open('alice'), await open('bob', others)];
  await Promise.all([alice.join(channelId), bob.join(channelId)]);
  return [alice, bob];
}

for (const [way, options] of Object.entries(transports)) {
  test(`${way}: a message reaches every member, its sender included, in one shape`, () =>
    withClients(node, options, async (open) => {
      const channelId = `shape over ${way}`;
      const [alice, bob] = await pairIn(open, channelId);
      const ack = await alice.send(channelId, 'hi', { mentions: ['bob'], clientMessageId: `k-${way}` });
      const [own, received] = [await alice.next('message'), await bob.next('message')];

      assert.deepEqual(own, received);
      const { id, messageId, timestamp, createdAt, ...rest } = stripped(received);
      assert.deepEqual(rest, {
        channelId,
        userId: 'alice',
        content: 'hi',
        mentions: ['bob'],
        type: 'text',
        clientMessageId: `k-${way}`,
      });
      assert.ok(typeof id === 'string' && id !== '');
      assert.equal(messageId, id);
      assert.equal(createdAt, new Date(timestamp).toISOString());

      assert.deepEqual([ack.success, ack.messageId], [true, id]);
      const { messageId: inner, id: sameId, channelId: place, clientMessageId, timestamp: at, createdAt: iso } = ack.data;
      assert.deepEqual([inner, sameId, place, clientMessageId, at, iso], [id, id, channelId, `k-${way}`, timestamp, createdAt]);
    }));

  test(`${way}: bytes in a message arrive as bytes`, () =>
    withClients(node, options, async (open) => {
      const channelId = `bytes over ${way}`;
      const [alice, bob] = await pairIn(open, channelId);
      const bytes = Buffer.from([0, 1, 2, 0x1e, 0xfe, 0xff]);
      const ack = await alice.send(channelId, 'with bytes', {
        metadata: { thumbnail: bytes, nested: [{ deep: Buffer.from('deep') }] },
        attachments: [{ name: 'a.bin', body: Buffer.alloc(5000, 7) }],
      });
      assert.equal(ack.success, true);
      for (const client of [alice, bob]) {
        const { metadata, attachments } = await client.next('message');
        assert.deepEqual(Buffer.from(metadata.thumbnail), bytes);
        assert.equal(Buffer.from(metadata.nested[0].deep).toString(), 'deep');
        assert.deepEqual(Buffer.from(attachments[0].body), Buffer.alloc(5000, 7));
        assert.equal(attachments[0].name, 'a.bin');
      }
    }));

  test(`${way}: content of any script arrives as it was sent`, () =>
    withClients(node, options, async (open) => {
      const channelId = `scripts over ${way}`;
      const [alice, bob] = await pairIn(open, channelId);
      const contents = [
        'grüße, мир, 世界, שלום, 👩‍👩‍👧‍👦',
        'quotes " and \\ and / and \u2028\u2029',
        'controls \u0000 \u0001 \u001e \u001f \u007f and\nnewlines\r\n\ttabs',
        '<script>alert(1)</script> &amp;',
        '{"json":[1,2]} 42["message",{}]',
        ' ',
      ];
      for (const content of contents) await alice.send(channelId, content);
      const heard = (await bob.nextOf('message', contents.length)).map((message) => message.content);
      assert.deepEqual(heard, contents);
    }));

  test(`${way}: two hundred messages sent in one go arrive once each, in order`, () =>
    withClients(node, options, async (open) => {
      const channelId = `burst over ${way}`;
      const [alice, bob] = await pairIn(open, channelId);
      const acks = await Promise.all(Array.from({ length: 200 }, (_, n) => alice.send(channelId, `${n}`)));
      const heard = await bob.nextOf('message', 200);
      assert.deepEqual(heard.map((message) => message.content), Array.from({ length: 200 }, (_, n) => `${n}`));
      assert.deepEqual(heard.map((message) => message.id), acks.map((ack) => ack.messageId));
      assert.deepEqual(await bob.heardUntilLastWordOf(alice, channelId), []);
    }));
}

test('the extra fields of a message arrive as they were sent', () =>
  withClients(node, {}, async (open) => {
    const [alice, bob] = await pairIn(open, 'extras');
    const extras = {
      type: 'file',
      threadId: 'thread-1',
      replyTo: 'm-0',
      tempId: 't-1',
      attachments: [{ url: 'https://files.example/a.png', size: 12 }],
      metadata: { nested: { list: [1, 2.5, -3e2, true, false, null, ''] } },
      mentions: [{ type: 'user', id: 'bob' }],
    };
    await alice.send('extras', 'see file', extras);
    const message = await bob.next('message');
    for (const [field, sent] of Object.entries(extras)) assert.deepEqual(message[field], sent, field);
  }));

test('roomName is taken for channelId', () =>
  withClients(node, {}, async (open) => {
    const [alice, bob] = await pairIn(open, 'by-room-name');
    const ack = await alice.ask('message:send', { roomName: 'by-room-name', content: 'hi' });
    assert.equal(ack.success, true);
    assert.equal((await bob.next('message')).channelId, 'by-room-name');
  }));

test('a userId in a message is ignored: the sender is who it is', () =>
  withClients(node, {}, async (open) => {
    const [alice, bob] = await pairIn(open, 'forged');
    await alice.send('forged', 'I am bob', { userId: 'bob', id: 'chosen', messageId: 'chosen', timestamp: 1 });
    const message = await bob.next('message');
    assert.equal(message.userId, 'alice');
    assert.notEqual(message.timestamp, 1);
  }));

test('a message without attachments may have no mentions, with attachments no content', () =>
  withClients(node, {}, async (open) => {
    const [alice, bob] = await pairIn(open, 'sparse');
    await alice.ask('message:send', { channelId: 'sparse', content: 'no mentions' });
    assert.deepEqual((await bob.next('message')).mentions, []);
    const ack = await alice.ask('message:send', { channelId: 'sparse', content: '', attachments: [{ url: 'x' }] });
    assert.equal(ack.success, true);
    assert.deepEqual((await bob.next('message')).attachments, [{ url: 'x' }]);
  }));

test('a message goes to its own channel only', () =>
  withClients(node, {}, async (open) => {
    const [alice, bob] = await pairIn(open, 'here');
    const carol = await open('carol');
    await carol.join('elsewhere');
    await alice.send('here', 'secret');
    await bob.next('message');
    await carol.settled();
    assert.equal(carol.unread('message'), 0);
  }));

describe('a retry of the same clientMessageId', () => {
  test('gets the first acknowledgement and is not delivered again', () =>
    withClients(node, {}, async (open) => {
      const [alice, bob] = await pairIn(open, 'retry');
      const first = await alice.send('retry', 'once', { clientMessageId: 'retry-1' });
      for (let retry = 0; retry < 4; retry += 1) {
        assert.deepEqual(await alice.send('retry', 'once', { clientMessageId: 'retry-1' }), first);
      }
      assert.deepEqual(await bob.heardUntilLastWordOf(alice, 'retry'), ['once']);
    }));

  test('in one burst is delivered once', () =>
    withClients(node, { transports: ['websocket'] }, async (open) => {
      const [alice, bob] = await pairIn(open, 'retry-burst');
      const send = () => alice.send('retry-burst', 'once', { clientMessageId: 'burst-1' });
      // The product's clients try again up to five times; a node may bound how many copies wait for one answer.
      const acks = await Promise.all(Array.from({ length: 6 }, send));
      assert.ok(acks.every((ack) => ack.success && ack.messageId === acks[0].messageId));
      assert.deepEqual(await bob.heardUntilLastWordOf(alice, 'retry-burst'), ['once']);
    }));

  test('from a new connection of the same user is recognised', () =>
    withClients(node, {}, async (open) => {
      const [alice, bob] = await pairIn(open, 'retry-later');
      const first = await alice.send('retry-later', 'once', { clientMessageId: 'later-1' });
      alice.close();
      const again = await open('alice', { transports: ['websocket'] });
      await again.join('retry-later');
      assert.equal((await again.send('retry-later', 'once', { clientMessageId: 'later-1' })).messageId, first.messageId);
      assert.deepEqual(await bob.heardUntilLastWordOf(again, 'retry-later'), ['once']);
    }));

  test('by another user is another message', () =>
    withClients(node, {}, async (open) => {
      const [alice, bob] = await pairIn(open, 'retry-other');
      const first = await alice.send('retry-other', 'mine', { clientMessageId: 'shared' });
      const second = await bob.send('retry-other', 'mine too', { clientMessageId: 'shared' });
      assert.notEqual(second.messageId, first.messageId);
      assert.deepEqual((await alice.nextOf('message', 2)).map((message) => message.content), ['mine', 'mine too']);
    }));
});

describe('a message is refused', () => {
  const flaws = [
    ['with content that is no string', { content: 42 }, ['VALIDATION_ERROR']],
    ['with content that is an object', { content: { text: 'hi' } }, ['VALIDATION_ERROR']],
    ['with content that is null', { content: null }, ['VALIDATION_ERROR']],
    ['with bytes for content', { content: Buffer.from('hi') }, ['VALIDATION_ERROR']],
    ['without content', {}, ['VALIDATION_ERROR']],
    ['with empty content', { content: '' }, ['VALIDATION_ERROR']],
    ['with more content than the limit of 10000 characters', { content: 'x'.repeat(10_001) }, ['PAYLOAD_TOO_LARGE']],
    ['in a channel that was not joined', { channelId: 'not joined', content: 'hi' }, ['NOT_JOINED']],
  ];
  const types = { VALIDATION_ERROR: 'validation', PAYLOAD_TOO_LARGE: 'validation', NOT_JOINED: 'state' };
  for (const [flaw, payload, [code]] of flaws) {
    test(flaw, () =>
      withClients(node, {}, async (open) => {
        const [alice, bob] = await pairIn(open, 'refusals');
        const ack = await alice.ask('message:send', { channelId: 'refusals', ...payload });
        assert.deepEqual([ack.success, ack.error.code], [false, code]);
        alice.socket.emit('message:send', { channelId: 'refusals', ...payload });
        const error = await alice.next('error');
        assert.deepEqual([error.type, error.code, error.event], [types[code], code, 'message:send']);
        assert.equal((await alice.send('refusals', 'a good one')).success, true);
        assert.equal((await bob.next('message')).content, 'a good one');
      }));
  }

  test('when its sender has left the channel in the same breath', () =>
    withClients(node, {}, async (open) => {
      const [alice, bob] = await pairIn(open, 'parting');
      alice.socket.emit('channel:leave', { channelId: 'parting' });
      assert.equal((await alice.send('parting', 'one last thing')).error.code, 'NOT_JOINED');
      await alice.join('parting');
      assert.deepEqual(await bob.heardUntilLastWordOf(alice, 'parting'), []);
    }));
});

describe('big content', () => {
  let roomy;
  before(async () => {
    // Three of the longest are more than usually may wait for a client between two polls.
    const roomier = { REALTIME_MAX_MESSAGE_LENGTH: '65536', REALTIME_MAX_QUEUE_BYTES: '1000000' };
    roomy = await startNode({ ...insecure, ...roomier });
  });
  after(() => roomy.stop());

  test('the limit counts characters, not bytes', () =>
    withClients(node, {}, async (open) => {
      const [alice, bob] = await pairIn(open, 'characters');
      const content = '語'.repeat(10_000);
      assert.equal((await alice.send('characters', content)).success, true);
      assert.equal((await bob.next('message')).content, content);
    }));

  for (const [way, options] of Object.entries(transports)) {
    test(`${way}: sixty kilobytes, many times over, arrive whole`, () =>
      withClients(roomy, options, async (open) => {
        const [alice, bob] = await pairIn(open, `big over ${way}`);
        const contents = ['x', 'ß', '"'].map((letter) => letter.repeat(60_000));
        for (let round = 0; round < 5; round += 1) {
          const acks = await Promise.all(contents.map((content) => alice.send(`big over ${way}`, content)));
          assert.ok(acks.every((ack) => ack.success));
          assert.deepEqual((await bob.nextOf('message', 3)).map((message) => message.content), contents);
        }
      }));
  }
});

/** A message without the fields that the node may add to the contract's. */
function stripped(message) {
  const { offset, epoch, userName, userAvatar, ...rest } = message;
  return rest;
}
