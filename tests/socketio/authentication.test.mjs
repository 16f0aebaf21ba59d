// Who is let in, as whom, and what the others are told.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { transports, withClients } from './client.mjs';
import { insecure, startNode } from './server.mjs';
import { forgedTokens, nowSecs, sign, tokenOf } from './tokens.mjs';

const hasuraNamespace = 'https://hasura.io/jwt/claims';

describe('with tokens demanded', () => {
  let node;
  before(async () => {
    node = await startNode();
  });
  after(() => node.stop());

  function refused(auth, options = {}) {
    return withClients(node, options, async (_, begin) => {
      const client = begin(undefined, { auth });
      const error = await client.next('connect_error');
      assert.equal(client.socket.active, false, 'the client must not try again by itself');
      assert.equal(error.data.type, 'auth');
      return error;
    });
  }

  for (const [way, options] of Object.entries(transports)) {
    test(`${way}: a good token makes its user the identity`, () =>
      withClients(node, options, async (open) => {
        const expiresAt = nowSecs() + 3600;
        const token = sign({ sub: 'alice', exp: expiresAt, role: 'moderator', displayName: 'Alice' });
        const { identity } = await open(undefined, { auth: { token } });
        assert.equal(identity.userId, 'alice');
        assert.deepEqual(identity.rooms, ['user:alice']);
        assert.deepEqual(identity.roles, ['moderator']);
        assert.equal(identity.expiresAt, expiresAt * 1000);
      }));

    test(`${way}: no token is refused as such, and the client stays away`, async () => {
      for (const auth of [{}, { userId: 'alice' }, { token: '' }]) {
        const error = await refused(auth, options);
        assert.deepEqual([error.message, error.data.code], ['Authentication required', 'AUTHENTICATION_FAILED']);
      }
    });

    test(`${way}: an expired token is refused as such, and the client stays away`, async () => {
      const error = await refused({ token: sign({ sub: 'alice', exp: nowSecs() - 3600 }) }, options);
      assert.deepEqual([error.message, error.data.code], ['Token expired', 'TOKEN_EXPIRED']);
    });

    test(`${way}: a forged token is refused, and the client stays away`, async () => {
      const error = await refused({ token: sign({ sub: 'alice', exp: nowSecs() + 60 }, { key: 'guessed' }) }, options);
      assert.deepEqual([error.message, error.data.code], ['Invalid token', 'AUTHENTICATION_FAILED']);
    });
  }

  for (const [flaw, token] of forgedTokens('alice')) {
    test(`a token ${flaw} is refused`, async () => {
      const error = await refused({ token });
      assert.deepEqual([error.message, error.data.code], ['Invalid token', 'AUTHENTICATION_FAILED']);
    });
  }

  test('a token that is no string is refused', async () => {
    for (const token of [{ an: 'object' }, ['list'], 42, true, null]) {
      assert.equal((await refused({ token })).data.code, 'AUTHENTICATION_FAILED');
    }
  });

  test('a refused client makes no second attempt', () =>
    withClients(node, { auth: { token: tokenOf('bystander') } }, async (open, begin) => {
      const client = begin(undefined, { auth: { token: 'invalid-token' } });
      await client.next('connect_error');
      let attempts = 0;
      client.socket.io.on('reconnect_attempt', () => (attempts += 1));
      for (let round = 0; round < 20; round += 1) await (await open()).settled();
      assert.deepEqual([attempts, client.unread('connect_error')], [0, 0]);
    }));

  test('a userId beside the token must be the user of the token', async () => {
    const token = tokenOf('alice');
    const error = await refused({ token, userId: 'mallory' });
    assert.equal(error.data.code, 'AUTHENTICATION_FAILED');
    await withClients(node, { auth: { token, userId: 'alice' } }, async (open) => {
      assert.equal((await open()).identity.userId, 'alice');
    });
  });

  test('a token that expired within the leeway is still good', () =>
    withClients(node, {}, async (open) => {
      const token = sign({ sub: 'alice', exp: nowSecs() - 3 });
      assert.equal((await open(undefined, { auth: { token } })).identity.userId, 'alice');
    }));

  const hasura = { 'x-hasura-user-id': 'from-hasura', 'x-hasura-default-role': 'user' };
  const userClaims = [
    ['sub', { sub: 'from-sub' }, 'from-sub'],
    ['userId before sub', { userId: 'from-user-id', sub: 'from-sub' }, 'from-user-id'],
    ['the Hasura namespace before sub', { [hasuraNamespace]: hasura, sub: 'from-sub' }, 'from-hasura'],
    ['a Hasura namespace that is a string', { [hasuraNamespace]: JSON.stringify(hasura), sub: 'x' }, 'from-hasura'],
    ['a bare x-hasura-user-id', { 'x-hasura-user-id': 'bare', sub: 'x' }, 'bare'],
    ['user_id at last', { user_id: 'snake' }, 'snake'],
  ];
  for (const [claim, claims, userId] of userClaims) {
    test(`the user is taken from ${claim}`, () =>
      withClients(node, {}, async (open) => {
        const token = sign({ ...claims, exp: nowSecs() + 60 });
        assert.equal((await open(undefined, { auth: { token } })).identity.userId, userId);
      }));
  }

  test('auth:refresh with a good token is answered by authenticated with the later expiry', () =>
    withClients(node, {}, async (open) => {
      const alice = await open(undefined, { auth: { token: tokenOf('alice') } });
      const exp = nowSecs() + 7200;
      alice.socket.emit('auth:refresh', { token: sign({ sub: 'alice', exp }) });
      const identity = await alice.next('authenticated');
      assert.deepEqual([identity.userId, identity.expiresAt], ['alice', exp * 1000]);
      const ack = await alice.ask('auth:refresh', { token: tokenOf('alice') });
      assert.equal(ack.success, true);
      assert.equal((await alice.next('authenticated')).userId, 'alice');
    }));

  const badRefreshes = [
    ['of another user', { token: tokenOf('mallory') }, 'AUTHENTICATION_FAILED'],
    ['that expired', { token: sign({ sub: 'alice', exp: nowSecs() - 3600 }) }, 'TOKEN_EXPIRED'],
    ['that was forged', { token: sign({ sub: 'alice', exp: nowSecs() + 60 }, { key: 'guessed' }) }, 'AUTHENTICATION_FAILED'],
    ['that is missing', {}, 'AUTHENTICATION_FAILED'],
  ];
  for (const [flaw, payload, code] of badRefreshes) {
    test(`auth:refresh with a token ${flaw} is refused and changes nothing`, () =>
      withClients(node, {}, async (open) => {
        const alice = await open(undefined, { auth: { token: tokenOf('alice') } });
        alice.socket.emit('auth:refresh', payload);
        assert.equal((await alice.next('auth:error')).code, code);
        const error = await alice.next('error');
        assert.deepEqual([error.type, error.code], ['auth', code]);

        const ack = await alice.ask('auth:refresh', payload);
        assert.deepEqual([ack.success, ack.error.code], [false, code]);
        assert.equal((await alice.join('still-here')).success, true);
        assert.equal(alice.unread('authenticated'), 0);
      }));
  }
});

describe('in insecure development mode', () => {
  let node;
  before(async () => {
    node = await startNode(insecure);
  });
  after(() => node.stop());

  const identities = [
    ['a user: string names the user, whatever the hint', { token: 'user:42', userId: 'hint' }, '42'],
    ['a token that is no JWT leaves the userId', { token: 'test-token-1', userId: 'jest-1' }, 'jest-1'],
    ['a bare userId is believed', { userId: 'claimed' }, 'claimed'],
    ['a JWT is taken for what it says', { token: tokenOf('from-token') }, 'from-token'],
  ];
  for (const [promise, auth, userId] of identities) {
    test(promise, () =>
      withClients(node, { auth }, async (open) => {
        assert.equal((await open()).identity.userId, userId);
      }));
  }

  test('a client that says nothing is nobody in particular', () =>
    withClients(node, { auth: {} }, async (open) => {
      const [one, other] = [await open(), await open()];
      assert.match(one.identity.userId, /^anon-./);
      assert.notEqual(one.identity.userId, other.identity.userId);
    }));

  test('health says that the node is insecure', async () => {
    assert.equal((await (await fetch(`${node.url}/health`)).json()).auth, 'insecure');
  });
});
