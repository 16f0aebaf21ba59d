// Engine.IO 4 at /engine.io/, in the profile of the public protocol suite: interval 300 ms, timeout 200 ms.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inTime } from '../inbox.mjs';
import { fixtureForAllTests } from './fixture.mjs';
import { Polling, Wire, address, ask, separator } from './wire.mjs';

const fixture = await fixtureForAllTests('protocol');
const engine = await fixtureForAllTests('engine');
const at = (query) => address(fixture, 'engine.io', query);
const openPolling = () => Polling.open(fixture, 'engine.io');
const openWire = (options) => Wire.open(fixture, 'engine.io', options);
const offer = { pingInterval: 300, pingTimeout: 200, maxPayload: 1_000_000 };

describe('the handshake', () => {
  test('over polling offers the upgrade, and says nothing else', async () => {
    const answer = await ask(at({ transport: 'polling' }));
    assert.deepEqual([answer.status, answer.type, answer.body[0]], [200, 'text/plain; charset=UTF-8', '0']);
    const { sid, ...rest } = JSON.parse(answer.body.slice(1));
    assert.deepEqual(rest, { upgrades: ['websocket'], ...offer });
    assert.equal(typeof sid, 'string');
  });

  test('over websocket offers no upgrade', async () => {
    const wire = await openWire();
    const { sid, ...rest } = wire.handshake;
    assert.deepEqual(rest, { upgrades: [], ...offer });
    assert.equal(typeof sid, 'string');
    wire.close();
  });

  const refused = [
    ['without a version', 'GET', 'transport=polling', 5],
    ['of a version that is none', 'GET', 'EIO=abc&transport=polling', 5],
    ['of version 3', 'GET', 'EIO=3&transport=polling', 5],
    ['without a transport', 'GET', 'EIO=4', 0],
    ['over a transport that is none', 'GET', 'EIO=4&transport=abc', 0],
    ['by POST', 'POST', 'EIO=4&transport=polling', 2],
    ['by PUT', 'PUT', 'EIO=4&transport=polling', 2],
    ['over websocket without an upgrade', 'GET', 'EIO=4&transport=websocket', 3],
    ['with a session that is none', 'GET', 'EIO=4&transport=polling&sid=abc', 1],
  ];
  for (const [what, method, query, code] of refused) {
    test(`${what} is refused with code ${code}`, async () => {
      const { status, body } = await ask(`${fixture.url}/engine.io/?${query}`, { method });
      assert.deepEqual([status, JSON.parse(body).code], [400, code]);
    });
  }

  for (const query of ['transport=websocket', 'EIO=abc&transport=websocket', 'EIO=4', 'EIO=4&transport=abc']) {
    test(`a WebSocket with ${query} is closed`, async () => {
      const wire = await Wire.to(`${fixture.url}/engine.io/?${query}`);
      await wire.untilClosed();
    });
  }

  test('on one surface opens no session on another', async () => {
    const { sid } = await openPolling();
    const elsewhere = address(fixture, 'socket.io', { transport: 'polling', sid });
    assert.equal((await ask(elsewhere)).status, 400);
    assert.equal((await ask(elsewhere, { method: 'POST', body: '40' })).status, 400);
    const wire = await Wire.to(address(fixture, 'socket.io', { transport: 'websocket', sid }));
    await wire.untilClosed();
  });
});

