// How stock clients come in, are greeted, kept alive and let go.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { transports, withClients } from './client.mjs';
import { inTime, until } from './inbox.mjs';
import { insecure, startNode } from './server.mjs';

let node;
before(async () => {
  // Whoever leaves is a member until the grace is over.
  node = await startNode({ ...insecure, REALTIME_PRESENCE_TIMEOUT: '100' });
});
after(() => node.stop());

for (const [way, options] of Object.entries(transports)) {
  test(`${way}: a client is greeted by connected and authenticated, in this order`, () =>
    withClients(node, options, async (open, begin) => {
      const client = begin('greeted');
      const order = [];
      client.socket.onAny((event) => order.push(event));
      const greeting = await client.next('connected');
      const identity = await client.next('authenticated');

      assert.deepEqual(order, ['connected', 'authenticated']);
      assert.equal(typeof greeting.socketId, 'string');
      assert.equal(greeting.protocolVersion, '1.0');
      assert.equal(new Date(greeting.serverTime).toISOString(), greeting.serverTime);
      assert.equal(identity.userId, 'greeted');
      assert.equal(identity.user.id, 'greeted');
      assert.ok(typeof identity.sessionId === 'string' && identity.sessionId !== '');
      assert.deepEqual(identity.rooms, ['user:greeted']);
      assert.ok(Array.isArray(identity.roles));

      const next = await open('greeted');
      assert.notEqual(next.socket.id, greeting.socketId);
      assert.equal(next.greeting.socketId, next.socket.id);
    }));

  test(`${way}: a ping with an acknowledgement brings the timestamp back beside the node's own`, () =>
    withClients(node, options, async (open) => {
      const client = await open('pinger');
      const sentAt = Date.now() - 5;
      const reply = await client.ask('ping', { timestamp: sentAt });
      assert.equal(reply.timestamp, sentAt);
      assert.ok(Number.isInteger(reply.serverTime));
      assert.equal(client.unread('pong'), 0);
    }));

  test(`${way}: a ping without an acknowledgement is answered by pong`, () =>
    withClients(node, options, async (open) => {
      const client = await open('pinger');
      client.socket.emit('ping', { timestamp: 7 });
      const pong = await client.next('pong');
      assert.equal(pong.timestamp, 7);
      assert.ok(Number.isInteger(pong.serverTime));
      client.socket.emit('ping');
      assert.ok(Number.isInteger((await client.next('pong')).timestamp));
    }));

  test(`${way}: events sent before the greeting has arrived are served`, () =>
    withClients(node, options, async (_, begin) => {
      const client = begin('eager');
      const ack = await client.join('eager-channel'); // buffered by the client until CONNECT is answered
      assert.equal(ack.success, true);
    }));

  test(`${way}: a client that leaves by itself is gone for the others' channel`, () =>
    withClients(node, options, async (open) => {
      const [stays, goes] = [await open('stays'), await open('goes')];
      await stays.join(`leaving by ${way}`);
      assert.equal((await goes.join(`leaving by ${way}`)).data.memberCount, 2);
      goes.close();
      await until('one member is left', async () => (await stays.join(`leaving by ${way}`)).data.memberCount === 1);
    }));
}

test('the default client ends up on websocket', () =>
  withClients(node, {}, async (_, begin) => {
    const client = begin('climber');
    const upgraded = new Promise((resolve) => client.socket.io.once('open', () => client.socket.io.engine.once('upgrade', resolve)));
    await client.next('connect');
    assert.equal((await inTime(upgraded, 'the upgrade')).name, 'websocket');
    assert.equal((await client.join('climbed')).success, true);
  }));

test('a client that sends and receives all through its upgrade loses nothing', () =>
  withClients(node, {}, async (open, begin) => {
    const talker = await open('talker', { transports: ['websocket'] });
    await talker.join('upgrade');
    const climber = begin('climber');
    await climber.join('upgrade');
    const upgraded = new Promise((resolve) => climber.socket.io.engine.once('upgrade', resolve));
    let isUpgraded = climber.socket.io.engine.transport.name === 'websocket';
    upgraded.then(() => (isUpgraded = true));

    let sent = 0;
    inTime(upgraded, 'the upgrade').catch(() => (isUpgraded = true)); // the assertion below tells of it
    while (!isUpgraded || sent < 50) {
      await Promise.all([talker.send('upgrade', `from below ${sent}`), climber.send('upgrade', `from above ${sent}`)]);
      sent += 1;
    }
    for (const client of [talker, climber]) {
      const contents = (await client.nextOf('message', 2 * sent)).map((message) => message.content);
      for (const from of ['below', 'above']) {
        const ofOne = contents.filter((content) => content.includes(from));
        assert.deepEqual(ofOne, Array.from({ length: sent }, (_, n) => `from ${from} ${n}`));
      }
    }
  }));

test('two hundred default clients that join at once all get to websocket, and none is cut off on the way', () =>
  withClients(node, {}, async (_, begin) => {
    for (let first = 0; first < 200; first += 20) {
      const clients = Array.from({ length: 20 }, (_, n) => begin(`climber-${first + n}`, { reconnection: false }));
      const upgrades = clients.map((client) => {
        const engine = client.socket.io.engine;
        return new Promise((resolve) => {
          engine.once('upgrade', () => resolve('upgraded'));
          engine.once('upgradeError', (error) => resolve(error.message));
          engine.once('close', (reason, detail) => resolve(`closed: ${reason}, ${detail?.context?.responseText}`));
        });
      });
      const outcomes = await inTime(Promise.all(upgrades), 'the upgrades');
      assert.deepEqual(outcomes, upgrades.map(() => 'upgraded'));
      await Promise.all(clients.map((client) => client.join('climbers')));
      for (const client of clients) assert.equal((await client.ask('ping', { timestamp: 1 })).timestamp, 1);
      for (const client of clients) client.close();
    }
  }));

test('an unknown namespace is refused by name and leaves the main one alone', () =>
  withClients(node, {}, async (open) => {
    const client = await open('wanderer');
    const elsewhere = client.socket.io.socket('/elsewhere');
    const error = await new Promise((resolve) => elsewhere.once('connect_error', resolve));
    assert.equal(error.message, 'Invalid namespace');
    assert.equal(elsewhere.active, false);
    assert.equal((await client.join('home')).success, true);
  }));

test('volatile events and acknowledgements with a timeout work on a live connection', () =>
  withClients(node, {}, async (open) => {
    const client = await open('hasty');
    await client.join('hasty');
    const reply = await client.socket.timeout(10_000).emitWithAck('ping', { timestamp: 1 });
    assert.equal(reply.timestamp, 1);
    client.socket.volatile.emit('message:send', { channelId: 'hasty', content: 'if you can' });
    assert.equal((await client.next('message')).content, 'if you can');
  }));

test('one client can have many connections, each with a socket id of its own', () =>
  withClients(node, {}, async (open) => {
    const ids = [];
    for (const options of Object.values(transports)) ids.push((await open('many-handed', options)).socket.id);
    assert.equal(new Set(ids).size, ids.length);
  }));
