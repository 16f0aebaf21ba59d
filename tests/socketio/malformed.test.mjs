// What breaks the protocols ends its own connection, at most; everybody else is served on.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, describe, test } from 'node:test';
import { withClients } from './client.mjs';
import { inTime, until } from './inbox.mjs';
import { PollingSession, SocketSession, maskedFrame, separator, upgradedSocket } from './raw.mjs';
import { insecure, isReference, startNode } from './server.mjs';

let node;
let witness; // connected before the first blow and served after the last
before(async () => {
  node = await startNode(insecure);
  witness = await SocketSession.connected(node, 'witness');
});
after(async () => {
  assert.equal((await witness.ask(1, 'channel:join', { channelId: 'witness' })).success, true);
  witness.close();
  await node.stop();
});
afterEach(() =>
  withClients(node, {}, async (open) => {
    assert.equal((await (await open('newcomer')).join('newcomer')).success, true);
  }),
);

const placeholder = (num) => `451-["message:send",{"channelId":"x","content":{"_placeholder":true,"num":${num}}}]`;
const joined = '42["channel:join",{"channelId":"x"}]';

const fatal = [
  ['an unknown Engine.IO packet type', ['9']],
  ['an Engine.IO packet type that is no digit', ['x42']],
  ['an empty frame', ['']],
  ['a ping, which is the server\'s to send', ['2']],
  ['a Socket.IO packet type that is no digit', ['4abc']],
  ['a Socket.IO packet type out of range', ['47']],
  ['a message without a packet', ['4']],
  ['an event that is an object', ['42{}']],
  ['an event that is no JSON', ['42abc["x"]']],
  ['an event cut off', ['42["channel:join",{"channelId":"x"']],
  ['an event with a tail', ['42["ping"]x']],
  ['an event without a name', ['42[]']],
  ['an event named by an object', ['42[{}]']],
  ['an event named by null', ['42[null]']],
  ['the reserved event connect', ['42["connect"]']],
  ['the reserved event connect_error', ['42["connect_error"]']],
  ['the reserved event disconnect', ['42["disconnect"]']],
  ['the reserved event disconnecting', ['42["disconnecting"]']],
  ['the reserved event newListener', ['42["newListener"]']],
  ['the reserved event removeListener', ['42["removeListener"]']],
  ['an event to a namespace that was not joined', ['42/other,["ping"]']],
  ['a second CONNECT', ['40{}']],
  ['a CONNECT whose auth is no object', ['40"token"']],
  ['a CONNECT_ERROR from the client', ['44{"message":"no"}']],
  ['a DISCONNECT with a payload', ['41{}']],
  ['an acknowledgement that is no array', ['431{}']],
  ['bytes that no event announced', [Buffer.from([1, 2, 3])]],
  ['text where bytes were announced', [placeholder(0), joined]],
  ['a second header where bytes were announced', [placeholder(0), placeholder(0)]],
  ['a placeholder out of range', [placeholder(1), Buffer.from('x')]],
  ['a placeholder below zero', [placeholder(-1), Buffer.from('x')]],
  ['a placeholder that is no number', [placeholder('"0"'), Buffer.from('x')]],
  ['eleven attachments', [`4511-["message:send",{}]`]],
  ['99999999999 attachments', ['4599999999999-["message:send",{}]']],
  ['a number of attachments that is none', ['45x-["message:send",{}]']],
  ['a number of attachments without its dash', ['451["message:send",{}]']],
];
describe('over websocket, the connection is closed after', () => {
  for (const [what, frames] of fatal) {
    test(what, async () => {
      const session = await SocketSession.connected(node, 'rude');
      for (const frame of frames) session.send(frame);
      await session.untilClosed();
    });
  }

  test('an event before CONNECT', async () => {
    const session = await SocketSession.open(node);
    session.send(joined);
    await session.untilClosed();
  });

  test('a thousand CONNECTs to namespaces that do not exist, or it stays and serves', async () => {
    const session = await SocketSession.connected(node, 'explorer');
    for (let n = 0; n < 1000; n += 1) session.send(`40/space-${n},`);
    await closedOrServed(session);
  });

  test('a close packet', { skip: isReference && "Node's engine waits for its ping timeout" }, async () => {
    const session = await SocketSession.connected(node, 'closer');
    session.send('1');
    await session.untilClosed();
  });
});