describe('messages over polling', () => {
  const payloads = [
    ['one text', '4hello'],
    ['several texts', ['4test1', '4test2', '4test3'].join(separator)],
    ['text and bytes', ['4hello', 'bAQIDBA=='].join(separator)],
    ['an empty text', '4'],
    ['text of several bytes a letter', '4語 🙂 é'],
  ];
  for (const [what, payload] of payloads) {
    test(`${what} comes back in one poll, without a noop`, async () => {
      const session = await openPolling();
      const posted = await session.post(payload);
      assert.deepEqual([posted.status, posted.body], [200, 'ok']);
      const polled = await session.poll();
      assert.deepEqual([polled.status, polled.body], [200, payload]);
    });
  }

  for (const body of ['abc', '', '4a' + separator, 'b@@@', '2']) {
    test(`${JSON.stringify(body)} ends the session`, async () => {
      const session = await openPolling();
      assert.ok([200, 400].includes((await session.post(body)).status));
      assert.equal((await session.poll()).status, 400);
    });
  }

  test('a body over the limit is refused with 413, and ends the session', async () => {
    const session = await openPolling();
    assert.equal((await session.post('4' + 'x'.repeat(3_000_000))).status, 413);
    assert.equal((await session.poll()).status, 400);
  });

  test('a body far over the limit is refused while it is still being sent, and the answer arrives', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { sid } = await openPolling();
      const socket = connect(fixture.port, fixture.host).on('error', () => {});
      let received = '';
      socket.setEncoding('latin1').on('data', (text) => (received += text));
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.write(`POST /engine.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n`);
      for (let part = 0; part < 100; part += 1) socket.write(Buffer.alloc(65_536, 'x'));
      await inTime(closed, 'the connection to be closed');
      assert.match(received, /^HTTP\/1\.1 413 /);
    }
  });

  test('a second GET is refused and ends the session; the first one hears of it', async () => {
    const session = await openPolling();
    const first = session.poll();
    await sleep(5); // as the public suite has it: whichever comes first is the first
    const second = await ask(`${session.url}&t=burst`);
    const told = await first;
    assert.deepEqual([told.status, told.body], [200, '1']);
    assert.equal(second.status, 400);
    assert.equal((await session.poll()).status, 400);
  });

  test('a GET that is given up ends the session', async () => {
    for (let round = 0; round < 20; round += 1) {
      const session = await openPolling();
      const abort = new AbortController();
      const aborted = assert.rejects(fetch(session.url, { signal: abort.signal }));
      await sleep(5);
      abort.abort();
      assert.equal((await session.poll()).status, 400);
      await aborted;
    }
  });
});

describe('messages over websocket', () => {
  test('text and bytes come back as they are', async () => {
    const wire = await openWire();
    wire.send('4hello', Buffer.from([1, 2, 3, 4]), '4');
    assert.deepEqual(await wire.nextOf(3), ['4hello', Buffer.from([1, 2, 3, 4]), '4']);
    wire.close();
  });

  for (const frame of ['abc', '', '9']) {
    test(`${JSON.stringify(frame)} closes the connection`, async () => {
      const wire = await openWire();
      wire.send(frame);
      await wire.untilClosed();
    });
  }
});

describe('the heartbeat', () => {
  test('over polling is a ping an interval, answered by a pong', async () => {
    const session = await openPolling();
    for (let beat = 0; beat < 3; beat += 1) {
      assert.equal((await session.poll()).body, '2');
      assert.equal((await session.post('3')).status, 200);
    }
  });

  test('over websocket is a ping an interval, answered by a pong', async () => {
    const wire = await openWire({ answersPings: false });
    for (let beat = 0; beat < 3; beat += 1) {
      assert.equal(await wire.next(), '2');
      wire.send('3');
    }
    wire.close();
  });

  test('without a pong the session is gone at interval plus timeout sharp', async () => {
    const sessions = [];
    for (let number = 0; number < 10; number += 1) {
      sessions.push(openPolling().then(async (session) => {
        await sleep(offer.pingInterval + offer.pingTimeout);
        return session.poll();
      }));
      await sleep(37);
    }
    for (const { status } of await Promise.all(sessions)) assert.equal(status, 400);
  });

  test('without a pong the WebSocket is closed', async () => {
    const wire = await openWire({ answersPings: false });
    await wire.untilClosed();
  });
});

describe('closing', () => {
  test('over polling releases the poll with a noop and ends the session', async () => {
    const session = await openPolling();
    const pending = session.poll();
    await session.post('1');
    assert.deepEqual((await pending).body, '6');
    assert.equal((await session.poll()).status, 400);
  });

  test('over websocket closes the connection', async () => {
    const wire = await openWire();
    wire.send('1');
    await wire.untilClosed();
  });
});

