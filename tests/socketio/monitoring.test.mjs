// What an operator reads from the metrics agrees with what clients did.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { withClients } from './client.mjs';
import { Doorkeeper } from './doorkeeper.mjs';
import { until } from './inbox.mjs';
import { metric } from './metrics.mjs';
import { get, post } from './rest.mjs';
import { startNode } from './server.mjs';
import { nowSecs, sign, tokenOf } from './tokens.mjs';

const websocket = { transports: ['websocket'] };
const withKey = { 'X-API-Key': 'the-key-of-the-suite' };
const as = (userId, claims = {}) => ({ auth: { token: tokenOf(userId, claims) } });

let doorkeeper;
let node; // gives every lost session up at once, and remembers three messages of a channel
before(async () => {
  doorkeeper = await Doorkeeper.start();
  node = await startNode({
    REALTIME_API_KEY: withKey['X-API-Key'],
    REALTIME_PERMISSION_WEBHOOK_URL: doorkeeper.url,
    REALTIME_PERMISSION_WEBHOOK_TIMEOUT: '400',
    REALTIME_RECOVERY: 'off',
    REALTIME_PRESENCE_TIMEOUT: '0',
    REALTIME_HISTORY_SIZE: '3',
    REALTIME_JWT_EXPIRY: 'disconnect',
  });
});
after(async () => {
  await node.stop();
  await doorkeeper.stop();
});

beforeEach(() => doorkeeper.begin(() => ({ allowed: true })));

const read = (name, labels) => metric(node, `realtime_${name}`, labels);

/** Waits for a value: gauges are a second old. */
const becomes = (value, name, labels) => until(`${name}{${labels ?? ''}} is ${value}`, async () => (await read(name, labels)) === value);

/** Runs `action`, and checks by how much each `[by, name, labels]` has grown. */
async function grow(expected, action) {
  const readAll = () => Promise.all(expected.map(([, name, labels]) => read(name, labels)));
  const from = await readAll();
  const result = await action();
  const to = await readAll();
  assert.deepEqual(expected.map(([by, ...series], n) => [to[n] - from[n], ...series]), expected);
  return result;
}

test('connections, sessions, users, channels, memberships and statuses rise and fall with clients', async () => {
  const opened = await read('opened_total');
  await withClients(node, {}, async (open) => {
    const [alice, bob] = [await open(undefined, { ...as('alice'), ...websocket }), await open(undefined, { ...as('bob'), transports: ['polling'] })];
    await open(undefined, { ...as('alice'), ...websocket });
    for (const channelId of ['one', 'two']) await alice.join(channelId);
    await bob.join('one');
    await bob.ask('presence:update', { status: 'dnd' });
    await bob.ask('presence:subscribe', { userIds: ['alice'] });
    await becomes(3, 'connections_total');
    for (const [value, ...series] of [
      [3, 'connections_active'],
      [2, 'connections', 'transport="websocket"'],
      [1, 'connections', 'transport="polling"'],
      [2, 'users'],
      [2, 'users_kept'],
      [2, 'channels'],
      [3, 'subscriptions'],
      [1, 'presence_users', 'status="online"'],
      [1, 'presence_users', 'status="dnd"'],
      [1, 'presence_followed'],
      [3, 'core_sessions'],
      [0, 'inflight_handshakes'],
    ]) {
      await becomes(value, ...series);
    }
    assert.equal((await read('opened_total')) - opened, 3);
    assert.ok((await read('accepted_total')) >= 3);
    for (const name of ['core_tasks', 'core_timer_wheel_entries']) await until(`${name} has them`, async () => (await read(name)) >= 3);
  });
  for (const name of ['connections_total', 'users', 'subscriptions', 'presence_followed', 'core_sessions']) await becomes(0, name);
  await becomes(0, 'presence_users', 'status="dnd"');
});

test('sessions that end are counted by their reason', () =>
  withClients(node, websocket, async (open) => {
    const [leaver, loser] = [await open(undefined, as('leaver')), await open(undefined, { ...as('loser'), reconnection: false })];
    const [left, lost] = [await read('closed_total', 'reason="client_closed"'), await read('closed_total', 'reason="transport_lost"')];
    leaver.close();
    loser.socket.io.engine.transport.ws.terminate();
    await becomes(left + 1, 'closed_total', 'reason="client_closed"');
    await becomes(lost + 1, 'closed_total', 'reason="transport_lost"');
  }));

test('refused identities are counted by their reason, and the end of a token', () =>
  withClients(node, websocket, async (open, begin) => {
    const refuse = (auth) => begin(undefined, { auth }).next('connect_error');
    const expected = [['missing'], ['malformed'], ['signature'], ['expired'], ['mismatch']].map(([reason]) => [1, 'auth_failures_total', `reason="${reason}"`]);
    await grow([...expected, [5, 'auth_failures_total', '']], async () => {
      await refuse({});
      await refuse({ token: 'no token' });
      await refuse({ token: sign({ sub: 'alice', exp: nowSecs() + 60 }, { key: 'another key, and long enough' }) });
      await refuse({ token: tokenOf('alice', { exp: nowSecs() - 600 }) });
      await refuse({ token: tokenOf('alice'), userId: 'bob' });
    });
    await grow([[1, 'token_expired_total', '']], async () => {
      const alice = await open(undefined, as('alice', { exp: nowSecs() }));
      await alice.next('error', ({ code }) => code === 'TOKEN_EXPIRED');
    });
  }));

