// Engine.IO 4 as it stands on the wire: handshake, polling, upgrade, heartbeat, errors and limits.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { transports, withClients } from './client.mjs';
import { inTime, until } from './inbox.mjs';
import { PollingSession, SocketSession, engineUrl, separator } from './raw.mjs';
import { insecure, isReference, startNode } from './server.mjs';

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

test('the open packet over polling says what the node offers, and no more', async () => {
  const { handshake } = await PollingSession.open(node);
  const { sid, ...offer } = handshake;
  assert.deepEqual(offer, { upgrades: ['websocket'], pingInterval: 25_000, pingTimeout: 5_000, maxPayload: 1_000_000 });
  assert.match(sid, /^[\w-]{20,}$/, 'a session id carries at least 120 bits');
});

test('the open packet over websocket offers no upgrade', async () => {
  const session = await SocketSession.open(node);
  const { sid, ...offer } = JSON.parse((await session.next()).slice(1));
  assert.deepEqual(offer, { upgrades: [], pingInterval: 25_000, pingTimeout: 5_000, maxPayload: 1_000_000 });
  session.close();
});

test('session ids are all different', async () => {
  const sessions = await Promise.all(Array.from({ length: 50 }, () => PollingSession.open(node)));
  assert.equal(new Set(sessions.map((session) => session.sid)).size, 50);
});

const errors = [
  ['an unknown transport', 'GET', { transport: 'carrier-pigeon' }, 0, 'Transport unknown'],
  ['no transport', 'GET', {}, 0, 'Transport unknown'],
  ['an unknown sid', 'GET', { transport: 'polling', sid: 'A'.repeat(20) }, 1, 'Session ID unknown'],
  ['an unknown sid in a POST', 'POST', { transport: 'polling', sid: 'A'.repeat(20) }, 1, 'Session ID unknown'],
  ['a sid that could never be', 'GET', { transport: 'polling', sid: '../../etc/passwd\u0000' }, 1, 'Session ID unknown'],
  ['a handshake by POST', 'POST', { transport: 'polling' }, 2, 'Bad handshake method'],
  ['a websocket handshake without an upgrade', 'GET', { transport: 'websocket' }, 3, 'Bad request'],
  ['protocol version 3', 'GET', { EIO: '3', transport: 'polling' }, 5, 'Unsupported protocol version'],
];
for (const [request, method, query, code, message] of errors) {
  test(`${request} is answered by error ${code}`, async () => {
    const answer = await fetch(engineUrl(node, query), { method });
    assert.equal(answer.status, 400);
    assert.match(answer.headers.get('content-type'), /^application\/json/);
    assert.deepEqual(await answer.json(), { code, message });
  });
}

test('the sid of a websocket session is no polling session', async () => {
  const session = await SocketSession.open(node);
  const { sid } = JSON.parse((await session.next()).slice(1));
  const answer = await fetch(engineUrl(node, { transport: 'polling', sid }));
  assert.equal(answer.status, 400);
  // Node says that the transport is the wrong one (3); that there is no such session to poll (1) is as true.
  assert.ok([1, 3].includes((await answer.json()).code));
  session.close();
});

test('a polling session by hand can chat', async () => {
  const session = await PollingSession.connected(node, 'by-hand');
  assert.deepEqual(await session.push('420["channel:join",{"channelId":"by-hand"}]'), { status: 200, body: 'ok' });
  assert.match(await session.pollUntil('430['), /"success":true/);
});

