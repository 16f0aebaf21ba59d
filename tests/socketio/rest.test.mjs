// The REST routes, as the product's back end uses them, and what their callers must show.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { membersOf, withClients } from './client.mjs';
import { call, get, poll, post } from './rest.mjs';
import { insecure, startNode } from './server.mjs';
import { nowSecs, sign, tokenOf } from './tokens.mjs';

const websocket = { transports: ['websocket'] };
const apiKey = 'the-key-of-the-suite';
const pluginSecret = 'the-secret-among-plugins';
const withKey = { 'X-API-Key': apiKey };

let node;
before(async () => {
  node = await startNode({ ...insecure, REALTIME_API_KEY: apiKey, REALTIME_PRESENCE_TIMEOUT: '600', REALTIME_TYPING_TIMEOUT: '800' });
});
after(() => node.stop());

describe('POST /messages', () => {
  test('is told to the members as message, and answered with the message', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'posted', 'alice', 'bob');
      const sent = { channelId: 'posted', userId: 'user-456', content: 'Hello world!', mentions: ['user-789'] };
      const { status, headers, body } = await post(node, '/messages', sent);
      assert.equal(status, 200);
      assert.match(headers.get('content-type'), /^application\/json/);
      for (const member of [alice, bob]) {
        const message = await member.next('message');
        const { channelId, userId, content, mentions, id } = message;
        assert.deepEqual({ channelId, userId, content, mentions }, sent);
        assert.deepEqual([body.success, body.messageId, body.message.id], [true, id, id]);
        assert.equal(body.message.timestamp, message.timestamp);
      }
      for (const [field, value] of Object.entries(sent)) assert.deepEqual(body[field], value, `${field} stands at the top, too`);
    }));

  test('takes attachments, also without content', async () => {
    const attachments = [{ url: 'https://files.example/a.png' }];
    const { status, body } = await post(node, '/messages', { channelId: 'attached', userId: 'u', content: '', attachments });
    assert.deepEqual([status, body.attachments.length], [200, 1]);
  });

  test('with an id of the caller is one message however often it comes', () =>
    withClients(node, websocket, async (open) => {
      const [alice] = await membersOf(open, 'once', 'alice');
      const sent = { channelId: 'once', userId: 'u', content: 'just once', id: 'from-the-back-end' };
      const answers = [];
      for (let retry = 0; retry < 3; retry += 1) answers.push((await post(node, '/messages', sent)).body.messageId);
      assert.equal(new Set(answers).size, 1);
      assert.deepEqual(await alice.heardUntilLastWordOf(alice, 'once'), ['just once']);
    }));

  test('keeps one order with messages of connected clients', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await membersOf(open, 'mixed', 'alice', 'bob');
      for (let n = 0; n < 10; n += 1) {
        if (n % 2 === 0) await post(node, '/messages', { channelId: 'mixed', userId: 'u', content: `${n}` });
        else await alice.send('mixed', `${n}`);
      }
      assert.deepEqual(await bob.heardUntilLastWordOf(alice, 'mixed'), Array.from({ length: 10 }, (_, n) => `${n}`));
    }));
});

describe('POST /typing', () => {
  test('is told to the members, and ends by itself', () =>
    withClients(node, websocket, async (open) => {
      const [alice] = await membersOf(open, 'typed', 'alice');
      const { status, body } = await post(node, '/typing', { userId: 'u', channelId: 'typed', isTyping: true });
      assert.deepEqual([status, body.success], [200, true]);
      const [begin, end] = await alice.nextOf('typing', 2);
      assert.deepEqual([begin.userId, begin.channelId, begin.isTyping, end.isTyping], ['u', 'typed', true, false]);
    }));
});

describe('presence', () => {
  for (const [form, path, more] of [['in the path', '/presence/there', {}], ['in the body', '/presence', { channelId: 'there' }]]) {
    test(`set with the channel ${form} is told to its members, seen by GET, and ends by itself`, () =>
      withClients(node, websocket, async (open) => {
        const [alice] = await membersOf(open, 'there', 'alice');
        const { status, body } = await post(node, path, { userId: 'remote', status: 'dnd', ...more });
        assert.deepEqual([status, body.success], [200, true]);
        const isOfRemote = ({ userId }) => userId === 'remote';
        const presence = await alice.next('presence', isOfRemote);
        assert.deepEqual([presence.status, presence.channelId], ['dnd', 'there']);
        const seen = (await get(node, '/presence/there')).body;
        assert.equal(seen.users.find(isOfRemote).status, 'dnd');
        assert.equal(seen.count.dnd, 1);
        assert.equal((await alice.next('presence', isOfRemote)).status, 'offline');
      }));
  }

  test('of a channel that nobody knows is empty, with all four counts', async () => {
    const { status, body } = await get(node, '/presence/unheard%20of%2Fwith%20slash');
    assert.equal(status, 200);
    assert.deepEqual(body, { channelId: 'unheard of/with slash', users: [], count: { online: 0, away: 0, dnd: 0, offline: 0 } });
  });
});