test('retries and what absent users missed are counted, and how much of it was lost', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = [await open(undefined, as('alice')), await open(undefined, as('bob'))];
    await alice.join('missed');
    await bob.join('missed');
    await grow([[1, 'duplicates_suppressed_total', ''], [1, 'messages_total', '']], async () => {
      for (let retry = 0; retry < 2; retry += 1) await bob.send('missed', 'once', { clientMessageId: 'c-1' });
    });
    await becomes(1, 'receipts');
    await alice.next('message');
    alice.close();
    await until('alice is gone', async () => (await bob.join('missed')).data.memberCount === 1);
    for (let n = 0; n < 5; n += 1) await bob.send('missed', `${n}`);
    await grow([[3, 'missed_told_total', ''], [2, 'missed_lost_total', ''], [1, 'recover_total', 'source="missed"']], async () => {
      const back = await open(undefined, as('alice'));
      assert.deepEqual((await back.join('missed')).data.missed, { count: 3, lost: 2 });
      await back.nextOf('message', 3);
    });
    await until('what is kept has been measured', async () => (await read('history_bytes')) > 0);
  }));

test('a channel that everybody has left is idle while something of it is kept', () =>
  withClients(node, websocket, async (open) => {
    for (const name of ['users', 'subscriptions']) await becomes(0, name); // the clients of the last test are gone
    const idle = await read('channels_idle');
    const alice = await open(undefined, as('alice'));
    await alice.join('idle');
    await alice.send('idle', 'goodbye');
    await alice.ask('channel:leave', { channelId: 'idle' });
    await until('it is counted', async () => (await read('channels_idle')) > idle);
  }));

test('questions to the webhook are counted by their outcome, refusals and evictions, too', () =>
  withClients(node, websocket, async (open) => {
    const alice = await open(undefined, as('alice'));
    const answers = {
      'asked-allowed': { allowed: true },
      'asked-denied': { allowed: false },
      'asked-status': (response) => response.writeHead(500).end(),
      'asked-malformed': (response) => response.writeHead(200).end('yes'),
      'asked-timeout': () => {},
    };
    doorkeeper.begin(({ channelId }) => answers[channelId]);
    const outcomes = Object.keys(answers).map((channelId) => [1, 'permission_answers_total', `outcome="${channelId.slice(6)}"`]);
    await grow([...outcomes, [5, 'permission_asked_total', ''], [4, 'authz_denied_total', '']], async () => {
      for (const channelId of Object.keys(answers)) await alice.join(channelId);
    });
    assert.ok((await read('permission_asked_seconds_total')) >= 0.4, 'the one that timed out took so long');
    await until('the answers are remembered', async () => (await read('permission_entries')) >= 1);
    answers['asked-allowed'] = { allowed: false };
    await grow([[1, 'evictions_total', '']], async () => {
      await post(node, '/api/permissions/invalidate', { channelId: 'asked-allowed' }, withKey);
      await until('alice is out', async () => (await alice.send('asked-allowed', 'hi')).error?.code === 'NOT_JOINED');
    });
  }));

test('what is fleeting is encoded once however many read it', () =>
  withClients(node, websocket, async (open) => {
    const members = [];
    for (let n = 0; n < 6; n += 1) members.push(await open(undefined, as(`typist-${n}`)));
    for (const member of members) await member.join('fleeting');
    const [typist, ...others] = members;
    // One a core with members, and none for each member.
    const before = await read('volatile_encodes_total');
    await typist.ask('typing', { channelId: 'fleeting', isTyping: true });
    for (const other of others) await other.next('typing');
    const encodes = (await read('volatile_encodes_total')) - before;
    assert.ok(encodes >= 1 && encodes <= 4, `${encodes} encodes`);
  }));

test('the process and what runs in it are named', async () => {
  const { driver, version } = (await get(node, '/health')).body;
  for (const [name, labels] of [['realtime_build_info', `version="${version}"`], ['nself_plugin_build_info', `version="${version}"`], ['realtime_io_driver_info', `driver="${driver}"`]]) {
    assert.equal(await metric(node, name, labels), 1, name);
  }
  assert.equal(await read('draining'), 0);
  const [open, max, cpu] = await Promise.all(['open_fds', 'max_fds', 'cpu_seconds_total'].map((name) => metric(node, `process_${name}`)));
  assert.ok(open > 0 && open < max && cpu > 0, `${open} of ${max}, ${cpu} s`);
  assert.ok((await read('fd_used_ratio')) > 0);
  await until('a second has gone by', async () => (await read('uptime_seconds')) >= 1);
});

test('a node of the same settings shows the same hash, and another another', async () => {
  /** The hash of a node with this typing timeout, and its port. */
  const hashOf = async (typingTimeout, port) => {
    const other = await startNode({ REALTIME_TYPING_TIMEOUT: typingTimeout }, port);
    try {
      return [await metric(other, 'realtime_config_hash'), other.port];
    } finally {
      await other.stop();
    }
  };
  const [hash, port] = await hashOf('4000');
  assert.deepEqual(await hashOf('4000', port), [hash, port]);
  assert.notDeepEqual(await hashOf('5000', port), [hash, port]);
});