test('many packets in one payload are handled in their order', async () => {
  const session = await PollingSession.connected(node, 'bulk');
  const sends = Array.from({ length: 100 }, (_, n) => `42${n + 1}["message:send",{"channelId":"bulk","content":"${n}"}]`);
  const payload = ['420["channel:join",{"channelId":"bulk"}]', ...sends].join(separator);
  assert.equal((await session.push(payload)).body, 'ok');
  const read = await session.pollUntil('43100[');
  const contents = [...read.matchAll(/42\["message",.*?"content":"(\d+)"/g)].map((match) => match[1]);
  assert.deepEqual(contents, Array.from({ length: 100 }, (_, n) => `${n}`));
});

test('a poll returns what is queued at once, without a noop between', async () => {
  const session = await PollingSession.connected(node, 'queued');
  await session.push(['421["ping",{"timestamp":1}]', '422["ping",{"timestamp":2}]'].join(separator));
  const packets = (await session.pollUntil('432[')).split(separator);
  assert.ok(!packets.includes('6'));
  assert.match(packets[0], /^431\[/);
});

test('bytes over polling travel as base64 records', async () => {
  const session = await PollingSession.connected(node, 'base64');
  await session.push('420["channel:join",{"channelId":"base64"}]');
  await session.pollUntil('430[');
  const header = '451-1["message:send",{"channelId":"base64","content":"x","metadata":{"b":{"_placeholder":true,"num":0}}}]';
  await session.push([header, 'bAQIDBA=='].join(separator));
  const read = await session.pollUntil('431[');
  assert.match(read, /451-\["message",/);
  assert.ok(read.split(separator).includes('bAQIDBA=='));
});

test('a second GET ends the session: close to the first, error to the second', async () => {
  const session = await PollingSession.connected(node, 'twice');
  const first = session.poll();
  const second = session.poll(); // whichever comes first to the node is the pending one
  const answers = (await Promise.all([first, second])).sort((one, other) => one.status - other.status);
  assert.deepEqual(answers.map((answer) => answer.status), [200, 400]);
  assert.equal(answers[0].body, '1');
  assert.deepEqual(JSON.parse((await session.poll()).body), { code: 1, message: 'Session ID unknown' });
});

test('an aborted GET ends the session', async () => {
  const session = await PollingSession.connected(node, 'aborted');
  const abort = new AbortController();
  const pending = session.poll({ signal: abort.signal });
  // The ack of a later POST is queued behind the pending GET, which shows that the node has seen the GET.
  await session.push('3');
  abort.abort();
  await assert.rejects(pending);
  // On several cores the next GET may overtake the news of the abort: then it is the one that is told of the end.
  const next = await session.poll();
  if (next.status !== 400) assert.equal(next.body, '1');
  assert.equal((await session.poll()).status, 400);
});

test('a client that says close is let go: noop to its pending GET, then error 1', async () => {
  const gone = { code: 1, message: 'Session ID unknown' };
  let pending;
  // On several cores the POST may overtake the GET, which then finds no session; in one of some rounds it does not.
  for (let round = 0; round < 50 && pending?.status !== 200; round += 1) {
    const session = await PollingSession.connected(node, 'closer');
    [pending] = await Promise.all([session.poll(), session.push('1')]);
    if (pending.status !== 200) assert.deepEqual(JSON.parse(pending.body), gone);
    assert.deepEqual(JSON.parse((await session.push('3')).body), gone);
    assert.deepEqual(JSON.parse((await session.poll()).body), gone);
  }
  assert.deepEqual(pending, { status: 200, body: '6' });
});

test('an upgrade by hand: probe, noop to the pending GET, upgrade, and events go on', async () => {
  const session = await PollingSession.connected(node, 'upgrader');
  const pending = session.poll();
  const socket = await SocketSession.open(node, { query: { sid: session.sid } });
  socket.send('2probe');
  assert.equal(await socket.next(), '3probe');
  assert.deepEqual(await pending, { status: 200, body: '6' });
  socket.send('5');
  assert.equal((await socket.ask(1, 'channel:join', { channelId: 'upgraded' })).success, true);
  assert.equal((await session.poll()).status, 400);
  socket.close();
});

for (const moment of ['before the probe', 'between probe and upgrade']) {
  test(`an upgrade goes through when the namespace is joined ${moment}`, async () => {
    for (let user = 0; user < 20; user += 1) {
      const session = await PollingSession.open(node);
      const socket = await SocketSession.open(node, { query: { sid: session.sid } });
      const connect = () => session.push(`40{"userId":"joins-amid-${user}"}`);
      if (moment === 'before the probe') await connect();
      socket.send('2probe');
      assert.equal(await socket.next(), '3probe');
      if (moment === 'between probe and upgrade') await connect();
      socket.send('5');
      await socket.next((frame) => frame.includes('"authenticated"'));
      assert.equal((await socket.ask(1, 'ping', { timestamp: 1 })).timestamp, 1);
      socket.close();
    }
  });
}

test('a second websocket with the same sid is closed and the first goes on', async () => {
  const session = await PollingSession.connected(node, 'upgrader');
  const socket = await SocketSession.open(node, { query: { sid: session.sid } });
  socket.send('2probe');
  assert.equal(await socket.next(), '3probe');
  socket.send('5');
  await socket.ask(1, 'ping', { timestamp: 1 });

  const intruder = await SocketSession.open(node, { query: { sid: session.sid } }).catch(() => undefined);
  if (intruder) await intruder.untilClosed();
  assert.equal((await socket.ask(2, 'ping', { timestamp: 2 })).timestamp, 2);
  socket.close();
});

test('a websocket with a foreign sid is turned away', async () => {
  const stranger = await SocketSession.open(node, { query: { sid: 'A'.repeat(20) } }).catch((error) => error);
  if (stranger instanceof SocketSession) await stranger.untilClosed();
  else assert.match(stranger.message, /400|closed/i);
});

test('a client that never joins a namespace is closed', async () => {
  const session = await SocketSession.open(node);
  await session.untilClosed();
});

describe('more than maxPayload', () => {
  const excess = 'x'.repeat(1_000_001);

  test('over websocket closes the connection and nothing else', async () => {
    const session = await SocketSession.connected(node, 'excess');
    session.send(`42["message:send",{"channelId":"x","content":"${excess}"}]`);
    assert.equal((await session.untilClosed()).code, 1009);
    await serves(node);
  });

  test('over polling is answered by 413 and closes the session', async () => {
    const session = await PollingSession.connected(node, 'excess');
    assert.equal((await session.push(`42["message:send",{"content":"${excess}"}]`)).status, 413);
    await serves(node);
  });

  test('is not needed: the largest payload allowed is handled', async () => {
    const session = await SocketSession.connected(node, 'largest');
    const frame = (padding) => `421["channel:join",{"channelId":"","padding":"${padding}"}]`;
    session.send(frame('x'.repeat(1_000_000 - frame('').length)));
    assert.match(await session.next((candidate) => candidate.startsWith('431[')), /VALIDATION_ERROR/);
    session.close();
  });
});

describe('with a short heartbeat', () => {
  let lively;
  before(async () => {
    lively = await startNode({
      ...insecure,
      REALTIME_WEBSOCKET_PING_INTERVAL: '300',
      REALTIME_WEBSOCKET_PING_TIMEOUT: '200',
      REALTIME_RECOVERY_WINDOW: '500', // who is silent for longer does not come back as the same session
      REALTIME_PRESENCE_TIMEOUT: '500',
    });
  });
  after(() => lively.stop());

  for (const [way, options] of Object.entries(transports)) {
    test(`${way}: a stock client stays connected over many heartbeats`, () =>
      withClients(lively, options, async (open) => {
        const client = await open('steady');
        await client.nextOf('heartbeat', 5);
        assert.equal(client.unread('disconnect'), 0);
      }));
  }

  test('a websocket client that answers no heartbeat is closed', async () => {
    const session = await SocketSession.connected(lively, 'mute', { answersPings: false });
    await session.untilClosed();
  });

  test('a polling client that answers no heartbeat loses its session', async () => {
    const session = await PollingSession.connected(lively, 'mute');
    await untilGone(session);
  });

  test('a client that says close over websocket is closed', async () => {
    const session = await SocketSession.connected(lively, 'closer', { answersPings: false });
    session.send('1');
    await session.untilClosed();
  });

  test("the members of a channel no longer count a client that fell silent", async () => {
    const [silent, other] = [
      await SocketSession.connected(lively, 'silent', { answersPings: false }),
      await SocketSession.connected(lively, 'other'),
    ];
    await silent.ask(1, 'channel:join', { channelId: 'silence' });
    assert.equal((await other.ask(1, 'channel:join', { channelId: 'silence' })).data.memberCount, 2);
    await silent.untilClosed();
    const memberCount = async () => (await other.ask(2, 'channel:join', { channelId: 'silence' })).data.memberCount;
    await until('the silent one is counted no more', async () => (await memberCount()) === 1);
    other.close();
  });
});

describe('with room for three connections', () => {
  let small;
  before(async () => {
    small = await startNode({ ...insecure, REALTIME_WEBSOCKET_MAX_CONNECTIONS: '3' });
  });
  after(() => small.stop());

  test('the fourth is told 503 and comes in by itself once there is room', () =>
    withClients(small, {}, async (open, begin) => {
      const inside = [await open('first'), await open('second'), await open('third')];
      assert.equal((await fetch(engineUrl(small, { transport: 'polling' }))).status, 503);
      // Node's engine can refuse an upgrade from a middleware only by hanging up.
      await assert.rejects(SocketSession.open(small), isReference ? /hang up/ : /503/);

      const fourth = begin('fourth');
      await fourth.next('connect_error');
      assert.equal(fourth.socket.active, true, 'a stock client goes on trying');
      inside.pop().close();
      await fourth.next('authenticated');
    }));
});

/** Polls without ever answering a heartbeat until the node knows the session no more. */
function untilGone(session) {
  return until('the session is gone', async () => (await session.poll()).status !== 200);
}

function serves(someNode) {
  return withClients(someNode, {}, async (open) => {
    assert.equal((await (await open('witness')).join('witness')).success, true);
  });
}
