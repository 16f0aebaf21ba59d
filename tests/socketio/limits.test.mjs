// What one user may do in a minute, how often they may be connected, and how much of everything there may be.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { membersOf, withClients } from './client.mjs';
import { until } from './inbox.mjs';
import { get, poll, post } from './rest.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const points = 10;
const limited = { ...insecure, REALTIME_RATE_LIMIT_ENABLED: 'true', REALTIME_RATE_LIMIT_POINTS: `${points}`, REALTIME_RATE_LIMIT_DURATION: '60' };
const apiKey = 'the-key-of-the-suite';

/** Does a thing again and again until the node refuses, and returns how often it did not. */
async function countUntilRefused(act) {
  for (let count = 0; count < 1_000; count += 1) {
    const ack = await act(count);
    if (ack.success) continue;
    assertRefusal(ack.error);
    return count;
  }
  throw new Error('nothing was refused');
}

function assertRefusal({ code, retryAfter }) {
  assert.equal(code, 'RATE_LIMIT_EXCEEDED');
  assert.ok(Number.isInteger(retryAfter) && retryAfter >= 1 && retryAfter <= 60, `${retryAfter}`);
}

describe('in one window a user may', () => {
  let node;
  before(async () => {
    node = await startNode({ ...limited, REALTIME_API_KEY: apiKey });
  });
  after(() => node.stop());

  // Each class counts by itself: every test has users of its own.
  test(`send ${points} messages`, () =>
    withClients(node, websocket, async (open) => {
      const [sender, hearer] = await membersOf(open, 'messages', 'sender', 'hearer');
      assert.equal(await countUntilRefused((n) => sender.send('messages', `${n}`)), points);
      sender.socket.emit('message:send', { channelId: 'messages', content: 'one more' });
      const error = await sender.next('error');
      assert.equal(error.type, 'rate_limit');
      assertRefusal(error);
      await hearer.send('messages', 'the last word');
      const heard = (await hearer.nextOf('message', points + 1)).map(({ content }) => content);
      assert.deepEqual(heard, [...Array.from({ length: points }, (_, n) => `${n}`), 'the last word']);
    }));

  test(`read and react ${points} times together`, () =>
    withClients(node, websocket, async (open) => {
      const [reader] = await membersOf(open, 'receipts', 'reader');
      const acts = [
        () => reader.ask('read', { channelId: 'receipts', messageId: 'm' }),
        () => reader.ask('reaction:add', { channelId: 'receipts', messageId: 'm', emoji: '👍' }),
      ];
      assert.equal(await countUntilRefused((n) => acts[n % 2]()), points);
    }));

  test(`change the status ${points} times, heartbeats not counted`, () =>
    withClients(node, websocket, async (open) => {
      const [restless] = await membersOf(open, 'statuses', 'restless');
      const set = (status) => restless.ask('presence:update', { status });
      await set('away');
      for (let beat = 0; beat < 3 * points; beat += 1) assert.equal((await set('away')).success, true);
      assert.equal(await countUntilRefused((n) => set(['online', 'away'][n % 2])), points - 1);
    }));

  test(`join and leave ${5 * points} times`, () =>
    withClients(node, websocket, async (open) => {
      const mover = await open('mover');
      const acts = [() => mover.join('moves'), () => mover.ask('channel:leave', { channelId: 'moves' })];
      assert.equal(await countUntilRefused((n) => acts[n % 2]()), 5 * points);
    }));

  test(`type ${points} times, and what is too much is silence`, () =>
    withClients(node, websocket, async (open) => {
      const [typist, witness] = await membersOf(open, 'typing', 'typist', 'witness');
      for (let n = 0; n < 2 * points; n += 1) typist.socket.emit('typing', { channelId: 'typing', isTyping: n % 2 === 0 });
      await typist.settled();
      await witness.send('typing', 'marker');
      await witness.next('message');
      assert.equal(witness.unread('typing'), points);
      assert.equal(typist.unread('error'), 0);
    }));

  test('do each of these although the others are used up', () =>
    withClients(node, websocket, async (open) => {
      const [busy] = await membersOf(open, 'classes', 'busy');
      await countUntilRefused((n) => busy.send('classes', `${n}`));
      assert.equal((await busy.ask('read', { channelId: 'classes', messageId: 'm' })).success, true);
      assert.equal((await busy.ask('presence:update', { status: 'away' })).success, true);
      assert.equal((await busy.ask('typing', { channelId: 'classes', isTyping: true })).success, true);
      assert.equal((await busy.ask('channel:leave', { channelId: 'classes' })).success, true);
    }));

  test('ping, refresh, subscribe and ask without end', () =>
    withClients(node, websocket, async (open) => {
      const [curious] = await membersOf(open, 'free', 'curious');
      for (let n = 0; n < 6 * points; n += 1) {
        await curious.settled();
        curious.socket.emit('pong', {});
        assert.equal((await curious.ask('presence:subscribe', { userIds: ['somebody'] })).success, true);
        assert.equal((await curious.ask('presence:get', { userIds: ['somebody'] })).success, true);
      }
    }));

  test('not go on from another device, nor over REST', () =>
    withClients(node, websocket, async (open) => {
      const [phone] = await membersOf(open, 'evasion', 'evader');
      const laptop = await open('evader');
      await laptop.enter('evasion');
      for (let n = 0; n < points; n += 1) assert.equal((await [phone, laptop][n % 2].send('evasion', `${n}`)).success, true);
      for (const device of [phone, laptop]) assertRefusal((await device.send('evasion', 'more')).error);
      const answer = await post(node, '/messages', { channelId: 'evasion', userId: 'evader', content: 'more' });
      assert.equal(answer.status, 429);
      const other = await post(node, '/messages', { channelId: 'evasion', userId: 'somebody else', content: 'fine' });
      assert.equal(other.status, 200);
    }));

  test('not begin anew with a new connection', () =>
    withClients(node, websocket, async (open) => {
      const [first] = await membersOf(open, 'again', 'returning');
      await countUntilRefused((n) => first.send('again', `${n}`));
      first.close();
      const second = await open('returning');
      await second.enter('again');
      assertRefusal((await second.send('again', 'fresh start')).error);
    }));

  test('be told over REST by 429, Retry-After and how much is left', async () => {
    const typing = () => post(node, '/typing', { userId: 'rest typist', channelId: 'c', isTyping: true });
    const first = await typing();
    assert.equal(first.status, 200);
    assert.equal(first.headers.get('x-ratelimit-limit'), `${points}`);
    assert.equal(first.headers.get('x-ratelimit-remaining'), `${points - 1}`);
    const answers = await Promise.all(Array.from({ length: points }, typing));
    const refused = answers.filter(({ status }) => status === 429);
    assert.equal(refused.length, 1);
    assertRefusal(refused[0].body.error);
    assert.equal(refused[0].headers.get('retry-after'), `${refused[0].body.error.retryAfter}`);
    assert.equal(refused[0].headers.get('x-ratelimit-remaining'), '0');
    assert.ok(Number(refused[0].headers.get('x-ratelimit-reset')) > 0);
    assert.equal((await post(node, '/presence/c', { userId: 'rest typist', status: 'online' })).status, 200, 'another class');
  });

  test('read over REST without end', async () => {
    for (let n = 0; n < 6 * points; n += 1) {
      assert.equal((await get(node, '/presence/c')).status, 200);
      assert.equal((await poll(node, 'c')).status, 200);
      assert.equal((await get(node, '/health')).status, 200);
    }
  });

  test('be outdone by a back end: broadcasts are not limited', async () => {
    for (let n = 0; n < 6 * points; n += 1) {
      const body = { eventType: 'note', rooms: ['channel:c'], payload: {}, eventId: `${n}` };
      assert.equal((await post(node, '/api/broadcast', body, { 'X-API-Key': apiKey })).status, 200);
    }
  });
});