describe('GET /poll', () => {
  const contents = ({ body }) => body.messages.map(({ content }) => content);
  const say = (channelId, content) => post(node, '/messages', { channelId, userId: 'u', content });

  test('gives what was said after a moment, in order, in the shape of message', async () => {
    const since = Date.now() - 1;
    for (const content of ['a', 'b', 'c']) await say('polled', content);
    const answer = await poll(node, 'polled', { since });
    assert.equal(answer.status, 200);
    assert.deepEqual(contents(answer), ['a', 'b', 'c']);
    const [first] = answer.body.messages;
    assert.deepEqual([first.channelId, first.userId, first.id], ['polled', 'u', first.messageId]);
    assert.equal(answer.body.timestamp, answer.body.messages[2].timestamp);
  });

  test('neither loses nor repeats when its timestamp is the next since', async () => {
    const heard = [];
    let since = Date.now() - 1;
    const talk = (async () => {
      for (let n = 0; n < 60; n += 1) await say('polled on', `${n}`);
    })();
    while (heard.length < 60) {
      const answer = await poll(node, 'polled on', { since });
      heard.push(...contents(answer));
      since = answer.body.timestamp;
    }
    await talk;
    assert.deepEqual(heard, Array.from({ length: 60 }, (_, n) => `${n}`));
  });

  test('takes seconds for since as well, and no since at all', async () => {
    await say('polled by the second', 'x');
    for (const query of [{ since: nowSecs() - 5 }, { since: Date.now() - 5000 }, {}]) {
      assert.deepEqual(contents(await poll(node, 'polled by the second', query)), ['x'], JSON.stringify(query));
    }
  });

  test('gives at most a hundred messages and says that there are more', async () => {
    for (let n = 0; n < 130; n += 1) await say('polled much', `${n}`);
    const first = await poll(node, 'polled much', { since: Date.now() - 60_000 });
    assert.deepEqual([first.body.messages.length, first.body.hasMore, contents(first)[0]], [100, true, '0']);
    const second = await poll(node, 'polled much', { since: first.body.timestamp });
    assert.deepEqual([second.body.messages.length, second.body.hasMore], [30, false]);
  });

  test('waits for a message when asked to', async () => {
    const since = (await poll(node, 'polled with patience')).body.timestamp ?? Date.now();
    const waiting = poll(node, 'polled with patience', { since, wait: 20 });
    await get(node, '/health'); // the poll is under way; if it were not, the message would be in its answer all the same
    await say('polled with patience', 'at last');
    assert.deepEqual(contents(await waiting), ['at last']);
  });

  test('ends its wait with nothing when nothing is said', async () => {
    const { status, body } = await poll(node, 'polled in vain', { since: Date.now(), wait: 1 });
    assert.deepEqual([status, body.messages], [200, []]);
    assert.ok(Number.isInteger(body.timestamp));
  });

  for (const [flaw, query] of [
    ['without a channel', ''],
    ['with an empty channel', 'channelId='],
    ['with a since that is no number', 'channelId=x&since=yesterday'],
    ['with a negative since', 'channelId=x&since=-5'],
    ['with a wait beyond 30 s', 'channelId=x&wait=31'],
    ['with a wait that is no number', 'channelId=x&wait=long'],
    ['with broken escapes', 'channelId=%zz'],
  ]) {
    test(`${flaw} is refused`, async () => {
      const { status, body } = await get(node, `/poll?${query}`);
      assert.deepEqual([status, body.error.code], [400, 'VALIDATION_ERROR']);
    });
  }
});

