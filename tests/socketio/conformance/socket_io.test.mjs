// Socket.IO 5 at /socket.io/, in the profile of the public protocol suite: frames compared as text.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { inTime } from '../inbox.mjs';
import { fixtureForAllTests } from './fixture.mjs';
import { Polling, Wire, separator } from './wire.mjs';

const fixture = await fixtureForAllTests('protocol');
const open = (options) => Wire.open(fixture, 'socket.io', options);
const joined = (namespace) => Wire.joined(fixture, namespace);
const bytes = (...values) => Buffer.from(values);

describe('CONNECT', () => {
  const agreed = [
    ['to the main namespace', '40', '', '{}'],
    ['with auth', '40{"token":"123"}', '', '{"token":"123"}'],
    ['with an empty auth', '40{}', '', '{}'],
    ['with spaces in its auth', '40 { "token" : [ 1 , { } ] }', '', '{"token":[1,{}]}'],
    ['to another namespace', '40/custom,', '/custom,', '{}'],
    ['to another namespace without the comma', '40/custom', '/custom,', '{}'],
    ['to another namespace with auth', '40/custom,{"token":"abc"}', '/custom,', '{"token":"abc"}'],
  ];
  for (const [what, frame, prefix, auth] of agreed) {
    test(`${what} is answered by sid alone, then by auth`, async () => {
      const wire = await open();
      wire.send(frame);
      const reply = await wire.next();
      assert.ok(reply.startsWith(`40${prefix}{`), reply);
      assert.deepEqual(Object.keys(JSON.parse(reply.slice(2 + prefix.length))), ['sid']);
      assert.equal(await wire.next(), `42${prefix}["auth",${auth}]`);
      wire.close();
    });
  }

  test('is answered in a read of its own, for clients that wait for one frame after the other', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { socket } = await open();
      socket.send('40');
      const [reply] = await inTime(once(socket, 'message'), 'the CONNECT reply');
      assert.match(`${reply}`, /^40\{/);
      const [greeting] = await inTime(once(socket, 'message'), 'the greeting');
      assert.equal(`${greeting}`, '42["auth",{}]');
      socket.terminate();
    }
  });

  for (const namespace of ['/random', '/interop', '/Custom']) {
    test(`to ${namespace}, which does not exist here, is refused and the connection stays`, async () => {
      const wire = await open();
      wire.send(`40${namespace}`);
      assert.equal(await wire.next(), `44${namespace},{"message":"Invalid namespace"}`);
      wire.send('40');
      assert.match(await wire.next(), /^40\{"sid":/);
      wire.close();
    });
  }

  test('that does not come closes the connection within two seconds', async () => {
    const wire = await open();
    await inTime(wire.closed, 'the connection to be closed', 2_000);
  });

  test('that does not come closes a polling session', async () => {
    const session = await Polling.open(fixture, 'socket.io');
    await assert.rejects(session.next((packet) => packet === '1').then(() => session.next()), /400/);
  });

  test('that is no packet closes the connection', async () => {
    const wire = await open();
    wire.send('4abc');
    await wire.untilClosed();
  });

  test('that repeats itself closes the connection', async () => {
    const wire = await joined();
    wire.send('40');
    await wire.untilClosed();
  });
});

