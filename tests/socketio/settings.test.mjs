// What an operator can rename, switch off or demand, as clients see it; what the other files do not need for themselves.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { withClients } from './client.mjs';
import { inTime } from './inbox.mjs';
import { get } from './rest.mjs';
import { insecure, startNode } from './server.mjs';
import { nowSecs, sign, tokenOf } from './tokens.mjs';

const websocket = { transports: ['websocket'] };

/** Runs `scenario` with a node of its own. */
async function withNode(environment, scenario) {
  const node = await startNode(environment);
  try {
    return await scenario(node);
  } finally {
    await node.stop();
  }
}

const statusesOf = async (node, paths) => Promise.all(paths.map(async (path) => (await get(node, path)).status));

describe('pages', () => {
  test('of metrics and health may be switched off, and the others stay', () =>
    withNode({ ...insecure, REALTIME_METRICS_ENABLED: 'false', REALTIME_ENABLE_HEALTH: 'false' }, async (node) => {
      assert.deepEqual(await statusesOf(node, ['/metrics', '/health', '/healthz', '/readyz']), [404, 404, 200, 200]);
    }));

  test('of metrics and health may be elsewhere', () =>
    withNode({ ...insecure, REALTIME_METRICS_PATH: '/m', REALTIME_HEALTH_PATH: '/h' }, async (node) => {
      assert.deepEqual(await statusesOf(node, ['/metrics', '/health', '/m', '/h']), [404, 404, 200, 200]);
    }));
});

describe('identities', () => {
  /** What becomes of a client with this token: its user, or the code of its refusal. */
  const outcomeOf = (node, token) =>
    withClients(node, websocket, async (open, begin) => {
      const client = begin(undefined, { auth: token === undefined ? {} : { token } });
      const answer = new Promise((resolve) => client.socket.once('authenticated', resolve).once('connect_error', resolve));
      const { userId, data } = await inTime(answer, 'a yes or a no');
      return userId ?? data.code;
    });

  test('may be none: guests come in, each under a name of its own, and a bad token is still refused', () =>
    withNode({ REALTIME_ALLOW_ANONYMOUS: 'true' }, async (node) => {
      const guests = [await outcomeOf(node), await outcomeOf(node)];
      assert.equal(new Set(guests).size, 2, `${guests}`);
      assert.equal(await outcomeOf(node, tokenOf('alice')), 'alice');
      assert.equal(await outcomeOf(node, sign({ sub: 'alice', exp: nowSecs() + 60 }, { key: 'another key, and long enough' })), 'AUTHENTICATION_FAILED');
    }));

  test('need the issuer, the audience and the claims that are demanded, and are taken from the claim that is named', () =>
    withNode(
      {
        REALTIME_JWT_ISSUER: 'https://auth.example',
        REALTIME_JWT_AUDIENCE: 'chat',
        REALTIME_JWT_REQUIRED_CLAIMS: 'role',
        REALTIME_JWT_USER_CLAIM: 'nickname',
      },
      async (node) => {
        const whole = { iss: 'https://auth.example', aud: 'chat', role: 'user', nickname: 'ally' };
        assert.equal(await outcomeOf(node, tokenOf('alice', whole)), 'ally');
        for (const flaw of [{ iss: 'https://evil.example' }, { aud: 'mail' }, { role: undefined }]) {
          assert.equal(await outcomeOf(node, tokenOf('alice', { ...whole, ...flaw })), 'AUTHENTICATION_FAILED', JSON.stringify(flaw));
        }
      },
    ));

  test('end with their token where that is wanted: the client is warned, and stays with a fresh one', () =>
    withNode({ REALTIME_JWT_EXPIRY: 'disconnect' }, (node) =>
      withClients(node, websocket, async (open) => {
        const alice = await open(undefined, { auth: { token: tokenOf('alice', { exp: nowSecs() + 1 }) } });
        const { code, event } = await alice.next('error');
        assert.deepEqual([code, event], ['TOKEN_EXPIRED', 'auth:refresh']);
        assert.equal((await alice.ask('auth:refresh', { token: tokenOf('alice') })).success, true);
        assert.equal((await alice.join('still here')).success, true);
      })));
});

test('a packet beyond the configured size closes the session, and one below does not', () =>
  withNode({ ...insecure, REALTIME_MAX_PAYLOAD: '2000' }, (node) =>
    withClients(node, websocket, async (open) => {
      const alice = await open('alice', { reconnection: false });
      await alice.enter('small talk');
      assert.equal((await alice.send('small talk', 'x'.repeat(1_500))).success, true);
      alice.socket.emit('message:send', { channelId: 'small talk', content: 'x'.repeat(2_500) });
      await alice.next('disconnect');
    })));

test('REST answers whoever asks where it is switched open in development mode, and demands keys where it is told to', async () => {
  await withNode({ ...insecure, REALTIME_REST_AUTH: 'off' }, async (node) => {
    assert.equal((await get(node, '/presence/c', { Authorization: 'Bearer nonsense' })).status, 200);
  });
  await withNode({ ...insecure, REALTIME_REST_AUTH: 'required', REALTIME_API_KEY: 'the-key-of-the-back-end' }, async (node) => {
    assert.equal((await get(node, '/presence/c')).status, 401);
    assert.equal((await get(node, '/presence/c', { 'X-API-Key': 'the-key-of-the-back-end' })).status, 200);
  });
});
