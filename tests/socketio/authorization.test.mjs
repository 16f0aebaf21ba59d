// Who may join what: names, roles, the token's own list, and prefixes. The webhook has a file of its own.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { withClients } from './client.mjs';
import { post } from './rest.mjs';
import { insecure, startNode } from './server.mjs';
import { tokenOf } from './tokens.mjs';

const websocket = { transports: ['websocket'] };
const hasuraNamespace = 'https://hasura.io/jwt/claims';
const apiKey = 'the-key-of-the-suite';

let node;
before(async () => {
  node = await startNode({ REALTIME_API_KEY: apiKey });
});
after(() => node.stop());

const as = (userId, claims = {}) => ({ auth: { token: tokenOf(userId, claims) } });

/** Joins under both names, with and without an acknowledgement; the answer must be the same each time. */
async function assertJoin(client, channelId, isAllowed) {
  const joinsHeard = () => client.unread('channel:joined') + client.unread('channel:members');
  const before = joinsHeard();
  const ack = await client.join(channelId);
  assert.equal(ack.success, isAllowed, channelId);
  if (isAllowed) return;
  assert.equal(ack.error.code, 'ROOM_ACCESS_DENIED', channelId);
  client.socket.emit('channel:join', { channelId });
  const { type, code, channelId: place } = await client.next('error');
  assert.deepEqual([type, code, place], ['authorization', 'ROOM_ACCESS_DENIED', channelId]);
  assert.equal(joinsHeard(), before, channelId);
  assert.equal((await client.send(channelId, 'let me in')).error.code, 'NOT_JOINED', channelId);
}

describe('by name alone', () => {
  const rooms = [
    ['general', true],
    ['test-channel-realtime-1', true],
    ['private-channel', false],
    ['channel:private-channel', false],
    ['private:board', false],
    ['not-private-at-all', true],
    ['user:alice', true],
    ['user:bob', false],
    ['dm:alice:bob', true],
    ['dm:bob:alice', true],
    ['dm:bob:carol', false],
    ['dm:alice2:bob', false],
    ['dm:opaque', false],
    ['thread:t1', true],
  ];
  for (const [channelId, isAllowed] of rooms) {
    test(`${channelId} is ${isAllowed ? 'open' : 'closed'} to alice`, () =>
      withClients(node, { ...websocket, ...as('alice') }, async (open) => {
        const alice = await open();
        const canonical = channelId.startsWith('channel:') ? channelId.slice('channel:'.length) : channelId;
        await (isAllowed ? assertJoin(alice, channelId, true) : assertJoin(alice, canonical, false));
        assert.equal((await alice.join(channelId)).success, isAllowed);
      }));
  }
});

describe('by role', () => {
  for (const role of ['owner', 'admin', 'service']) {
    test(`${role} may join private channels`, () =>
      withClients(node, { ...websocket, ...as('staff', { role }) }, async (open) => assertJoin(await open(), 'private-channel', true)));
  }
  test('moderator may not', () =>
    withClients(node, { ...websocket, ...as('staff', { role: 'moderator' }) }, async (open) => assertJoin(await open(), 'private-channel', false)));
});

describe('by the token’s own list', () => {
  const lists = [
    ['rooms', (list) => ({ rooms: list })],
    ['channels', (list) => ({ channels: list })],
    ['x-hasura-channels as a list', (list) => ({ [hasuraNamespace]: { 'x-hasura-user-id': 'alice', 'x-hasura-channels': list } })],
    ['x-hasura-channels as Postgres writes it', (list) => ({ [hasuraNamespace]: { 'x-hasura-user-id': 'alice', 'x-hasura-channels': `{${list}}` } })],
  ];
  for (const [form, claimsOf] of lists) {
    test(`in ${form}, what it names is open, private or not, and nothing else`, () =>
      withClients(node, { ...websocket, ...as('alice', claimsOf(['general', 'private-board', 'channel:team-*'])) }, async (open) => {
        const alice = await open();
        for (const channelId of ['general', 'private-board', 'team-red', 'team-']) await assertJoin(alice, channelId, true);
        for (const channelId of ['generals', 'private-other', 'tea', 'lobby']) await assertJoin(alice, channelId, false);
      }));
  }

  test('which is empty opens nothing', () =>
    withClients(node, { ...websocket, ...as('alice', { rooms: [] }) }, async (open) => assertJoin(await open(), 'general', false)));

  test('does not take a user’s own rooms away', () =>
    withClients(node, { ...websocket, ...as('alice', { rooms: [] }) }, async (open) => {
      const alice = await open();
      for (const channelId of ['user:alice', 'dm:alice:bob']) await assertJoin(alice, channelId, true);
    }));

  test('adds to the rest where the mode is additive', async () => {
    const additive = await startNode({ REALTIME_CLAIM_MODE: 'additive' });
    try {
      await withClients(additive, { ...websocket, ...as('alice', { rooms: ['private-board'] }) }, async (open) => {
        const alice = await open();
        for (const channelId of ['private-board', 'lobby']) await assertJoin(alice, channelId, true);
        await assertJoin(alice, 'private-other', false);
      });
    } finally {
      await additive.stop();
    }
  });
});