test('a new window gives new points, when retryAfter says', async () => {
  const node = await startNode({ ...limited, REALTIME_RATE_LIMIT_POINTS: '3', REALTIME_RATE_LIMIT_DURATION: '1' });
  try {
    await withClients(node, websocket, async (open) => {
      const [sender] = await membersOf(open, 'windows', 'sender');
      assert.equal(await countUntilRefused((n) => sender.send('windows', `${n}`)), 3);
      await until('there are points again', async () => (await sender.send('windows', 'again')).success);
    });
  } finally {
    await node.stop();
  }
});

test('a client rejoins a hundred rooms under the default limits', async () => {
  const node = await startNode({ ...insecure, REALTIME_RATE_LIMIT_ENABLED: 'true' });
  try {
    await withClients(node, websocket, async (open) => {
      const alice = await open('alice');
      for (let round = 0; round < 2; round += 1) {
        const acks = await Promise.all(Array.from({ length: 100 }, (_, n) => alice.ask('room:join', { roomName: `room-${n}` })));
        assert.ok(acks.every(({ success }) => success), `round ${round}`);
      }
    });
  } finally {
    await node.stop();
  }
});

describe('connections per user', () => {
  let node;
  before(async () => {
    node = await startNode({ ...insecure, REALTIME_MAX_CONNECTIONS_PER_USER: '3' });
  });
  after(() => node.stop());

  for (const [way, options] of [['websocket', websocket], ['polling', { transports: ['polling'] }]]) {
    test(`beyond the limit are refused in a way that is final, over ${way}; another user comes in`, () =>
      withClients(node, options, async (open, begin) => {
        const devices = await Promise.all(Array.from({ length: 3 }, () => open(`crowd by ${way}`)));
        const fourth = begin(`crowd by ${way}`);
        const error = await fourth.next('connect_error');
        assert.equal(error.data.code, 'TOO_MANY_CONNECTIONS');
        assert.equal(fourth.socket.active, false);
        await open(`somebody else by ${way}`);
        for (const device of devices) await device.settled();

        devices[0].close();
        await until('there is room again', async () => {
          const next = begin(`crowd by ${way}`);
          return Promise.race([next.next('connect').then(() => true), next.next('connect_error').then(() => false)]);
        });
      }));
  }
});

