// What the product's own suite holds a server to, as our own tests: one node, default limits, clients as that suite makes
// them (polling with upgrade, no reconnection, tokens that are no JWTs). One of its 27 asks for what no server can do.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { withClients } from './client.mjs';
import { inTime } from './inbox.mjs';
import { call, get, poll, post } from './rest.mjs';
import { insecure, startNode } from './server.mjs';

const channelId = 'test-channel-realtime-1';
const options = { reconnection: false, timeout: 5000 };
const as = (n, more = {}) => ({ ...options, auth: { token: `test-token-${n}`, userId: `test-user-${n}`, ...more } });

let node;
before(async () => {
  node = await startNode({ ...insecure, REALTIME_RATE_LIMIT_ENABLED: 'true', REALTIME_TYPING_TIMEOUT: '500' });
});
after(() => node.stop());

const withPair = (scenario) =>
  withClients(node, {}, async (open) => {
    const [one, two] = [await open(undefined, as(1)), await open(undefined, as(2))];
    return scenario(one, two, open);
  });

/** Both join at the same instant, as that suite does. */
async function inChannel(one, two) {
  for (const client of [one, two]) client.socket.emit('channel:join', { channelId });
  await Promise.all([one, two].map((client) => client.next('channel:joined')));
}

describe('health', () => {
  test('1: is healthy, with service, version and uptime', async () => {
    const { status, body } = await get(node, '/health');
    assert.deepEqual([status, body.status, body.service], [200, 'healthy', 'realtime']);
    assert.match(body.version, /^\d+\.\d+\.\d+/);
    assert.ok(body.uptime >= 0);
  });

  test('2: shows the websocket running and the number of its connections', async () => {
    const { websocket } = (await get(node, '/health')).body;
    assert.equal(websocket.running, true);
    assert.equal(typeof websocket.connections, 'number');
  });

  test('3: shows how Redis is, if there is one', async () => {
    const { redis } = (await get(node, '/health')).body.dependencies;
    assert.ok(['connected', 'disabled'].includes(redis.status), redis.status);
  });
});

describe('connections', () => {
  test('4: a client connects', () =>
    withClients(node, as(1), async (open) => assert.equal((await open()).socket.connected, true)));

  test('5: a client is told its user', () =>
    withClients(node, as(1), async (open) => assert.equal((await open()).identity.userId, 'test-user-1')));

  test('6: a token that is none is let in, or refused as an error of authentication', () =>
    withClients(node, { ...options, auth: { token: 'invalid-token' } }, async (open, begin) => {
      const client = begin();
      const error = await Promise.race([client.next('connect').then(() => undefined), client.next('connect_error')]);
      if (error) assert.equal(error.data.type, 'auth');
    }));

  test('7: a client disconnects', () =>
    withClients(node, as(1), async (open) => {
      const client = await open();
      client.close();
      assert.equal(await client.next('disconnect'), 'io client disconnect');
      assert.equal(client.socket.connected, false);
    }));

  // The original waits for a second `connect` after the client itself has disconnected, which the library never makes.
  test('8: a client that has disconnected itself stays away, and connects when it is told to', () =>
    withClients(node, as(1), async (open) => {
      const client = await open();
      client.close();
      await client.next('disconnect');
      assert.equal(client.socket.active, false);
      client.socket.connect();
      await client.next('connect');
    }));
});

describe('channels', () => {
  test('9: a join is told to who joins', () =>
    withPair(async (one) => {
      one.socket.emit('channel:join', { channelId });
      const joined = await one.next('channel:joined');
      assert.deepEqual([joined.channelId, joined.userId], [channelId, 'test-user-1']);
    }));

  test('10: a leave is told to who leaves', () =>
    withPair(async (one, two) => {
      await inChannel(one, two);
      one.socket.emit('channel:leave', { channelId });
      assert.equal((await one.next('channel:left')).channelId, channelId);
    }));

  test('11: the members are told as a list', () =>
    withPair(async (one, two) => {
      await inChannel(one, two);
      assert.ok(Array.isArray((await one.next('channel:members')).members));
    }));
});

