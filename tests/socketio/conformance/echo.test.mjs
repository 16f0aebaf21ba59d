// The bare echo at /echo: framing as RFC 6455 and 7692 want it, end to end over a real socket.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { inTime } from '../inbox.mjs';
import { fixtureForAllTests } from './fixture.mjs';

const fixture = await fixtureForAllTests('protocol');
const mebi = 1 << 20;
const waitMsMax = 60_000; // 16 MiB through a debug build take their time

async function opened(options = {}) {
  const socket = new WebSocket(`ws://${fixture.host}:${fixture.port}/echo`, { perMessageDeflate: false, maxPayload: 0, ...options });
  socket.on('error', () => {});
  await inTime(new Promise((resolve) => socket.once('open', resolve)), 'the WebSocket to open');
  return socket;
}

/** The next message, as it came: `{bytes, isBinary}`. */
function nextMessage(socket) {
  const arrival = new Promise((resolve, reject) => {
    const failed = (code) => reject(new Error(`closed with ${code} while a message was awaited`));
    socket.once('close', failed);
    socket.once('message', (bytes, isBinary) => {
      socket.off('close', failed);
      resolve({ bytes, isBinary });
    });
  });
  return inTime(arrival, 'the message to come back', waitMsMax);
}

async function comesBack(socket, message) {
  socket.send(message);
  const { bytes, isBinary } = await nextMessage(socket);
  assert.equal(isBinary, typeof message !== 'string');
  assert.ok(bytes.equals(Buffer.from(message)), 'the message came back changed');
}

describe('a message comes back as it was sent:', () => {
  for (const size of [0, 1, 125, 126, 127, 128, 65_535, 65_536, mebi, 16 * mebi]) {
    test(`${size} bytes`, async () => {
      const socket = await opened();
      await comesBack(socket, 'x'.repeat(size));
      await comesBack(socket, randomBytes(size));
      socket.terminate();
    });
  }

  test('text of every length of UTF-8', async () => {
    const socket = await opened();
    await comesBack(socket, 'Hello-µ@ßöäüàá-UTF-8!! 語 🙂 \u0000 \uffff');
    socket.terminate();
  });

  for (const [count, bytes] of [[2, 1], [1_000, 7], [65_536, 64]]) {
    test(`${count} fragments of ${bytes} bytes`, async () => {
      const socket = await opened();
      const message = randomBytes(count * bytes);
      const arrival = nextMessage(socket);
      for (let part = 0; part < count; part += 1) {
        socket.send(message.subarray(part * bytes, (part + 1) * bytes), { binary: true, fin: part === count - 1 });
      }
      assert.ok((await arrival).bytes.equals(message));
      socket.terminate();
    });
  }

  test('a letter split between two fragments, with a ping between them', async () => {
    const socket = await opened();
    const ponged = new Promise((resolve) => socket.once('pong', resolve));
    const letter = Buffer.from('é');
    const arrival = nextMessage(socket);
    socket.send(letter.subarray(0, 1), { binary: false, fin: false });
    socket.ping('between');
    socket.send(letter.subarray(1), { binary: false, fin: true });
    assert.equal(`${await inTime(ponged, 'the pong')}`, 'between');
    assert.equal(`${(await arrival).bytes}`, 'é');
    socket.terminate();
  });
});

describe('a ping is answered', () => {
  for (const size of [0, 1, 125]) {
    test(`with its ${size} bytes`, async () => {
      const socket = await opened();
      const payload = randomBytes(size);
      const ponged = new Promise((resolve) => socket.once('pong', resolve));
      socket.ping(payload);
      assert.ok((await inTime(ponged, 'the pong')).equals(payload));
      socket.terminate();
    });
  }
});

describe('compression', () => {
  const offers = [
    ['as the client likes it', {}],
    ['without context on either side', { serverNoContextTakeover: true, clientNoContextTakeover: true }],
    ['without context at the client', { clientNoContextTakeover: true }],
    ['with a small window at the client', { clientMaxWindowBits: 9 }],
  ];
  for (const [what, offer] of offers) {
    test(`is agreed on ${what}`, async () => {
      const socket = await opened({ perMessageDeflate: { threshold: 0, ...offer } });
      assert.match(socket.extensions, /^permessage-deflate/);
      for (const size of [0, 1, 1_000, 128 * 1024, mebi]) {
        await comesBack(socket, 'all the same '.repeat(size / 13));
        await comesBack(socket, randomBytes(size));
      }
      const arrival = nextMessage(socket);
      socket.send('frag', { fin: false });
      socket.send('ment', { fin: true });
      assert.equal(`${(await arrival).bytes}`, 'fragment');
      socket.terminate();
    });
  }

  // One compressor serves all connections, so its window is nobody's to choose.
  const declined = [['nobody asks for it', false], ['the client would bound the window of the server', { serverMaxWindowBits: 9 }]];
  for (const [what, perMessageDeflate] of declined) {
    test(`is not agreed on where ${what}`, async () => {
      const socket = await opened({ perMessageDeflate });
      assert.equal(socket.extensions, '');
      await comesBack(socket, 'plain');
      socket.terminate();
    });
  }
});

