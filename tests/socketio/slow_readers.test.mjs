// A client that does not read: let go in a way that brings it back, without a loss, and nobody else suffers.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { membersOf, withClients } from './client.mjs';
import { until } from './inbox.mjs';
import { withLink } from './link.mjs';
import { metric } from './metrics.mjs';
import { PollingSession, SocketSession } from './raw.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const ballast = 'x'.repeat(100_000);
const slowEnds = () => metric(node, 'realtime_slow_disconnects_total');

let node;
before(async () => {
  node = await startNode({ ...insecure, REALTIME_MAX_QUEUE_BYTES: '1000000' });
});
after(() => node.stop());

/** Talks, with much ballast, until the node gives a reader up, and returns how many messages that took. */
async function talkUntilGivenUp(speaker, channelId) {
  const endsBefore = await slowEnds();
  for (let count = 0; count < 120; count += 1) {
    if ((await slowEnds()) > endsBefore) return count;
    const ack = await speaker.send(channelId, `${count}`, { metadata: { ballast } });
    assert.equal(ack.success, true);
  }
  throw new Error('12 MB did not fill the queue of a client that reads nothing');
}

const contentOf = ({ content }) => content;
const numbers = (count) => Array.from({ length: count }, (_, n) => `${n}`);

test('a stock client that stood still is let go, comes back as the same session and has missed nothing', () =>
  withLink(node, (link) =>
    withClients(node, websocket, async (open, begin) => {
      const [speaker, witness] = await membersOf(open, 'standstill', 'speaker', 'witness');
      const slow = await begin('slow', { url: link.url }).greeted();
      await slow.enter('standstill');
      link.hold();
      const count = await talkUntilGivenUp(speaker, 'standstill');
      link.release();
      await slow.next('disconnect');
      assert.equal(slow.socket.active, true, 'it will come back');
      await slow.next('connect');
      assert.equal(slow.socket.recovered, true);
      assert.deepEqual(await slow.heardUntilLastWordOf(speaker, 'standstill'), numbers(count));
      assert.deepEqual((await witness.nextOf('message', count)).map(contentOf), numbers(count), 'the others heard it all');
    }),
  ));

test('a WebSocket is told why: 1013, reconnect and recover', async () => {
  const slow = await SocketSession.connected(node, 'slow');
  await slow.ask(1, 'channel:join', { channelId: 'told why' });
  await withClients(node, websocket, async (open) => {
    const [speaker] = await membersOf(open, 'told why', 'speaker');
    slow.socket.pause();
    await talkUntilGivenUp(speaker, 'told why');
    slow.socket.resume();
    const { code, reason } = await slow.untilClosed();
    assert.equal(code, 1013);
    assert.match(reason, /reconnect and recover/);
  });
});

test('a polling session whose client does not poll is gone, and its client can ask for what it missed', async () => {
  const slow = await PollingSession.connected(node, 'slow');
  await slow.push('420["channel:join",{"channelId":"unpolled"}]');
  const answer = await slow.pollUntil('430[');
  const { epoch, offset } = JSON.parse(answer.split('430[')[1].split('\x1e')[0].slice(0, -1)).data;
  await withClients(node, websocket, async (open) => {
    const [speaker] = await membersOf(open, 'unpolled', 'speaker');
    const count = await talkUntilGivenUp(speaker, 'unpolled');
    await until('the session is gone', async () => (await slow.poll()).status === 400);
    const again = await open('slow');
    const { data } = await again.join('unpolled', { since: { epoch, offset } });
    assert.deepEqual([data.recovered, data.messages.map(contentOf)], [true, numbers(count)]);
  });
});

test('others hear everything in order while a reader stands still', () =>
  withLink(node, (link) =>
    withClients(node, websocket, async (open, begin) => {
      const others = await membersOf(open, 'unaffected', 'one', 'two', 'three');
      const slow = await begin('slow', { url: link.url }).greeted();
      await slow.enter('unaffected');
      link.hold();
      const count = await talkUntilGivenUp(others[0], 'unaffected');
      for (const other of others) {
        assert.deepEqual((await other.nextOf('message', count)).map(contentOf), numbers(count));
      }
    }),
  ));

describe('what is fleeting is not piled up for a reader that stands still', () => {
  /** A slow member whose socket takes nothing more, with room in its queue left. */
  async function stuckMember(link, open, begin, channelId) {
    const [speaker, lively] = await membersOf(open, channelId, 'speaker', 'lively');
    const slow = await begin('slow', { url: link.url }).greeted();
    await slow.enter(channelId);
    return { speaker, lively, slow };
  }

  test('typing and presence: it gets the latest, and is not let go for the number of them', async () => {
    const roomy = await startNode({ ...insecure, REALTIME_MAX_QUEUE_BYTES: '16000000', REALTIME_TYPING_DEBOUNCE: '0' });
    try {
      await withLink(roomy, (link) =>
        withClients(roomy, websocket, async (open, begin) => {
          const { speaker, lively, slow } = await stuckMember(link, open, begin, 'fleeting');
          const coalescedBefore = await metric(roomy, 'realtime_coalesced_total');
          link.hold();
          for (let n = 0; n < 100; n += 1) await speaker.send('fleeting', `${n}`, { metadata: { ballast } }); // fills its socket
          for (let n = 0; n < 500; n += 1) {
            await lively.ask('presence:update', { status: ['away', 'online'][n % 2] });
            await lively.ask('typing', { channelId: 'fleeting', isTyping: n % 2 === 0 });
          }
          await lively.ask('presence:update', { status: 'dnd' });
          await speaker.next('presence', ({ status }) => status === 'dnd');
          assert.ok((await metric(roomy, 'realtime_coalesced_total')) > coalescedBefore);
          link.release();
          await slow.next('presence', ({ userId, status }) => userId === 'lively' && status === 'dnd');
          assert.ok(slow.unread('presence') < 100, `${slow.unread('presence')} of 500 changes`);
          assert.ok(slow.unread('typing') < 100, `${slow.unread('typing')} of 500 changes`);
          assert.deepEqual((await slow.nextOf('message', 100)).map(contentOf), numbers(100));
          assert.equal(slow.unread('disconnect'), 0);
        }),
      );
    } finally {
      await roomy.stop();
    }
  });
});
