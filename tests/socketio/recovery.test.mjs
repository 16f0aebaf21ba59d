// A stock client that loses its connection is the same session when it comes back, and has missed nothing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { transports, withClients } from './client.mjs';
import { until } from './inbox.mjs';
import { withLink } from './link.mjs';
import { metric } from './metrics.mjs';
import { pythonTransports, withPython } from './python_client.mjs';
import { PollingSession, SocketSession } from './raw.mjs';
import { insecure, isReference, startNode } from './server.mjs';

const beyondOracle = isReference && 'more than Node’s own recovery does';
const numbers = (count, first = 0) => Array.from({ length: count }, (_, n) => `${first + n}`);
const contentOf = (message) => message.content;

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

for (const [way, options] of Object.entries(transports)) {
  // Between two polls Node does not see that the client is gone, and keeps the former session from it.
  const skip = isReference && way === 'polling only' && 'more than Node’s own recovery does';

  describe(`${way}:`, { skip }, () => {
    test('what was said while the network was down arrives once, in order, in the same session', () =>
      withLink(node, (link) =>
        withClients(node, options, async (open, begin) => {
          const channelId = `outage over ${way}`;
          const [alice, bob] = [await begin('alice', { ...options, url: link.url }).greeted(), await open('bob')];
          await Promise.all([alice.join(channelId), bob.join(channelId)]);
          await bob.send(channelId, 'before');
          assert.equal((await alice.next('message')).content, 'before');
          const { id } = alice.socket;

          link.takeDown();
          await alice.next('disconnect');
          for (const content of numbers(20)) await bob.send(channelId, content);
          link.restore();
          await alice.next('connect');
          assert.equal(alice.socket.recovered, true);
          assert.equal(alice.socket.id, id);
          assert.deepEqual(await alice.heardUntilLastWordOf(bob, channelId), numbers(20));
          assert.equal((await alice.send(channelId, 'still a member')).success, true);
        }),
      ));

    test('a session is taken up before anything was said in it', { skip: beyondOracle }, () =>
      withClients(node, options, async (open) => {
        const channelId = `silence over ${way}`;
        const [alice, bob] = [await open('alice'), await open('bob')];
        const { id } = alice.socket;
        alice.cut();
        assert.equal(await alice.back(), true);
        assert.equal(alice.socket.id, id);

        await Promise.all([alice.join(channelId), bob.join(channelId)]);
        alice.cut();
        await bob.send(channelId, 'first');
        assert.equal(await alice.back(), true);
        assert.deepEqual(await alice.heardUntilLastWordOf(bob, channelId), ['first']);
      }));

    test('a connection that breaks ten times in a stream of messages loses and doubles none', () =>
      withLink(node, (link) =>
        withClients(node, options, async (open, begin) => {
          const channelId = `stream over ${way}`;
          const [alice, bob] = [await begin('alice', { ...options, url: link.url }).greeted(), await open('bob')];
          await Promise.all([alice.join(channelId), bob.join(channelId)]);
          await bob.send(channelId, 'the first of all');
          await alice.next('message');
          const recoveries = [];
          alice.socket.on('connect', () => recoveries.push(alice.socket.recovered));
          const contents = numbers(300);
          for (const content of contents) {
            await bob.send(channelId, content);
            if (content % 30 === 29) {
              // Between two polls there is nothing to cut. A client whose WebSocket breaks while it leaves polling for it
              // (engine.io-client: `upgrading`) neither polls nor closes any more until its ping is overdue.
              const isSettled = () => !alice.socket.io.engine.upgrading;
              await until('alice is cut off', () => isSettled() && link.cut() && !alice.socket.connected);
            }
            if (content % 30 === 5) await until('alice is back', () => alice.socket.connected);
          }
          assert.deepEqual(await alice.heardUntilLastWordOf(bob, channelId), contents);
          assert.ok(recoveries.every((recovered) => recovered), `${recoveries}`);
        }),
      ));
  });
}