describe('the upgrade', () => {
  async function probed() {
    const session = await openPolling();
    const wire = await Wire.to(session.upgradeUrl);
    wire.send('2probe');
    assert.equal(await wire.next(), '3probe');
    return { session, wire };
  }

  test('answers a GET between probe and end with a noop, then goes on over websocket', async () => {
    const { session, wire } = await probed();
    const polled = await session.poll();
    assert.deepEqual([polled.status, polled.body], [200, '6']);
    wire.send('5', '4hello');
    assert.equal(await wire.next(), '4hello');
    wire.close();
  });

  test('releases a GET that waits when the probe comes', async () => {
    const session = await openPolling();
    const pending = session.poll();
    const wire = await Wire.to(session.upgradeUrl);
    wire.send('2probe');
    assert.equal(await wire.next(), '3probe');
    assert.equal((await pending).body, '6');
    wire.send('5', '4hello');
    assert.equal(await wire.next(), '4hello');
    wire.close();
  });

  test('leaves nothing for a GET that comes at once after its end', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { session, wire } = await probed();
      wire.send('5');
      assert.equal((await session.poll()).status, 400);
      wire.send('4hello');
      assert.equal(await wire.next(), '4hello');
      wire.close();
    }
  });

  test('needs no wait for the answer to its probe', async () => {
    const session = await openPolling();
    const wire = await Wire.to(session.upgradeUrl);
    wire.send('2probe', '5', '4hello');
    assert.deepEqual(await wire.nextOf(2), ['3probe', '4hello']);
    assert.equal((await session.poll()).status, 400);
    wire.close();
  });

  test('happens once: a second WebSocket is closed and the first goes on', async () => {
    const { session, wire } = await probed();
    const rival = await Wire.to(session.upgradeUrl);
    rival.send('2probe');
    await rival.untilClosed();
    wire.send('5');
    const late = await Wire.to(session.upgradeUrl);
    await late.untilClosed();
    wire.send('4hello');
    assert.equal(await wire.next(), '4hello');
    wire.close();
  });

  test('that is broken off leaves the session polling', async () => {
    const { session, wire } = await probed();
    wire.close();
    await session.post('4still here');
    assert.equal(await session.next((packet) => packet !== '6'), '4still here');
  });

  test('that says something else is closed, and leaves the session polling', async () => {
    const session = await openPolling();
    const wire = await Wire.to(session.upgradeUrl);
    wire.send('4hello');
    await wire.untilClosed();
    await session.post('4still here');
    assert.equal(await session.next(), '4still here');
  });

  test('brings along what was not polled, in order', async () => {
    const session = await openPolling();
    await session.post('41', 'bAg==', '43');
    const wire = await Wire.to(session.upgradeUrl);
    wire.send('2probe', '5', '44');
    assert.deepEqual(await wire.nextOf(5), ['3probe', '41', Buffer.from([2]), '43', '44']);
    wire.close();
  });
});

describe('the profile engine', () => {
  test('greets on connection, behind the open packet', async () => {
    const session = await Polling.open(engine, 'engine.io');
    const { sid, ...rest } = session.handshake;
    assert.deepEqual(rest, { upgrades: ['websocket'], pingInterval: 500, pingTimeout: 20_000, maxPayload: 100 });
    assert.equal((await session.poll()).body, '4hi');
    const wire = await Wire.open(engine, 'engine.io');
    assert.equal(await wire.next(), '4hi');
    wire.close();
  });

  test('refuses a request that asks for it, on both transports', async () => {
    const url = address(engine, 'engine.io', { transport: 'polling', deny: '1' });
    const { status, body } = await ask(url);
    assert.deepEqual([status, JSON.parse(body)], [403, { code: 4, message: 'Forbidden' }]);
    const wire = await Wire.to(url.replace('polling', 'websocket'));
    await wire.untilClosed();
  });

  test('closes a WebSocket that sends more than maxPayload', async () => {
    const wire = await Wire.open(engine, 'engine.io');
    wire.send(`4${'x'.repeat(99)}`);
    assert.equal((await wire.next((frame) => frame !== '4hi')).length, 100);
    wire.send(`4${'x'.repeat(100)}`);
    assert.equal((await wire.untilClosed()).code, 1009);
  });
});

test('a request for what is not there is answered, and the connection is kept', async () => {
  const { status } = await inTime(ask(`${fixture.url}/nothing`), 'an answer');
  assert.equal(status, 404);
});