const harmless = [
  ['an acknowledgement that nobody waits for', ['43999[]']],
  ['a pong out of turn', ['3']],
  ['a noop', ['6']],
  ['ten attachments', [`4510-["no:such:event",{}]`, ...Array.from({ length: 10 }, () => Buffer.from('x'))]],
  ['bytes where no verb expects them', ['451-["channel:join",{"_placeholder":true,"num":0}]', Buffer.from('x')]],
  ['spaces and escapes in JSON', ['42[ "ping" , { "\\u0074imestamp" : 1.0e0 } ]']],
  ['an event named __proto__', ['42["__proto__",{"__proto__":{"polluted":true}}]']],
  ['an empty event name', ['42[""]']],
  ['an argument more than expected', ['42["channel:join",{"channelId":"y"},1,2,[3]]']],
];
describe('over websocket, the connection goes on after', () => {
  for (const [what, frames] of harmless) {
    test(what, async () => {
      const session = await SocketSession.connected(node, 'odd');
      for (const frame of frames) session.send(frame);
      assert.equal((await session.ask(77, 'ping', { timestamp: 7 })).timestamp, 7);
      session.close();
    });
  }

  test('leaving the namespace: nothing is said and the connection stays', async () => {
    const session = await SocketSession.connected(node, 'leaver');
    const ponged = new Promise((resolve) => session.socket.once('pong', resolve));
    session.send('41');
    session.socket.ping();
    await inTime(ponged, 'the pong');
    session.send('40{"userId":"leaver"}');
    assert.match(await session.next(), /^40\{"sid":/);
    session.close();
  });

  test('an event in fragments with a ping between them', async () => {
    const session = await SocketSession.connected(node, 'fragments');
    const event = Buffer.from('421["ping",{"timestamp":5,"text":"語 in pieces"}]');
    const ponged = new Promise((resolve) => session.socket.once('pong', resolve));
    for (let at = 0; at < event.length; at += 5) {
      session.socket.send(event.subarray(at, at + 5), { fin: at + 5 >= event.length, binary: false });
      if (at === 10) session.socket.ping('between');
    }
    assert.equal(`${await inTime(ponged, 'the pong')}`, 'between');
    assert.match(await session.next((frame) => frame.startsWith('431[')), /"timestamp":5/);
    session.close();
  });
});

const bearable = [
  ['an open packet from the client', '0{}'],
  ['an event without an array', '42'],
  ['an acknowledgement without an id', '43[]'],
  ['an acknowledgement with an id beyond 64 bits', '4399999999999999999999999[]'],
  ['an event that asks for an acknowledgement beyond 64 bits', '4299999999999999999999999["ping"]'],
  ['a BINARY_EVENT without attachments', '450-["no:such:event",{}]'],
];
describe('over websocket, the connection is closed or goes on, but does not hang, after', () => {
  for (const [what, frame] of bearable) {
    test(what, async () => {
      const session = await SocketSession.connected(node, 'odd');
      session.send(frame);
      await closedOrServed(session);
    });
  }
});

describe('hostile JSON ends at most its own connection:', () => {
  const nested = (depth, open, close) => open.repeat(depth) + close.repeat(depth);
  const hostile = [
    ['arrays nested 100000 deep', nested(100_000, '[', ']')],
    ['arrays nested 100000 deep, never closed', '['.repeat(100_000)],
    ['objects nested 50000 deep', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`],
    ['a key of 900 kB', `{"${'k'.repeat(900_000)}":1}`],
    ['a hundred thousand keys', `{${Array.from({ length: 60_000 }, (_, n) => `"k${n}":1`).join()}}`],
    ['a key given twice', '{"channelId":"one","channelId":"two","content":"x"}'],
    ['a lone surrogate', '{"channelId":"x","content":"\\ud800"}'],
    ['a number beyond all doubles', '{"channelId":1e999,"content":-1e999}'],
    ['a number of 100000 digits', `{"timestamp":${'9'.repeat(100_000)}}`],
    ['NaN', '{"timestamp":NaN}'],
    ['a raw newline in a string', '{"channelId":"a\nb"}'],
    ['a raw NUL', '{"channelId":"a\u0000b"}'],
    ['a byte order mark', '\ufeff{"channelId":"x"}'],
  ];
  for (const event of ['channel:join', 'message:send', 'ping']) {
    for (const [what, json] of hostile) {
      test(`${event} with ${what}`, async () => {
        const session = await SocketSession.connected(node, 'hostile');
        session.send(`421["${event}",${json}]`);
        await closedOrServed(session);
      });
    }
  }
});

describe('over polling, the session ends after', () => {
  const bodies = [
    ['an empty body', ''],
    ['an unknown packet type', 'x'],
    ['an empty packet between two good ones', ['3', '', '3'].join(separator)],
    ['base64 that is none', 'b@@@@'],
    ['an event that is no JSON', '42{'],
    ['a ping', '2'],
    ['the reserved event disconnect', '42["disconnect"]'],
  ];
  for (const [what, body] of bodies) {
    test(what, async () => {
      const session = await PollingSession.connected(node, 'rude');
      const { status } = await session.push(body);
      assert.ok([200, 400].includes(status), `${status}`);
      await untilGone(session);
    });
  }

  test('bytes that are no UTF-8, or they are refused', async () => {
    const session = await PollingSession.connected(node, 'latin');
    await session.push(Buffer.from([0x34, 0x32, 0xff, 0xfe]));
    await untilGone(session);
  });
});

describe('on bare TCP, the WebSocket is failed with', () => {
  const text = (payload) => maskedFrame(0x81, payload);
  const violations = [
    ['1002 after an unmasked frame', Buffer.from([0x81, 0x02, 0x34, 0x31]), 1002],
    ['1002 after a reserved bit', maskedFrame(0xc1, '3'), 1002],
    ['1002 after an unknown opcode', maskedFrame(0x83, '3'), 1002],
    ['1002 after a ping in fragments', maskedFrame(0x09, 'x'), 1002],
    ['1002 after a ping of 126 bytes', maskedFrame(0x89, 'x'.repeat(126)), 1002],
    ['1002 after a continuation of nothing', maskedFrame(0x80, '3'), 1002],
    ['1002 after a new message inside another', Buffer.concat([maskedFrame(0x01, '4'), text('3')]), 1002],
    ['1002 after a close code that is reserved', maskedFrame(0x88, Buffer.from([0x03, 0xed])), 1002],
    ['1007 after text that is no UTF-8', text(Buffer.from([0x34, 0xc3, 0x28])), 1007],
    ['1009 after a declared length of 2^62', Buffer.from([0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1009],
    ['1009 after a declared length of 10 MB', Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x98, 0x96, 0x80, 1, 2, 3, 4]), 1009],
    ['1000 after a close of 1000', maskedFrame(0x88, Buffer.from([0x03, 0xe8])), 1000],
  ];
  for (const [what, bytes, code] of violations) {
    test(what, async () => {
      const { socket, closed } = await upgradedSocket(node);
      socket.write(bytes);
      const received = await inTime(closed, 'the node to close the connection');
      const close = received.subarray(received.lastIndexOf(0x88));
      assert.equal(close[0], 0x88, 'a close frame comes first');
      assert.equal(close.readUInt16BE(2), code);
    });
  }
});

test('a client that writes one byte at a time is served', async () => {
  const { socket, received, closed } = await upgradedSocket(node);
  socket.setNoDelay(true);
  const untilReceived = async (text) => {
    while (!received().includes(text)) await inTime(once(socket, 'data'), text);
  };
  const exchanges = [
    ['40{"userId":"slow-writer"}', '"authenticated"'],
    ['421["channel:join",{"channelId":"bytewise"}]', '431[{"success":true'],
  ];
  for (const [frame, answer] of exchanges) {
    for (const byte of maskedFrame(0x81, frame)) {
      await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
    }
    await untilReceived(answer);
  }
  socket.destroy();
  await closed;
});

function untilGone(session) {
  return until('the session is gone', async () => (await session.poll()).status !== 200);
}

async function closedOrServed(session) {
  const answered = session.ask(99, 'ping', { timestamp: 1 }).catch(() => session.untilClosed());
  await Promise.race([answered, session.untilClosed()]);
  session.close();
}