test('the order of each of forty channels is the one that everybody else saw', () =>
  withLink(node, (link) =>
    withClients(node, { transports: ['websocket'] }, async (open, begin) => {
      const channelIds = numbers(40).map((n) => `crowded recovery ${n}`);
      const witness = await open('witness');
      const speakers = await Promise.all(numbers(5).map((n) => open(`speaker-${n}`)));
      const alice = await begin('alice', { url: link.url }).greeted();
      for (const client of [alice, witness, ...speakers]) {
        for (const channelId of channelIds) await client.join(channelId);
      }
      await Promise.all(speakers.map((speaker) => speaker.send(channelIds[0], 'begin')));
      await alice.nextOf('message', speakers.length);
      await witness.nextOf('message', speakers.length);

      for (let round = 0; round < 3; round += 1) {
        link.takeDown();
        await alice.next('disconnect');
        const sends = speakers.flatMap((speaker, n) =>
          channelIds.map((channelId) => speaker.send(channelId, `${round}.${n} in ${channelId}`)),
        );
        if (round % 2 === 0) await Promise.all(sends); // in the other round the replay runs into live messages
        link.restore();
        await alice.next('connect');
        await Promise.all(sends);
        assert.equal(alice.socket.recovered, true);
      }
      const total = 3 * speakers.length * channelIds.length;
      const [heard, seen] = [await alice.nextOf('message', total), await witness.nextOf('message', total)];
      for (const channelId of channelIds) {
        const inChannel = (messages) => messages.filter((message) => message.channelId === channelId).map(contentOf);
        assert.deepEqual(inChannel(heard), inChannel(seen), channelId);
      }
    }),
  ));

test('reactions and receipts are replayed at their place among the messages', { skip: beyondOracle }, () =>
  withLink(node, (link) =>
    withClients(node, { transports: ['websocket'] }, async (open, begin) => {
      const channelId = 'reactions in the dark';
      const [alice, bob] = [await begin('alice', { url: link.url }).greeted(), await open('bob')];
      await Promise.all([alice.enter(channelId), bob.enter(channelId)]);
      const order = [];
      for (const event of ['message', 'reaction']) alice.socket.on(event, () => order.push(event));
      link.takeDown();
      await alice.next('disconnect');
      const { messageId } = await bob.send(channelId, 'who likes this?');
      await bob.ask('reaction', { channelId, messageId, emoji: '👍', action: 'add' });
      await bob.send(channelId, 'thanks');
      link.restore();
      await alice.next('connect');
      await alice.next('message', ({ content }) => content === 'thanks');
      assert.deepEqual(order, ['message', 'reaction', 'message']);
      assert.equal((await alice.next('reaction')).messageId, messageId);
    }),
  ));

test('a message that its sender sent in the moment of the cut arrives there once', () =>
  withClients(node, { transports: ['websocket'] }, async (open) => {
    const [alice, bob] = [await open('alice'), await open('bob')];
    await Promise.all([alice.join('parting shot'), bob.join('parting shot')]);
    await bob.send('parting shot', 'begin');
    await alice.next('message');
    alice.socket.emit('message:send', { channelId: 'parting shot', content: 'bang', clientMessageId: 'bang-1' });
    alice.cut();
    await alice.back();
    await alice.send('parting shot', 'bang', { clientMessageId: 'bang-1' }); // what a client does that saw no answer
    const heard = (await alice.heardUntilLastWordOf(bob, 'parting shot')).filter((content) => content === 'bang');
    assert.deepEqual(heard, ['bang']);
  }));

test('messages with bytes are replayed with their bytes', () =>
  withClients(node, { transports: ['websocket'] }, async (open) => {
    const [alice, bob] = [await open('alice'), await open('bob')];
    await Promise.all([alice.join('bytes in the dark'), bob.join('bytes in the dark')]);
    await bob.send('bytes in the dark', 'begin');
    await alice.next('message');
    alice.cut();
    await bob.send('bytes in the dark', 'here', { metadata: { body: Buffer.from([0, 1, 255]) } });
    assert.equal(await alice.back(), true);
    assert.deepEqual(Buffer.from((await alice.next('message')).metadata.body), Buffer.from([0, 1, 255]));
  }));