/** A WebSocket on bare TCP. `received` resolves with what came behind the handshake once the other side has closed. */
async function bare(extensions = '') {
  const socket = connect(fixture.port, fixture.host);
  socket.on('error', () => {});
  let received = Buffer.alloc(0);
  let sawHead;
  const head = new Promise((resolve) => (sawHead = resolve));
  socket.on('data', (bytes) => {
    received = Buffer.concat([received, bytes]);
    if (received.includes('\r\n\r\n')) sawHead();
  });
  const ended = new Promise((resolve) => socket.once('close', resolve));
  socket.write(`GET /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n${extensions}\r\n`);
  await inTime(head, 'the handshake');
  const untilClosed = () => inTime(ended, 'the connection to be closed', waitMsMax).then(() => received.subarray(received.indexOf('\r\n\r\n') + 4));
  return { socket, untilClosed };
}

function frame(head, payload) {
  const body = Buffer.from(payload);
  const length = body.length < 126 ? [0x80 | body.length] : [0x80 | 126, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([head, ...length, 0, 0, 0, 0]), body]);
}

const close = (code, reason = '') => frame(0x88, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
const declaring = (head, length) => {
  const bytes = Buffer.alloc(14);
  bytes.set([head, 0xff]);
  bytes.writeBigUInt64BE(BigInt(length), 2);
  return bytes;
};

describe('the connection is closed with', () => {
  const ends = [
    ['1000 after 1000', close(1000), 1000],
    ['3000 after 3000, whatever the reason', close(3000, 'r'.repeat(123)), 3000],
    ['4999 after 4999', close(4999), 4999],
    ['1000 after no code', frame(0x88, ''), 1000],
    ['1002 after half a code', frame(0x88, Buffer.from([3])), 1002],
    ['1002 after a code that nobody may send', close(1005), 1002],
    ['1002 after a code that means nothing', close(2999), 1002],
    ['1007 after a reason that is no UTF-8', frame(0x88, Buffer.from([0x03, 0xe8, 0xce, 0xba, 0xed, 0xa0, 0x80])), 1007],
    ['1007 after text that is no UTF-8', frame(0x81, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80, 0x65])), 1007],
    ['1007 after the first bad byte of a message that goes on', frame(0x01, Buffer.from([0x68, 0xf4, 0x90])), 1007],
    ['1007 after a letter that a message breaks off', frame(0x81, Buffer.from([0xc3])), 1007],
    ['1002 after a frame without a mask', Buffer.from([0x81, 0x01, 0x61]), 1002],
    ['1002 after a compressed frame that was not agreed on', frame(0xc1, 'x'), 1002],
    ['1002 after an opcode that is none', frame(0x83, 'x'), 1002],
    ['1002 after a ping of 126 bytes', frame(0x89, 'x'.repeat(126)), 1002],
    ['1002 after a continuation of nothing', frame(0x80, 'x'), 1002],
    ['1002 after a message inside a message', Buffer.concat([frame(0x01, 'a'), frame(0x81, 'b')]), 1002],
    ['1009 after a frame of more than 16 MiB', declaring(0x82, 16 * mebi + 1), 1009],
    ['1009 after a frame of 2^62 bytes', declaring(0x82, 2n ** 62n), 1009],
    ['1008 or 1009 after 65537 fragments', Buffer.concat([frame(0x02, 'x'), ...Array.from({ length: 65_537 }, () => frame(0x00, 'x'))]), undefined],
  ];
  for (const [what, bytes, code] of ends) {
    test(what, async () => {
      const { socket, untilClosed } = await bare();
      // What comes behind must neither be answered nor turn the close into a reset.
      socket.write(Buffer.concat([bytes, frame(0x81, 'too late')]));
      const received = await untilClosed();
      assert.equal(received[0], 0x88, 'a close frame comes first');
      assert.equal(received.length, 2 + received[1], 'and nothing comes behind it');
      if (code === undefined) assert.ok([1008, 1009].includes(received.readUInt16BE(2)));
      else assert.equal(received.readUInt16BE(2), code);
    });
  }

  const offer = 'Sec-WebSocket-Extensions: permessage-deflate\r\n';
  test('1007 after compressed bytes that are none', async () => {
    const { socket, untilClosed } = await bare(offer);
    socket.write(frame(0xc1, Buffer.from([0xff, 0xff, 0xff])));
    const received = await untilClosed();
    assert.equal(received[0], 0x88);
    assert.ok([1002, 1007].includes(received.readUInt16BE(2)));
  });
});

test('an echo of many small messages keeps their order', async () => {
  const socket = await opened();
  const count = 10_000;
  const numbers = [];
  const all = new Promise((resolve) => socket.on('message', (bytes) => {
    numbers.push(Number(`${bytes}`));
    if (numbers.length === count) resolve();
  }));
  for (let number = 0; number < count; number += 1) socket.send(`${number}`);
  await inTime(all, 'all messages', waitMsMax);
  assert.deepEqual(numbers, Array.from({ length: count }, (_, number) => number));
  socket.terminate();
});
