// The namespace /interop with stock clients of JavaScript: rooms, acknowledgements both ways, kicks, drops, recovery.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inTime, until } from '../inbox.mjs';
import { fixtureForAllTests } from './fixture.mjs';
import { ask, connected, heard, settled, transports, withSockets } from './stock.mjs';
import { Polling, Wire, separator } from './wire.mjs';

const fixture = await fixtureForAllTests('interop');
const namespace = '/interop';

/** Arguments without the offset, which stands behind those of every event that is not acknowledged. */
function withoutOffset(args) {
  assert.equal(typeof args.at(-1), 'string', 'an offset is a string');
  return args.slice(0, -1);
}

/** Everything that a socket hears of an event, from now on. */
function listening(socket, event) {
  const all = [];
  socket.on(event, (...args) => all.push(withoutOffset(args)));
  return all;
}

for (const [way, options] of Object.entries(transports)) {
  const scenario = (what, run) => test(what, () => withSockets(fixture, { ...options, path: '/socket.io/' }, run));

  describe(`${way}:`, () => {
    scenario('echo comes back as it was asked for', async (open) => {
      const socket = open(namespace);
      const values = [1, 'two', { three: [Buffer.from([3]), null] }];
      const all = inTime(new Promise((resolve) => socket.emit('echo', ...values, (...args) => resolve(args))), 'the answer');
      assert.deepEqual(await all, values);
      socket.emit('echo', ...values);
      assert.deepEqual(withoutOffset(await heard(socket, 'echo')), values);
      socket.emit('echo');
      assert.deepEqual(withoutOffset(await heard(socket, 'echo')), []);
    });

    scenario('whoami tells what the node knows', async (open) => {
      const socket = await settled(open(namespace, { auth: { token: 'right' }, query: { q: 'é &=' }, extraHeaders: { 'X-Interop': 'yes' } }));
      const { id, auth, query, header, transport, recovered } = await ask(socket, 'whoami');
      assert.deepEqual([id, auth, query.q, header, recovered], [socket.id, { token: 'right' }, 'é &=', 'yes', false]);
      assert.equal(transport, options.transports?.[0] ?? 'websocket');
      assert.equal((await ask(open(namespace), 'whoami')).header, null);
    });

    scenario('a wrong token is refused with data', async (open) => {
      const socket = open(namespace, { auth: { token: 'wrong' } });
      const [error] = await heard(socket, 'connect_error');
      assert.deepEqual([error.message, error.data, socket.active], ['Invalid token', { code: 'INVALID_TOKEN' }, false]);
    });

    scenario('the node asks back, and takes the answer with its bytes', async (open) => {
      const socket = open(namespace);
      const answered = heard(socket, 'answer');
      socket.emit('ask-back', { v: Buffer.from('bytes') });
      const [question, answer] = await heard(socket, 'question');
      assert.deepEqual(question, { v: Buffer.from('bytes') });
      answer('a', [Buffer.from('b')], null);
      answer('a second answer means nothing');
      assert.deepEqual(withoutOffset(await answered), ['a', [Buffer.from('b')], null]);
    });

    scenario('a room hears what is said in it', async (open) => {
      const [ann, bob, eve] = await Promise.all([1, 2, 3].map(() => connected(open(namespace))));
      const heardBy = [ann, bob, eve].map((socket) => listening(socket, 'talk'));
      for (const socket of [ann, bob]) await ask(socket, 'join', 'room');
      ann.emit('say', 'room', 'talk', 'to the others', Buffer.from('x'));
      ann.emit('say-all', 'room', 'talk', 'to all');
      await ask(ann, 'whoami');
      eve.emit('say', 'room', 'talk', 'from outside');
      for (const socket of [ann, eve]) await ask(socket, 'whoami');
      await ask(bob, 'leave', 'room');
      ann.emit('say-all', 'room', 'talk', 'after bob left');
      bob.emit('say', ann.id, 'talk', 'to ann alone');
      // What was said before a question is heard before its answer.
      for (const socket of [bob, eve, ann]) await ask(socket, 'whoami');
      assert.deepEqual(heardBy[0], [['to all'], ['from outside'], ['after bob left'], ['to ann alone']]);
      assert.deepEqual(heardBy[1], [['to the others', Buffer.from('x')], ['to all'], ['from outside']]);
      assert.deepEqual(heardBy[2], []);
    });

    scenario('a kick ends the namespace, and the connection if it says so', async (open) => {
      for (const closes of [false, true]) {
        const witness = await connected(open(namespace));
        const socket = await settled(open(namespace));
        const { id } = socket;
        const gone = heard(witness, 'left');
        socket.emit('kick', closes);
        assert.equal((await heard(socket, 'disconnect'))[0], 'io server disconnect');
        assert.equal(socket.active, false);
        assert.deepEqual(withoutOffset(await gone), [{ id, reason: 'server namespace disconnect' }]);
      }
    });

    scenario('a kick right behind an event is heard, and so is the event', async (open) => {
      for (let round = 0; round < 20; round += 1) {
        const socket = await settled(open(namespace));
        const order = [];
        socket.on('echo', () => order.push('echo'));
        const ended = heard(socket, 'disconnect').then(([reason]) => order.push(reason));
        socket.emit('echo');
        socket.emit('kick', true);
        await ended;
        assert.deepEqual(order, ['echo', 'io server disconnect']);
      }
    });

    scenario('a dropped client comes back by itself and is recovered', async (open) => {
      const witness = await connected(open(namespace));
      const socket = await settled(open(namespace));
      const { id } = socket;
      socket.emit('echo', 'for an offset');
      await heard(socket, 'echo');
      await ask(socket, 'join', 'kept');
      const missed = listening(socket, 'news');
      const gone = heard(witness, 'left');
      socket.emit('drop');
      assert.equal((await heard(socket, 'disconnect'))[0], 'transport close');
      const [{ id: goneId, reason }] = withoutOffset(await gone);
      assert.deepEqual([goneId, reason], [id, 'forced close']);
      witness.emit('say', 'kept', 'news', 1, Buffer.from('one'));
      witness.emit('say', 'kept', 'news', 2);
      witness.emit('say', 'elsewhere', 'news', 'not for everyone');
      await connected(socket);
      assert.deepEqual([socket.recovered, socket.id], [true, id]);
      assert.deepEqual(await ask(socket, 'whoami').then((me) => [me.recovered, me.id]), [true, id]);
      socket.emit('say-all', 'kept', 'news', 3);
      await ask(socket, 'whoami');
      assert.deepEqual(missed, [[1, Buffer.from('one')], [2], [3]]);
    });

    scenario('the namespace hears who left, and why', async (open) => {
      const witness = await connected(open(namespace));
      const reasonOf = async (end) => {
        const socket = await settled(open(namespace));
        const { id } = socket;
        const gone = heard(witness, 'left');
        end(socket);
        const [left] = withoutOffset(await gone);
        assert.equal(left.id, id);
        return left.reason;
      };
      // A client that leaves its only namespace closes the connection behind it.
      assert.equal(await reasonOf((socket) => socket.disconnect()), 'client namespace disconnect');
      assert.equal(await reasonOf((socket) => socket.io.engine.close()), 'transport close');
      assert.equal(await reasonOf((socket) => socket.io.engine.transport.write([{ type: 'message', data: 'no packet' }])), 'parse error');
    });

    scenario('bursts arrive whole and in order, volatile events in order', async (open) => {
      const socket = await settled(open(namespace));
      for (const [asked, one, last, count] of [['burst', 'b', 'b-done', 5_000], ['volatile', 'v', 'v-done', 5_000], ['burst', 'b', 'b-done', 0]]) {
        const numbers = [];
        socket.off(one).on(one, (number) => numbers.push(number));
        const done = heard(socket, last);
        socket.emit(asked, count);
        assert.equal((await done)[0], count);
        assert.deepEqual(numbers, Array.from({ length: count }, (_, n) => n));
      }
    });
  });
}

