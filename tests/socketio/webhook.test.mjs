// The permission webhook: what it is asked, how its answers hold, and that without a clear yes nobody comes in.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { withClients } from './client.mjs';
import { Doorkeeper, signatureOf } from './doorkeeper.mjs';
import { until } from './inbox.mjs';
import { poll, post } from './rest.mjs';
import { startNode } from './server.mjs';
import { tokenOf } from './tokens.mjs';

const websocket = { transports: ['websocket'] };
const apiKey = 'the-key-of-the-suite';
const secret = 'what-signs-the-questions';
const pluginSecret = 'the-secret-among-plugins';
const withKey = { 'X-API-Key': apiKey };
const as = (userId, claims = {}) => ({ auth: { token: tokenOf(userId, claims) } });

let doorkeeper;
let node;
before(async () => {
  doorkeeper = await Doorkeeper.start();
  node = await startNode({
    REALTIME_API_KEY: apiKey,
    PLUGIN_INTERNAL_SECRET: pluginSecret,
    REALTIME_PERMISSION_WEBHOOK_URL: doorkeeper.url,
    REALTIME_PERMISSION_WEBHOOK_SECRET: secret,
    REALTIME_PERMISSION_WEBHOOK_TIMEOUT: '700',
  });
});
after(async () => {
  await node.stop();
  await doorkeeper.stop();
});
beforeEach(() => doorkeeper.begin(() => ({ allowed: true })));

test('is asked who wants what, signed', () =>
  withClients(node, websocket, async (open) => {
    const alice = await open(undefined, as('alice', { role: 'member' }));
    assert.equal((await alice.join('asked-about')).success, true);
    const [{ body, text, headers, method, path }] = doorkeeper.questions;
    assert.deepEqual([method, path], ['POST', '/may-they']);
    assert.equal(headers['x-realtime-signature'], signatureOf(text, secret));
    assert.equal(headers['x-plugin-secret'], pluginSecret);
    assert.match(headers['content-type'], /^application\/json/);
    const { sessionId, ...rest } = body;
    assert.deepEqual(rest, {
      userId: 'alice',
      channelId: 'asked-about',
      roomName: 'channel:asked-about',
      roomType: 'channel',
      action: 'join',
      roles: ['member'],
    });
    assert.equal(sessionId, alice.identity.sessionId);
  }));

test('opens private names, which are closed without it', () =>
  withClients(node, websocket, async (open) => {
    const alice = await open(undefined, as('alice'));
    assert.equal((await alice.join('private-1')).success, true);
    doorkeeper.begin(() => ({ allowed: false, reason: 'not on the list' }));
    const ack = await alice.join('private-2');
    assert.deepEqual([ack.success, ack.error.code], [false, 'ROOM_ACCESS_DENIED']);
    alice.socket.emit('channel:join', { channelId: 'private-2' });
    assert.deepEqual(await alice.next('error').then(({ code, channelId }) => [code, channelId]), ['ROOM_ACCESS_DENIED', 'private-2']);
  }));

test('is not asked about what is decided without it', () =>
  withClients(node, websocket, async (open) => {
    const alice = await open(undefined, as('alice', { rooms: ['granted'] }));
    const admin = await open(undefined, as('root', { role: 'admin' }));
    await alice.join('granted');
    await alice.join('not-granted');
    await alice.join('user:alice');
    await alice.join('user:bob');
    await admin.join('anything');
    assert.deepEqual(doorkeeper.questions, []);
  }));

describe('without a clear yes nobody comes in:', () => {
  const respond = (status, text, headers = {}) => () => (response) => response.writeHead(status, headers).end(text);
  const failures = [
    ['a no', () => ({ allowed: false })],
    ['an answer without allowed', () => ({ reason: 'perhaps' })],
    ['allowed that is no boolean', () => ({ allowed: 'true' })],
    ['status 500', respond(500, '{"allowed":true}')],
    ['status 201', respond(201, '{"allowed":true}')],
    ['status 403', respond(403, '{"allowed":true}')],
    ['a redirect', respond(302, '', { Location: '/elsewhere' })],
    ['text that is no JSON', respond(200, 'yes')],
    ['nothing at all', respond(200, '')],
    ['a megabyte', respond(200, `{"allowed":true,"padding":"${'x'.repeat(1_000_000)}"}`)],
    ['a broken connection', () => (response) => response.destroy()],
    ['half an answer', () => (response) => response.writeHead(200, { 'Content-Length': '50' }).write('{"allowed":', () => response.destroy())],
    ['silence', () => new Promise(() => {})],
  ];
  for (const [n, [failure, answer]] of failures.entries()) {
    test(failure, () =>
      withClients(node, websocket, async (open) => {
        doorkeeper.begin(answer);
        const alice = await open(undefined, as('alice'));
        assert.equal((await alice.join(`failure-${n}`)).error?.code, 'ROOM_ACCESS_DENIED');
        assert.equal((await alice.send(`failure-${n}`, 'x')).error.code, 'NOT_JOINED');
        assert.equal((await alice.ask('ping', { timestamp: 1 })).timestamp, 1, 'the session goes on');
      }));
  }
});

