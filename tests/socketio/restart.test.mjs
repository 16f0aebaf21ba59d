// A node that stops sends its clients away in a way that brings them back; the next one on the port has them all again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transports, withClients } from './client.mjs';
import { PollingSession, SocketSession } from './raw.mjs';
import { insecure, startNode } from './server.mjs';

const clientsPerWay = 10;

test('stock clients are let go with a reason to return, find the next node and chat on', async () => {
  let node = await startNode(insecure);
  try {
    await withClients(node, {}, async (open) => {
      const ways = Object.entries(transports);
      const opening = ways.flatMap(([way, options]) =>
        Array.from({ length: clientsPerWay }, (_, n) => open(`${way} ${n}`, options)),
      );
      const clients = await Promise.all(opening);
      for (const client of clients) client.socket.on('connect', () => client.socket.emit('channel:join', { channelId: 'home' }));
      await Promise.all(clients.map((client) => client.join('home')));
      await Promise.all(clients.map((client) => client.next('channel:joined')));
      await sayHelloTo(clients, 'before');

      await node.stop();
      const onWebSocket = (client) => client.userId.startsWith('websocket');
      for (const client of clients) {
        // A pending poll that breaks off is told by the client as an error of its transport; it comes back all the same.
        const reasons = onWebSocket(client) ? ['transport close'] : ['transport close', 'transport error'];
        const reason = await client.next('disconnect');
        assert.ok(reasons.includes(reason), `${client.userId}: ${reason}`);
        assert.equal(client.socket.active, true, `${client.userId} will not come back`);
      }

      node = await startNode(insecure, node.port);
      await Promise.all(clients.map((client) => client.next('channel:joined')));
      await sayHelloTo(clients, 'after');
    });
  } finally {
    await node.stop();
  }
});

test('a node stops cleanly under load, and what it acknowledged it has delivered to the sender', async () => {
  const node = await startNode(insecure);
  await withClients(node, { transports: ['websocket'], reconnection: false }, async (open) => {
    const clients = await Promise.all(Array.from({ length: 20 }, (_, n) => open(`busy-${n}`)));
    await Promise.all(clients.map((client) => client.join('busy')));
    const acked = clients.map(() => []);
    let isOver = false;
    const talking = clients.map(async (client, index) => {
      for (let n = 0; !isOver; n += 1) {
        const ack = await client.socket.timeout(1_000).emitWithAck('message:send', { channelId: 'busy', content: `${n}` }).catch(() => undefined);
        if (ack?.success) acked[index].push(ack.messageId);
      }
    });
    await clients[0].nextOf('message', 200);
    const stopping = node.stop();
    await Promise.all(clients.map((client) => client.next('disconnect')));
    isOver = true;
    await Promise.all([stopping, ...talking]);
    for (const [index, client] of clients.entries()) {
      for (const id of acked[index].slice(index === 0 ? 200 : 0)) await client.next('message', (message) => message.id === id);
    }
  });
});

test('SIGTERM ends raw sessions of both transports and pending polls', async () => {
  const node = await startNode(insecure);
  const socket = await SocketSession.connected(node, 'raw-socket');
  const polling = await PollingSession.connected(node, 'raw-polling');
  const pending = polling.poll().catch(() => 'broken off');
  await polling.push('3');
  await node.stop();
  await socket.untilClosed();
  await pending;
});

test('a node can be stopped at once after its start, and started again on its port, many times', async () => {
  let port;
  for (let round = 0; round < 5; round += 1) {
    const node = await startNode(insecure, port);
    port = node.port;
    await withClients(node, {}, async (open) => (await open('visitor')).settled());
    await node.stop();
  }
});

/** Each client says one thing and hears the same from everybody. */
async function sayHelloTo(clients, when) {
  const acks = await Promise.all(clients.map((client) => client.send('home', `${when}: ${client.userId}`)));
  assert.ok(acks.every((ack) => ack.success));
  for (const client of clients) {
    const heard = (await client.nextOf('message', clients.length)).map((message) => message.content);
    assert.deepEqual(heard.sort(), clients.map((other) => `${when}: ${other.userId}`).sort());
  }
}