describe('bounds', () => {
  let node;
  before(async () => {
    node = await startNode({ ...insecure, REALTIME_MAX_ROOMS_PER_SOCKET: '5', REALTIME_MAX_MESSAGE_LENGTH: '20' });
  });
  after(() => node.stop());

  test('a session joins as many channels as it may, and can change them', () =>
    withClients(node, websocket, async (open) => {
      const alice = await open('alice');
      for (let n = 0; n < 5; n += 1) assert.equal((await alice.join(`room ${n}`)).success, true);
      const ack = await alice.join('one more');
      assert.deepEqual([ack.success, ack.error.code], [false, 'MAX_ROOMS_EXCEEDED']);
      assert.equal((await alice.join('room 3')).success, true, 'again is not one more');
      await alice.ask('channel:leave', { channelId: 'room 0' });
      assert.equal((await alice.join('one more')).success, true);
    }));

  test('the length of a message is counted in characters, over Socket.IO and REST', () =>
    withClients(node, websocket, async (open) => {
      const [alice] = await membersOf(open, 'length', 'alice');
      for (const character of ['x', '語', '🎈']) {
        assert.equal((await alice.send('length', character.repeat(20))).success, true, character);
        assert.equal((await alice.send('length', character.repeat(21))).error.code, 'PAYLOAD_TOO_LARGE', character);
        const body = { channelId: 'length', userId: 'u', content: character.repeat(21) };
        assert.equal((await post(node, '/messages', body)).status, 413, character);
      }
    }));
});