describe('its answers', () => {
  test('hold: a yes is not asked for again', () =>
    withClients(node, websocket, async (open) => {
      const [one, other] = [await open(undefined, as('alice')), await open(undefined, as('alice'))];
      for (let round = 0; round < 3; round += 1) {
        for (const device of [one, other]) assert.equal((await device.join('held')).success, true);
        await one.ask('channel:leave', { channelId: 'held' });
      }
      assert.equal(doorkeeper.questions.length, 1);
    }));

  test('are merged: a hundred joins at once are one question', () =>
    withClients(node, websocket, async (open) => {
      const devices = await Promise.all(Array.from({ length: 10 }, () => open(undefined, as('alice'))));
      let release;
      doorkeeper.begin(() => new Promise((resolve) => (release = () => resolve({ allowed: true }))));
      const joins = devices.flatMap((device) => Array.from({ length: 10 }, () => device.join('merged')));
      await until('the question is asked', () => release !== undefined);
      await Promise.all(devices.map((device) => device.settled()));
      release();
      for (const ack of await Promise.all(joins)) assert.equal(ack.success, true);
      assert.equal(doorkeeper.questions.length, 1);
    }));

  test('are of one user and one channel', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = [await open(undefined, as('alice')), await open(undefined, as('bob'))];
      doorkeeper.begin(({ userId, channelId }) => ({ allowed: userId === 'alice' && channelId === 'hers' }));
      assert.equal((await alice.join('hers')).success, true);
      assert.equal((await bob.join('hers')).success, false);
      assert.equal((await alice.join('not hers')).success, false);
    }));

  test('end with their ttl', () =>
    withClients(node, websocket, async (open) => {
      const alice = await open(undefined, as('alice'));
      doorkeeper.begin(() => ({ allowed: true, ttl: 1 }));
      await alice.join('for a second');
      await until('it is asked again', async () => {
        await alice.ask('channel:leave', { channelId: 'for a second' });
        await alice.join('for a second');
        return doorkeeper.questions.length === 2;
      });
    }));

  test('do not come too late for other events of the session', () =>
    withClients(node, websocket, async (open) => {
      const alice = await open(undefined, as('alice'));
      let release;
      doorkeeper.begin(({ channelId }) => channelId !== 'slow' ? { allowed: true } : new Promise((resolve) => (release = () => resolve({ allowed: true }))));
      const slow = alice.join('slow');
      assert.equal((await alice.join('quick')).success, true);
      assert.equal((await alice.send('quick', 'hi')).success, true);
      await until('the question is asked', () => release !== undefined);
      release();
      assert.equal((await slow).success, true);
      assert.equal((await alice.send('slow', 'hi')).success, true);
    }));

  test('do not bring in who has gone meanwhile', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = [await open(undefined, as('alice')), await open(undefined, as('bob'))];
      await bob.enter('gone meanwhile');
      let release;
      doorkeeper.begin(() => new Promise((resolve) => (release = () => resolve({ allowed: true }))));
      alice.socket.emit('channel:join', { channelId: 'gone meanwhile' });
      await until('the question is asked', () => release !== undefined);
      alice.close();
      release();
      doorkeeper.begin(() => ({ allowed: true }));
      const carol = await open(undefined, as('carol'));
      assert.deepEqual((await carol.join('gone meanwhile')).data.memberCount, 2);
    }));
});

describe('POST /api/permissions/invalidate', () => {
  for (const [what, body] of [
    ['a user', { userId: 'alice' }],
    ['a channel', { channelId: 'revoked' }],
    ['both', { userId: 'alice', channelId: 'revoked' }],
  ]) {
    test(`by ${what}: who is not allowed any more is out, who is stays`, () =>
      withClients(node, websocket, async (open) => {
        doorkeeper.begin(() => ({ allowed: true }));
        await post(node, '/api/permissions/invalidate', { channelId: 'revoked' }, withKey);
        const [alice, bob] = [await open(undefined, as('alice')), await open(undefined, as('bob'))];
        for (const client of [alice, bob]) {
          await client.enter('revoked');
          await client.enter('kept');
        }
        doorkeeper.begin(({ userId, channelId }) => ({ allowed: userId !== 'alice' || channelId !== 'revoked' }));
        assert.equal((await post(node, '/api/permissions/invalidate', body, withKey)).status, 200);
        const ofRevoked = ({ channelId }) => channelId === 'revoked';
        await Promise.any([alice.next('channel:left', ofRevoked), alice.next('error', ofRevoked)]);
        assert.equal((await alice.send('revoked', 'x')).error.code, 'NOT_JOINED');
        assert.equal((await bob.send('revoked', 'still here')).success, true);
        await bob.send('kept', 'marker');
        assert.equal((await alice.next('message')).content, 'marker');
        assert.equal((await alice.join('revoked')).success, false, 'the old yes does not hold any more');
      }));
  }
});

test('is asked for polls of a user, too', async () => {
  const bearer = { Authorization: `Bearer ${tokenOf('alice')}` };
  doorkeeper.begin(({ channelId }) => ({ allowed: channelId === 'readable' }));
  assert.equal((await poll(node, 'readable', {}, bearer)).status, 200);
  const refused = await poll(node, 'unreadable', {}, bearer);
  assert.deepEqual([refused.status, refused.body.error.code], [403, 'ROOM_ACCESS_DENIED']);
});