describe('recovery', () => {
  test('is offered with a pid, and marks every event without acknowledgement but volatile ones', async () => {
    const wire = await Wire.open(fixture, 'socket.io');
    wire.send('40/interop,{"a":1}');
    const reply = JSON.parse((await wire.next()).slice('40/interop,'.length));
    assert.deepEqual(Object.keys(reply), ['sid', 'pid']);
    wire.send('42/interop,["echo",1]', '42/interop,7["echo",1]', '42/interop,["ask-back",1]', '42/interop,["volatile",1]');
    assert.match(await wire.next(), /^42\/interop,\["echo",1,"[^"]+"\]$/);
    assert.equal(await wire.next(), '43/interop,7[1]');
    assert.equal(await wire.next(), '42/interop,0["question",1]');
    assert.equal(await wire.next(), '42/interop,["v",0]');
    assert.match(await wire.next(), /^42\/interop,\["v-done",1,"[^"]+"\]$/);
    wire.close();
  });

  const begin = async () => {
    const wire = await Wire.open(fixture, 'socket.io');
    wire.send('40/interop,');
    const { sid, pid } = JSON.parse((await wire.next()).slice('40/interop,'.length));
    wire.send('42/interop,["echo"]');
    const [, offset] = JSON.parse((await wire.next()).slice('42/interop,'.length));
    return { wire, sid, pid, offset };
  };
  const comeBack = async (auth) => {
    const wire = await Wire.open(fixture, 'socket.io');
    wire.send(`40/interop,${JSON.stringify(auth)}`);
    const reply = JSON.parse((await wire.next()).slice('40/interop,'.length));
    wire.close();
    return reply;
  };
  const lost = async (wire) => {
    wire.close();
    await wire.closed;
  };

  test('is given once to whoever shows pid and offset', async () => {
    const { wire, sid, pid, offset } = await begin();
    await lost(wire);
    let reply;
    // The news of the lost connection may be overtaken by the new one: then there is nothing to recover yet.
    await until('the session is recovered', async () => (reply = await comeBack({ pid, offset })).sid === sid);
    assert.equal(reply.pid, pid);
  });

  const strangers = [
    ['another pid', ({ offset }) => ({ pid: 'x'.repeat(20), offset })],
    ['an offset that never was', ({ pid }) => ({ pid, offset: '99999999' })],
    ['an offset that is no offset', ({ pid }) => ({ pid, offset: '-1' })],
    ['an offset that is no string', ({ pid, offset }) => ({ pid, offset: Number(offset) })],
    ['no offset', ({ pid }) => ({ pid })],
  ];
  for (const [what, forge] of strangers) {
    test(`is not given to ${what}`, async () => {
      const session = await begin();
      await lost(session.wire);
      const reply = await comeBack(forge(session));
      assert.notEqual(reply.sid, session.sid);
      assert.notEqual(reply.pid, session.pid);
    });
  }

  test('is not given to a session that goes on, or that left by itself', async () => {
    const { wire, sid, pid, offset } = await begin();
    assert.notEqual((await comeBack({ pid, offset })).sid, sid);
    wire.send('41/interop,');
    assert.notEqual((await comeBack({ pid, offset })).sid, sid);
    wire.close();
  });
});

test('a client that was sent away over polling hears of it, though no poll of its was waiting', async () => {
  const session = await Polling.open(fixture, 'socket.io');
  await session.post('40/interop,');
  await session.next((packet) => packet.startsWith('40/interop,'));
  await session.post('42/interop,["burst",40]', '42/interop,["kick",true]');
  const packets = [];
  for (;;) {
    const { status, body } = await session.poll();
    if (status !== 200) break;
    packets.push(...body.split(separator));
  }
  assert.equal(packets.filter((packet) => packet.startsWith('42/interop,["b",')).length, 40);
  assert.deepEqual(packets.slice(-2), ['41/interop,', '1']);
});