describe('by configuration', () => {
  test('prefixes of one’s own are closed, and only they', async () => {
    const strict = await startNode({ REALTIME_PRIVATE_PREFIXES: 'secret-,board-', REALTIME_ADMIN_ROLES: 'janitor' });
    try {
      await withClients(strict, websocket, async (open) => {
        const alice = await open(undefined, as('alice'));
        for (const channelId of ['secret-1', 'board-x']) await assertJoin(alice, channelId, false);
        await assertJoin(alice, 'private-channel', true);
        await assertJoin(await open(undefined, as('jan', { role: 'janitor' })), 'secret-1', true);
        await assertJoin(await open(undefined, as('ada', { role: 'admin' })), 'secret-1', false);
      });
    } finally {
      await strict.stop();
    }
  });

  test('everything that nobody opens is closed where the default is deny', async () => {
    const closed = await startNode({ REALTIME_ROOM_DEFAULT: 'deny' });
    try {
      await withClients(closed, websocket, async (open) => {
        await assertJoin(await open(undefined, as('alice')), 'general', false);
        await assertJoin(await open(undefined, as('alice', { rooms: ['general'] })), 'general', true);
        await assertJoin(await open(undefined, as('ada', { role: 'admin' })), 'general', true);
      });
    } finally {
      await closed.stop();
    }
  });

  test('private names are private in development mode, too', async () => {
    const open = await startNode(insecure);
    try {
      await withClients(open, websocket, async (begin) => {
        const alice = await begin('alice');
        await assertJoin(alice, 'private-channel', false);
        await assertJoin(alice, 'test-channel-realtime-1', true);
      });
    } finally {
      await open.stop();
    }
  });
});

describe('a membership ends', () => {
  /** Alice's session is out of the channel: it is told, hears nothing more and cannot send. */
  async function assertEvicted(alice, speaker, channelId) {
    const ofChannel = (event) => event.channelId === channelId;
    await Promise.any([alice.next('channel:left', ofChannel), alice.next('error', ofChannel)]);
    await speaker.send(channelId, 'without alice');
    await speaker.next('message', ({ content }) => content === 'without alice');
    assert.equal((await alice.send(channelId, 'let me in')).error.code, 'NOT_JOINED');
    assert.equal(alice.unread('message'), 0);
  }

  test('when a fresh token does not name the channel any more', () =>
    withClients(node, websocket, async (open) => {
      const alice = await open(undefined, as('alice', { rooms: ['team-red', 'team-blue'] }));
      const speaker = await open(undefined, as('speaker'));
      for (const client of [alice, speaker]) for (const channelId of ['team-red', 'team-blue']) await client.enter(channelId);
      const ack = await alice.ask('auth:refresh', { token: tokenOf('alice', { rooms: ['team-blue'] }) });
      assert.equal(ack.success, true);
      await assertEvicted(alice, speaker, 'team-red');
      await speaker.send('team-blue', 'with alice');
      assert.equal((await alice.next('message')).content, 'with alice');
      await assertJoin(alice, 'team-red', false);
    }));

  test('not when a fresh token says the same', () =>
    withClients(node, websocket, async (open) => {
      const alice = await open(undefined, as('alice', { rooms: ['team-red'] }));
      await alice.enter('team-red');
      await alice.ask('auth:refresh', { token: tokenOf('alice', { rooms: ['team-red'] }) });
      assert.equal((await alice.send('team-red', 'still here')).success, true);
    }));
});

describe('POST /api/permissions/invalidate', () => {
  test('takes a user, a channel, or both', async () => {
    for (const body of [{ userId: 'alice' }, { channelId: 'general' }, { userId: 'alice', channelId: 'general' }]) {
      const answer = await post(node, '/api/permissions/invalidate', body, { 'X-API-Key': apiKey });
      assert.deepEqual([answer.status, answer.body.success], [200, true], JSON.stringify(body));
    }
  });

  test('refuses what names neither', async () => {
    for (const body of [{}, { userId: '' }, { userId: 7 }, { channelId: null }]) {
      const answer = await post(node, '/api/permissions/invalidate', body, { 'X-API-Key': apiKey });
      assert.deepEqual([answer.status, answer.body.error.code], [400, 'VALIDATION_ERROR'], JSON.stringify(body));
    }
  });
});