describe('a session is not taken up', () => {
  test('after the client has left the namespace by itself', () =>
    withClients(node, { transports: ['websocket'] }, async (open) => {
      const [alice, bob] = [await open('alice'), await open('bob')];
      await Promise.all([alice.join('left for good'), bob.join('left for good')]);
      await bob.send('left for good', 'begin');
      await alice.next('message');
      const { id } = alice.socket;
      alice.socket.disconnect();
      await alice.next('disconnect');
      await bob.send('left for good', 'not for alice');
      alice.socket.connect();
      await alice.next('connect');
      assert.equal(alice.socket.recovered, false);
      assert.notEqual(alice.socket.id, id);
      assert.equal((await alice.send('left for good', 'from outside')).error.code, 'NOT_JOINED');
      assert.equal(alice.unread('message'), 0);
    }));

  test('by another user, who learns nothing of it', { skip: beyondOracle }, async () => {
    const owner = await SocketSession.open(node);
    const { pid } = await connect(owner, { userId: 'owner' });
    const strangers = [pid, 'AAAAAAAAAAAAAAAAAAAA', pid.slice(0, -1), 'x'.repeat(500), '', 7, null, { a: 1 }];
    const replies = [];
    for (const claimed of strangers) {
      const stranger = await SocketSession.open(node);
      const reply = await connect(stranger, { userId: 'stranger', pid: claimed, offset: 'm0.1' });
      await stranger.next((frame) => frame.includes?.('"authenticated"'));
      replies.push(Object.keys(reply).sort());
      assert.notEqual(reply.pid, pid);
      stranger.close();
    }
    for (const reply of replies) assert.deepEqual(reply, replies[0], 'the answer is the same, whether the pid exists or not');
    assert.deepEqual(await owner.ask(1, 'ping', { timestamp: 5 }).then(({ timestamp }) => timestamp), 5, 'the owner stays');
    owner.close();
  });

  test('with a cursor that is none, or that belongs to another run', { skip: beyondOracle }, async () => {
    for (const offset of ['', 'm0.zz', 'c99.1', '\u0000', 'x'.repeat(4_000), undefined, 9, {}]) {
      const first = await SocketSession.open(node);
      const { pid, sid } = await connect(first, { userId: 'confused' });
      await first.next((frame) => frame.includes?.('"authenticated"'));
      first.close();
      const second = await SocketSession.open(node);
      const reply = await connect(second, { userId: 'confused', pid, offset });
      assert.notEqual(reply.sid, sid, `offset ${JSON.stringify(offset)}`);
      second.close();
    }
  });

  test('after its window, and is then no member any more', { skip: beyondOracle }, async () => {
    const brief = await startNode({ ...insecure, REALTIME_RECOVERY_WINDOW: '300', REALTIME_PRESENCE_TIMEOUT: '300' });
    try {
      await withLink(brief, (link) =>
        withClients(brief, { transports: ['websocket'] }, async (open, begin) => {
          const [alice, bob] = [await begin('alice', { url: link.url }).greeted(), await open('bob')];
          await Promise.all([alice.enter('too late'), bob.enter('too late')]);
          link.takeDown();
          await alice.next('disconnect');
          await bob.send('too late', 'missed');
          await until('the session is given up', async () => (await bob.join('too late')).data.memberCount === 1);
          link.restore();
          await alice.next('connect');
          assert.equal(alice.socket.recovered, false);
          assert.equal((await alice.send('too late', 'hello?')).error.code, 'NOT_JOINED');
        }),
      );
    } finally {
      await brief.stop();
    }
  });

  test('by a node that was started anew', async () => {
    let mortal = await startNode(insecure);
    try {
      await withClients(mortal, { transports: ['websocket'] }, async (open) => {
        const alice = await open('alice');
        await alice.join('another life');
        await mortal.stop();
        mortal = await startNode(insecure, mortal.port);
        assert.equal(await alice.back(), false);
        assert.equal((await alice.send('another life', 'hello?')).error.code, 'NOT_JOINED');
      });
    } finally {
      await mortal.stop();
    }
  });

  test('where recovery is off: no pid, no cursor', { skip: beyondOracle }, async () => {
    const forgetful = await startNode({ ...insecure, REALTIME_RECOVERY: 'off' });
    try {
      await expectNoCursor(forgetful, { userId: 'alice' });
    } finally {
      await forgetful.stop();
    }
  });

  test('where the client does not want it: no pid, no cursor', { skip: beyondOracle }, () =>
    expectNoCursor(node, { userId: 'alice', recovery: false }));
});

