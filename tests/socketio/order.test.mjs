// One order per channel, seen alike by several hundred members on every core.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { transports, withClients } from './client.mjs';
import { insecure, startNode } from './server.mjs';

const clientCount = 300;
const channelCount = 10;
const senderCount = 30;
const messagesPerSender = 20;

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

test('300 members of 10 channels see what 30 senders say at once: all of it, once, in one order', () =>
  withClients(node, {}, async (open) => {
    const ways = Object.values(transports);
    const clients = [];
    for (let first = 0; first < clientCount; first += 50) {
      const batch = Array.from({ length: 50 }, (_, n) => open(`member-${first + n}`, ways[n % ways.length]));
      clients.push(...(await Promise.all(batch)));
    }
    const channelOf = (index) => `order-${index % channelCount}`;
    await Promise.all(clients.map((client, index) => client.join(channelOf(index))));

    // Senders are spread over the channels; each pushes without waiting for its own acknowledgements.
    const senders = clients.slice(0, senderCount);
    const acks = await Promise.all(
      senders.flatMap((sender, index) =>
        Array.from({ length: messagesPerSender }, (_, n) => sender.send(channelOf(index), `${index}:${n}`)),
      ),
    );
    assert.ok(acks.every((ack) => ack.success));

    const perChannel = (senderCount / channelCount) * messagesPerSender;
    const seen = await Promise.all(clients.map((client) => client.nextOf('message', perChannel)));
    const idOf = (message) => message.id;
    for (const [index, messages] of seen.entries()) {
      assert.deepEqual(messages.map(idOf), seen[index % channelCount].map(idOf), `order at member ${index}`);
      assert.equal(new Set(messages.map(idOf)).size, perChannel);
      assert.ok(messages.every((message) => message.channelId === channelOf(index)));
    }

    for (let channel = 0; channel < channelCount; channel += 1) {
      const messages = seen[channel];
      for (const [n, message] of messages.entries()) {
        if (n > 0) assert.ok(message.timestamp > messages[n - 1].timestamp, 'timestamps increase strictly');
      }
      for (let sender = channel; sender < senderCount; sender += channelCount) {
        const own = messages.filter((message) => message.userId === `member-${sender}`).map((message) => message.content);
        assert.deepEqual(own, Array.from({ length: messagesPerSender }, (_, n) => `${sender}:${n}`), 'each sender in order');
      }
    }
    const acked = new Set(acks.map((ack) => ack.messageId));
    assert.ok(seen.flat().every((message) => acked.has(message.id)), 'nothing was invented');

    for (let channel = 0; channel < channelCount; channel += 1) {
      await clients[channel].send(channelOf(channel), 'the end');
    }
    const lasts = await Promise.all(clients.map((client) => client.next('message')));
    assert.ok(lasts.every((message) => message.content === 'the end'), 'nothing was doubled');
  }));
