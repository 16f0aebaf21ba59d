// The profile of socket.io-client's own tests: every event of the fixture, over every transport.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Manager } from 'socket.io-client';
import { inTime } from '../inbox.mjs';
import { fixtureForAllTests } from './fixture.mjs';
import { ask, connected, heard, settled, transports, withSockets } from './stock.mjs';

const fixture = await fixtureForAllTests('client');
const isDate = (text) => typeof text === 'string' && new Date(text).toISOString() === text;

for (const [way, options] of Object.entries(transports)) {
  const scenario = (what, run) => test(what, () => withSockets(fixture, options, run));

  describe(`${way}:`, () => {
    scenario('hi is answered by hi, and other events by silence', async (open) => {
      const socket = open();
      socket.emit('nobody listens to this');
      socket.emit('hi');
      await heard(socket, 'hi');
    });

    scenario('echo is acknowledged with what was sent', async (open) => {
      const socket = open();
      const values = [null, true, 0, -1.5, '', 'てすと 🙂', [], [1, [2]], {}, { a: { b: [null] } }];
      for (const value of values) assert.deepEqual(await ask(socket, 'echo', value), value);
      const bytes = Buffer.from([0, 1, 254, 255]);
      assert.deepEqual(await ask(socket, 'echo', { bytes, again: [bytes] }), { bytes, again: [bytes] });
      const large = 'x'.repeat(300_000);
      assert.equal(await ask(socket, 'echo', large), large);
    });

    scenario('the node can ask for an acknowledgement', async (open) => {
      const socket = open();
      socket.emit('ack');
      const [answer] = await heard(socket, 'ack');
      answer(5, { test: true });
      await heard(socket, 'got it');
    });

    scenario('dates are strings', async (open) => {
      const socket = open();
      assert.ok(isDate(await ask(socket, 'getAckDate', { test: true })));
      socket.emit('getDate');
      assert.ok(isDate((await heard(socket, 'takeDate'))[0]));
      socket.emit('getDateObj');
      assert.ok(isDate((await heard(socket, 'takeDateObj'))[0].date));
    });

    scenario('text of many alphabets arrives as it is, in order', async (open) => {
      const socket = open();
      const texts = [];
      const all = new Promise((resolve) => socket.on('takeUtf8', (text) => texts.push(text) === 5 && resolve()));
      socket.emit('getUtf8');
      await inTime(all, 'five texts');
      assert.deepEqual(texts, ['てすと', 'Я Б Г Д Ж Й', 'Ä ä Ü ü ß', 'utf8 — string', 'utf8 — string']);
    });

    scenario('false is a value', async (open) => {
      const socket = open();
      socket.emit('false');
      assert.equal((await heard(socket, 'false'))[0], false);
    });

    scenario('bytes travel both ways', async (open) => {
      const socket = open();
      socket.emit('doge');
      assert.deepEqual((await heard(socket, 'doge'))[0], Buffer.from('asdfasdf'));
      socket.emit('buffa', Buffer.from('asdfasdf'));
      await heard(socket, 'buffack');
      socket.emit('jsonbuff', { hello: 'lol', message: Buffer.from('howdy'), goodbye: 'gotcha' });
      await heard(socket, 'jsonbuff-ack');
      socket.emit('abuff1', Buffer.from('abuff1'));
      socket.emit('abuff2', 'please arrive second');
      await heard(socket, 'abuff2-ack');
    });

    scenario('the handshake is told as it was', async (open) => {
      const socket = open('/', { query: { '&a': '&=?a' }, auth: (give) => give({ e: 'f' }) });
      const { query, auth, headers } = await ask(socket, 'getHandshake');
      assert.deepEqual([query['&a'], query.EIO, auth, typeof headers], ['&=?a', '4', { e: 'f' }, 'object']);
      assert.equal((await ask(open('/?c=d'), 'getHandshake')).query.c, 'd');
    });

    scenario('a namespace can tell its members of their handshake', async (open) => {
      const [{ query, auth }] = await heard(open('/abc?b=c&d=e', { auth: { a: 'b', c: 'd' } }), 'handshake');
      assert.deepEqual([query.b, query.d, query.a, auth], ['c', 'e', undefined, { a: 'b', c: 'd' }]);
    });

    scenario('ids are those of the namespace, not of the connection', async (open) => {
      for (const namespace of ['/', '/foo']) {
        const socket = await connected(open(namespace));
        assert.equal(await ask(socket, 'getId'), socket.id);
        assert.notEqual(socket.id, socket.io.engine.id);
      }
    });

    scenario('a refused client hears why and does not come again', async (open) => {
      const refused = [['/', { query: { fail: 'true' } }, 'Auth failed (main namespace)'], ['/no', {}, 'Auth failed (custom namespace)'], ['/nowhere', {}, 'Invalid namespace']];
      for (const [namespace, more, message] of refused) {
        const socket = open(namespace, more);
        const [error] = await heard(socket, 'connect_error');
        assert.deepEqual([error.message, socket.active], [message, false]);
      }
    });

    scenario('namespaces share a connection and end one by one', async () => {
      const manager = new Manager(fixture.url, { ...options, forceNew: true });
      const [foo, asd] = [manager.socket('/foo'), manager.socket('/asd')];
      await connected(foo);
      await connected(asd);
      foo.disconnect();
      const valid = await connected(manager.socket('/valid'));
      assert.ok(asd.connected && !foo.connected);
      await heard(foo.connect(), 'connect');
      manager._close();
      assert.ok(!valid.connected);
    });

    scenario('a disconnected client can come back at once', async (open) => {
      const socket = await connected(open());
      const id = socket.id;
      socket.disconnect().connect();
      await heard(socket, 'connect');
      assert.notEqual(socket.id, id);
      assert.equal(await ask(socket, 'getId'), socket.id);
    });

    scenario('a connection that is lost comes back', async (open) => {
      const socket = await settled(open());
      const lost = heard(socket, 'disconnect');
      socket.io.engine.close();
      assert.equal((await lost)[0], 'forced close');
      await heard(socket, 'connect');
      assert.equal(await ask(socket, 'echo', 1), 1);
    });

    scenario('events keep their order before, during and after the connection', async (open) => {
      const socket = open('/', { autoConnect: false });
      const answers = Array.from({ length: 50 }, (_, n) => ask(socket, 'echo', n).then(() => n));
      socket.connect();
      await connected(socket);
      const order = [];
      for (const answer of answers) order.push(await answer);
      await Promise.all(Array.from({ length: 50 }, async (_, n) => order.push(await ask(socket, 'echo', 50 + n))));
      assert.deepEqual(order, Array.from({ length: 100 }, (_, n) => n));
    });

    scenario('a heartbeat passes without a word', async (open) => {
      const socket = await settled(open());
      await inTime(new Promise((resolve) => socket.io.once('ping', resolve)), 'a ping');
      await inTime(new Promise((resolve) => socket.io.once('ping', resolve)), 'another ping');
      assert.equal(await ask(socket, 'echo', 1), 1);
    });
  });
}

describe('a handshake is answered late enough', () => {
  for (const [way, options] of Object.entries(transports)) {
    test(`for a client that waits for nothing to see it time out, ${way}`, () =>
      withSockets(fixture, { ...options, timeout: 0, reconnection: false }, async (open) => {
        const [error] = await heard(open(), 'connect_error');
        assert.equal(error.message, 'timeout');
      }));
  }
});

test('a connection that is lost is recovered with what was missed', () =>
  withSockets(fixture, {}, async (open) => {
    const socket = open();
    socket.emit('hi');
    await heard(socket, 'hi');
    const { id } = socket;
    assert.equal(socket.recovered, false);
    socket.io.engine.close();
    await heard(socket, 'connect');
    assert.deepEqual([socket.id, socket.recovered], [id, true]);
  }));