describe('a bad request', () => {
  const bodies = [
    ['/messages', 'without a user', { channelId: 'c', content: 'x' }],
    ['/messages', 'without a channel', { userId: 'u', content: 'x' }],
    ['/messages', 'without content', { userId: 'u', channelId: 'c' }],
    ['/messages', 'with content that is no string', { userId: 'u', channelId: 'c', content: 7 }],
    ['/messages', 'with an id of 200 characters', { userId: 'u', channelId: 'c', content: 'x', id: 'x'.repeat(200) }],
    ['/messages', 'with a channel of 300 bytes', { userId: 'u', channelId: 'x'.repeat(300), content: 'x' }],
    ['/typing', 'without a user', { channelId: 'c', isTyping: true }],
    ['/typing', 'without a channel', { userId: 'u', isTyping: true }],
    ['/typing', 'without isTyping', { userId: 'u', channelId: 'c' }],
    ['/typing', 'with isTyping that is no boolean', { userId: 'u', channelId: 'c', isTyping: 1 }],
    ['/presence/c', 'without a user', { status: 'online' }],
    ['/presence/c', 'without a status', { userId: 'u' }],
    ['/presence/c', 'with an unknown status', { userId: 'u', status: 'sleeping' }],
    ['/presence', 'without a channel', { userId: 'u', status: 'online' }],
  ];
  for (const [path, flaw, body] of bodies) {
    test(`POST ${path} ${flaw} is a VALIDATION_ERROR`, async () => {
      const answer = await post(node, path, body);
      assert.deepEqual([answer.status, answer.body.success, answer.body.error.code], [400, false, 'VALIDATION_ERROR']);
      assert.equal(typeof answer.body.error.message, 'string');
    });
  }

  for (const path of ['/messages', '/typing', '/presence/c', '/presence', '/api/broadcast', '/api/broadcast/batch', '/api/permissions/invalidate']) {
    for (const [flaw, body] of [['malformed JSON', '{"channelId":'], ['no object', '[1]'], ['nothing', ''], ['two objects', '{}{}'], ['depth', '['.repeat(50_000)]]) {
      test(`POST ${path} with ${flaw} is answered by 400`, async () => {
        const answer = await post(node, path, body, withKey);
        assert.deepEqual([answer.status, answer.body.success], [400, false]);
      });
    }

    test(`POST ${path} of more than a megabyte is answered by 413`, async () => {
      const body = { channelId: 'c', userId: 'u', content: 'x'.repeat(1_100_000) };
      // The node may answer and close while the body is still on its way; then the sender sees a broken pipe instead.
      const answer = await post(node, path, body, withKey).catch((error) => error);
      if (!(answer instanceof Error)) assert.equal(answer.status, 413);
      assert.equal((await get(node, '/healthz')).status, 200);
    });

    for (const method of ['DELETE', 'PUT', 'PATCH']) {
      test(`${method} ${path} is answered by 405`, async () => {
        const answer = await call(node, method, path, { headers: withKey });
        assert.deepEqual([answer.status, answer.body.error.code], [405, 'METHOD_NOT_ALLOWED']);
        assert.match(answer.headers.get('allow'), /POST/);
      });
    }
  }

  test('POST /poll is answered by 405, an unknown route by 404', async () => {
    assert.equal((await post(node, '/poll', {})).status, 405);
    assert.equal((await post(node, '/no/such/route', {})).status, 404);
    assert.equal((await get(node, '/api/broadcast')).status, 405);
  });

  test('content longer than the limit is refused as PAYLOAD_TOO_LARGE', async () => {
    const answer = await post(node, '/messages', { channelId: 'c', userId: 'u', content: 'x'.repeat(10_001) });
    assert.deepEqual([answer.status, answer.body.error.code], [413, 'PAYLOAD_TOO_LARGE']);
  });
});

describe('CORS', () => {
  for (const path of ['/messages', '/typing', '/presence/c', '/poll', '/api/broadcast']) {
    test(`a preflight of ${path} is answered by 204 with what is allowed`, async () => {
      const answer = await call(node, 'OPTIONS', path, {
        headers: { Origin: 'https://any.example', 'Access-Control-Request-Method': 'POST' },
      });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.get('access-control-allow-origin'), '*');
      for (const header of ['Authorization', 'Content-Type', 'X-API-Key']) {
        assert.match(answer.headers.get('access-control-allow-headers'), new RegExp(header, 'i'));
      }
    });
  }

  test('answers and refusals alike can be read by a page', async () => {
    const headers = { Origin: 'https://any.example' };
    for (const path of ['/poll?channelId=x', '/poll']) {
      assert.equal((await get(node, path, headers)).headers.get('access-control-allow-origin'), '*');
    }
  });
});