describe('presence', () => {
  test('12: of a channel is a list and four counts, also before anybody has joined', async () => {
    const { status, body } = await get(node, '/presence/nobody-was-here');
    assert.equal(status, 200);
    assert.ok(Array.isArray(body.users));
    for (const state of ['online', 'away', 'dnd', 'offline']) assert.equal(typeof body.count[state], 'number');
  });

  test('13: is set over REST', async () => {
    const { status, body } = await post(node, `/presence/${channelId}`, { userId: 'test-user-1', status: 'online' });
    assert.deepEqual([status, body.success], [200, true]);
  });

  test('14: of one client is told to the other', () =>
    withPair(async (one, two) => {
      await inChannel(one, two);
      one.socket.emit('presence:update', { status: 'away' });
      const presence = await two.next('presence', ({ status }) => status === 'away');
      assert.equal(presence.userId, 'test-user-1');
    }));

  test('15: goes through all four states', () =>
    withPair(async (one, two) => {
      await inChannel(one, two);
      for (const status of ['away', 'dnd', 'offline', 'online']) {
        one.socket.emit('presence:update', { status });
        await two.next('presence', (presence) => presence.userId === 'test-user-1' && presence.status === status);
      }
    }));
});

describe('typing', () => {
  test('16: of one client is told to the other', () =>
    withPair(async (one, two) => {
      await inChannel(one, two);
      one.socket.emit('typing', { channelId, isTyping: true });
      const { userId, channelId: place, isTyping } = await two.next('typing');
      assert.deepEqual([userId, place, isTyping], ['test-user-1', channelId, true]);
    }));

  test('17: ends by itself', () =>
    withPair(async (one, two) => {
      await inChannel(one, two);
      one.socket.emit('typing', { channelId, isTyping: true });
      await two.next('typing', ({ isTyping }) => isTyping);
      await two.next('typing', ({ isTyping }) => !isTyping);
    }));

  test('18: is told over REST', async () => {
    const { status, body } = await post(node, '/typing', { userId: 'test-user-1', channelId, isTyping: true });
    assert.deepEqual([status, body.success], [200, true]);
  });
});

describe('messages', () => {
  test('19: of one client arrive at the other', () =>
    withPair(async (one, two) => {
      await inChannel(one, two);
      one.socket.emit('message:send', { channelId, content: 'Hello from test', mentions: [] });
      const message = await two.next('message', ({ content }) => content === 'Hello from test');
      assert.deepEqual([message.channelId, message.userId], [channelId, 'test-user-1']);
    }));

  test('20: arrive with their mentions', () =>
    withPair(async (one, two) => {
      await inChannel(one, two);
      one.socket.emit('message:send', { channelId, content: 'Hello @two', mentions: ['test-user-2'] });
      assert.deepEqual((await two.next('message', ({ content }) => content === 'Hello @two')).mentions, ['test-user-2']);
    }));

  test('21: are sent over REST', async () => {
    const { status, body } = await post(node, '/messages', { channelId, userId: 'test-user-1', content: 'hi', mentions: [] });
    assert.deepEqual([status, body.success], [200, true]);
  });

  test('22: are polled', async () => {
    const { status, body } = await poll(node, channelId, { since: Date.now() });
    assert.equal(status, 200);
    assert.ok(Array.isArray(body.messages) && body.timestamp !== undefined);
  });
});

describe('limits and errors', () => {
  test('23: of 150 typing indicators at once, some are too many', async () => {
    const body = { userId: 'test-user-1', channelId, isTyping: true };
    const answers = await Promise.all(Array.from({ length: 150 }, () => post(node, '/typing', body)));
    assert.ok(answers.some(({ status }) => status === 429));
    assert.ok(answers.some(({ status }) => status === 200));
  });

  test('24: right after it, presence of an odd channel is answered and not limited', async () => {
    const { status } = await post(node, '/presence/invalid-channel-id', { userId: 'test-user-1', status: 'online' });
    assert.ok([200, 400, 404].includes(status), `${status}`);
  });

  test('25: missing fields are refused', async () => {
    for (const [path, body] of [['/typing', {}], ['/messages', { channelId }], ['/presence/x', {}]]) {
      const { status } = await post(node, path, body);
      assert.ok(status >= 400 && status < 500, `${path}: ${status}`);
    }
    assert.ok((await call(node, 'GET', '/no-such-route')).body.error);
  });

  test('26: joining the empty channel is an error', () =>
    withPair(async (one) => {
      one.socket.emit('channel:join', { channelId: '' });
      assert.equal(typeof (await one.next('error')).message, 'string');
    }));

  test('27: ten clients connect at once, and REST answers meanwhile', () =>
    withClients(node, {}, async (open) => {
      const opening = Promise.all(Array.from({ length: 10 }, (_, n) => open(undefined, as(n + 10))));
      assert.equal((await inTime(get(node, '/health'), 'an answer')).status, 200);
      for (const client of await inTime(opening, 'ten connections')) assert.equal(client.socket.connected, true);
    }));
});