describe('a new connection takes the session over from one that looks alive', { skip: beyondOracle }, () => {
  const openers = { websocket: SocketSession, polling: PollingSession };
  for (const [transport, Session] of Object.entries(openers)) {
    test(`which is closed, over ${transport}`, async () => {
      const evictedBefore = await metric(node, 'realtime_closed_total', 'reason="evicted"');
      const userId = `twice over ${transport}`;
      const old = await Session.open(node);
      const reply = transport === 'websocket' ? await connect(old, { userId }) : await connectPolling(old, { userId });
      const cursor = reply.cursor;
      const fresh = await SocketSession.open(node);
      const { sid, pid } = await connect(fresh, { userId, pid: reply.pid, offset: cursor });
      assert.deepEqual([sid, pid], [reply.sid, reply.pid]);
      if (transport === 'websocket') await old.untilClosed();
      else await until('the old session is unknown', async () => (await old.poll()).status === 400);
      assert.deepEqual((await fresh.ask(1, 'channel:join', { channelId: 'taken over' })).success, true);
      assert.equal(await metric(node, 'realtime_closed_total', 'reason="evicted"'), evictedBefore + 1);
      fresh.close();
    });
  }
});

describe('clients that break on one argument more are left alone', { skip: beyondOracle }, () => {
  for (const [way, given] of Object.entries(pythonTransports)) {
    test(`python-socketio, ${way}, gets each event with one argument`, () =>
      withPython(node, given, (snake) =>
        withClients(node, {}, async (open) => {
          const alice = await open('alice');
          await alice.join(`snakes by ${way}`);
          snake.connect({ userId: 'snake' });
          const isAlone = (...args) => args.length === 1;
          await snake.next('connected', isAlone);
          await snake.next('authenticated', isAlone);
          await snake.ask('channel:join', { channelId: `snakes by ${way}` });
          await alice.send(`snakes by ${way}`, 'hello');
          assert.equal((await snake.next('message', isAlone)).content, 'hello');
        }),
      ));
  }
});

test('the node counts what became of each attempt', { skip: beyondOracle }, () =>
  withClients(node, { transports: ['websocket'] }, async (open) => {
    const name = 'realtime_recover_total';
    const [all, full] = [await metric(node, name), await metric(node, name, 'result="full"')];
    const alice = await open('alice');
    alice.cut();
    assert.equal(await alice.back(), true);
    assert.deepEqual([await metric(node, name), await metric(node, name, 'result="full"')], [all + 1, full + 1]);
  }));

/** The CONNECT reply over WebSocket, and the cursor that came with `connected`. */
async function connect(session, auth) {
  session.send(`40${JSON.stringify(auth)}`);
  const reply = JSON.parse((await session.next((frame) => frame.startsWith?.('40'))).slice(2));
  const connected = JSON.parse((await session.next((frame) => frame.startsWith?.('42["connected"'))).slice(2));
  return withCursor(reply, connected);
}

async function connectPolling(session, auth) {
  await session.push(`40${JSON.stringify(auth)}`);
  const packets = (await session.pollUntil('"authenticated"')).split('\x1e');
  const read = (head) => JSON.parse(packets.find((packet) => packet.startsWith(head)).slice(2));
  return withCursor(read('40'), read('42["connected"'));
}

function withCursor(reply, connected) {
  Object.defineProperty(reply, 'cursor', { value: connected[2], enumerable: false });
  return reply;
}

async function expectNoCursor(someNode, auth) {
  const [reader, speaker] = [await SocketSession.open(someNode), await SocketSession.connected(someNode, 'speaker')];
  const reply = await connect(reader, auth);
  assert.deepEqual(Object.keys(reply), ['sid']);
  assert.equal(reply.cursor, undefined);
  await reader.ask(1, 'channel:join', { channelId: 'plain' });
  await speaker.ask(1, 'channel:join', { channelId: 'plain' });
  await speaker.ask(2, 'message:send', { channelId: 'plain', content: 'hi' });
  const message = JSON.parse((await reader.next((frame) => frame.startsWith?.('42["message"'))).slice(2));
  assert.equal(message.length, 2);
  for (const session of [reader, speaker]) session.close();
}