describe('callers where tokens are demanded', () => {
  let guarded;
  before(async () => {
    guarded = await startNode({ REALTIME_API_KEY: apiKey, PLUGIN_INTERNAL_SECRET: pluginSecret });
  });
  after(() => guarded.stop());

  const bearer = (token) => ({ Authorization: `Bearer ${token}` });
  const routes = [
    ['POST', '/messages', { channelId: 'c', userId: 'alice', content: 'x' }],
    ['POST', '/typing', { channelId: 'c', userId: 'alice', isTyping: true }],
    ['POST', '/presence/c', { userId: 'alice', status: 'online' }],
    ['GET', '/presence/c'],
    ['GET', '/poll?channelId=c'],
  ];
  for (const [method, path, body] of routes) {
    const ask = (headers) => call(guarded, method, path, { body, headers });

    test(`${method} ${path} is open to the key, the secret among plugins, and the user's own token`, async () => {
      for (const headers of [withKey, { 'X-Plugin-Secret': pluginSecret }, bearer(tokenOf('alice'))]) {
        assert.equal((await ask(headers)).status, 200, Object.keys(headers)[0]);
      }
    });

    test(`${method} ${path} is closed to everybody else`, async () => {
      const refused = [
        ['nothing', {}, 'AUTHENTICATION_FAILED'],
        ['a wrong key', { 'X-API-Key': `${apiKey}x` }, 'AUTHENTICATION_FAILED'],
        ['an empty key', { 'X-API-Key': '' }, 'AUTHENTICATION_FAILED'],
        ['the key as another header', { 'X-Plugin-Secret': apiKey }, 'AUTHENTICATION_FAILED'],
        ['a forged token', bearer(sign({ sub: 'alice', exp: nowSecs() + 60 }, { key: 'guessed' })), 'AUTHENTICATION_FAILED'],
        ['an expired token', bearer(sign({ sub: 'alice', exp: nowSecs() - 3600 })), 'TOKEN_EXPIRED'],
        ['another scheme', { Authorization: `Basic ${tokenOf('alice')}` }, 'AUTHENTICATION_FAILED'],
      ];
      for (const [what, headers, code] of refused) {
        const answer = await ask(headers);
        assert.deepEqual([answer.status, answer.body.error?.code], [401, code], what);
      }
    });
  }

  for (const [method, path, body] of routes.filter(([method]) => method === 'POST')) {
    test(`${method} ${path} in another user's name is forbidden to a token`, async () => {
      const answer = await call(guarded, method, path, { body: { ...body, userId: 'bob' }, headers: bearer(tokenOf('alice')) });
      assert.deepEqual([answer.status, answer.body.error.code], [403, 'FORBIDDEN']);
    });
  }

  test('a private channel stays closed to a token without a grant, and open to one with it', async () => {
    const granted = bearer(tokenOf('alice', { rooms: ['private-*'] }));
    for (const [headers, status] of [[bearer(tokenOf('alice')), 403], [granted, 200]]) {
      assert.equal((await poll(guarded, 'private-room', {}, headers)).status, status);
      assert.equal((await get(guarded, '/presence/private-room', headers)).status, status);
      const message = { channelId: 'private-room', userId: 'alice', content: 'x' };
      assert.equal((await post(guarded, '/messages', message, headers)).status, status);
    }
  });

  test('health, readiness, version and metrics are open', async () => {
    for (const path of ['/health', '/healthz', '/readyz', '/version', '/metrics']) {
      assert.equal((await get(guarded, path)).status, 200, path);
    }
  });

  for (const path of ['/api/broadcast', '/api/broadcast/batch', '/api/permissions/invalidate']) {
    test(`${path} is for the key alone`, async () => {
      const refused = [{}, { 'X-API-Key': 'wrong' }, bearer(tokenOf('alice')), bearer(tokenOf('root', { role: 'admin' }))];
      for (const headers of refused) {
        const { status } = await post(guarded, path, { eventType: 'x', rooms: ['c'], payload: {} }, headers);
        assert.ok([401, 403].includes(status), `${status}`);
      }
    });
  }
});

test('without a configured key, nobody broadcasts, not even in development mode', async () => {
  const keyless = await startNode(insecure);
  try {
    for (const headers of [{}, { 'X-API-Key': '' }, { 'X-API-Key': 'undefined' }]) {
      const answer = await post(keyless, '/api/broadcast', { eventType: 'message:new', rooms: ['channel:c'], payload: {} }, headers);
      assert.deepEqual([answer.status, answer.body.error.code], [403, 'FORBIDDEN']);
    }
  } finally {
    await keyless.stop();
  }
});