describe('DISCONNECT', () => {
  test('is answered by nothing: the next frame is the ping', async () => {
    const wire = await Wire.joined(fixture, '/', { answersPings: false });
    wire.send('41');
    assert.equal(await wire.next(), '2');
    wire.close();
  });

  test('from one namespace leaves the other', async () => {
    const wire = await joined();
    await wire.join('/custom', 'auth');
    wire.send('41/custom', '42["message","message to main namespace"]');
    assert.equal(await wire.next(), '42["message-back","message to main namespace"]');
    wire.send('42/custom,["message"]');
    await wire.untilClosed();
  });

  test('allows another CONNECT', async () => {
    const wire = await joined();
    wire.send('41', '40');
    assert.match(await wire.next(), /^40\{"sid":/);
    wire.close();
  });
});

const two = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
const exchanges = [
  ['an event', ['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']],
  ['an event without arguments', ['42["message"]'], ['42["message-back"]']],
  ['an event to another namespace', ['40/custom', '42/custom,["message",1]'], ['42/custom,["message-back",1]']],
  ['an event with spaces', ['42[ "message" , [ 1 , 2 ] , { "a" : "b c" } ]'], ['42["message-back",[1,2],{"a":"b c"}]']],
  ['an event with attachments',
    [`452-["message",${two}]`, bytes(1, 2, 3), bytes(4, 5, 6)],
    [`452-["message-back",${two}]`, bytes(1, 2, 3), bytes(4, 5, 6)]],
  ['an event with attachments in another order',
    ['452-["message",{"a":{"_placeholder":true,"num":1}},[{"num":0,"_placeholder":true}]]', bytes(1), bytes(2)],
    ['452-["message-back",{"a":{"_placeholder":true,"num":0}},[{"_placeholder":true,"num":1}]]', bytes(2), bytes(1)]],
  ['an event with an attachment that it does not use', ['451-["message",7]', bytes(1)], ['42["message-back",7]']],
  ['an event with an empty attachment',
    ['451-["message",{"_placeholder":true,"num":0}]', bytes()],
    ['451-["message-back",{"_placeholder":true,"num":0}]', bytes()]],
  ['an event with a placeholder and no attachment',
    ['42["message",{"_placeholder":true,"num":0}]'],
    ['42["message-back",{"_placeholder":true,"num":0}]']],
  ['an event with an acknowledgement', ['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]']],
  ['an acknowledgement of nothing', ['420["message-with-ack"]'], ['430[]']],
  ['an event with attachments and an acknowledgement',
    [`452-789["message-with-ack",${two}]`, bytes(1, 2, 3), bytes(4, 5, 6)],
    [`462-789[${two}]`, bytes(1, 2, 3), bytes(4, 5, 6)]],
  ['ten attachments',
    [`4510-1["message-with-ack",{"_placeholder":true,"num":9}]`, ...Array.from({ length: 10 }, (_, n) => bytes(n))],
    ['461-1[{"_placeholder":true,"num":0}]', bytes(9)]],
];
describe('over websocket, frame for frame:', () => {
  for (const [what, sent, expected] of exchanges) {
    test(what, async () => {
      const wire = await joined();
      wire.send(...sent);
      if (sent[0] === '40/custom') await wire.nextOf(2);
      assert.deepEqual(await wire.nextOf(expected.length), expected);
      wire.close();
    });
  }
});

describe('over polling, record for record:', () => {
  const record = (frame) => (typeof frame === 'string' ? frame : `b${frame.toString('base64')}`);
  for (const [what, sent, expected] of exchanges) {
    test(what, async () => {
      const session = await Polling.open(fixture, 'socket.io');
      await session.post('40');
      await session.next((packet) => packet.startsWith('42["auth"'));
      await session.post(...sent.map(record));
      let packets = [];
      while (packets.length < expected.length) {
        const { body } = await session.poll();
        const isAnswer = (packet) => packet !== '2' && !packet.includes('"auth"') && !packet.startsWith('40');
        packets = packets.concat(body.split(separator).filter(isAnswer));
      }
      assert.deepEqual(packets, expected.map(record));
    });
  }
});

describe('the connection is closed at once after', () => {
  for (const frame of ['4abc', '42{}', '42abc["message-with-ack",1]', '4511-["message"]', '42["connect"]', '42/custom,["message"]', '41/custom']) {
    test(frame, async () => {
      const wire = await joined();
      wire.send(frame);
      await wire.untilClosed();
    });
  }
});

test('attachments that come in posts of their own, and over the upgrade, belong to their packet', async () => {
  const session = await Polling.open(fixture, 'socket.io');
  await session.post('40');
  await session.next((packet) => packet.startsWith('42["auth"'));
  await session.post(`452-["message",${two}]`);
  await session.post('bAQ==');
  const wire = await Wire.to(session.upgradeUrl);
  wire.send('2probe', '5', bytes(2));
  assert.equal(await wire.next(), '3probe');
  assert.deepEqual(await wire.nextOf(3), [`452-["message-back",${two}]`, bytes(1), bytes(2)]);
  wire.close();
});
