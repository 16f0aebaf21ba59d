// Joining and leaving channels, and what a bad request is told.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { transports, withClients } from './client.mjs';
import { insecure, startNode } from './server.mjs';

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

const usersOf = (members) => members.map((member) => member.userId).sort();

for (const [way, options] of Object.entries(transports)) {
  test(`${way}: a join is told by joined, members and the acknowledgement`, () =>
    withClients(node, options, async (open) => {
      const channelId = `joined by ${way}`;
      const [alice, bob] = [await open('alice'), await open('bob')];
      await alice.join(channelId);
      await alice.next('channel:joined');
      const ack = await bob.join(channelId);
      const joined = await bob.next('channel:joined');
      const members = await bob.next('channel:members');

      assert.deepEqual([joined.channelId, joined.userId, joined.memberCount], [channelId, 'bob', 2]);
      assert.ok(Number.isInteger(joined.timestamp));
      assert.equal(members.channelId, channelId);
      assert.deepEqual(usersOf(members.members), ['alice', 'bob']);
      assert.equal(members.members[0].status, 'online');
      assert.deepEqual([ack.success, ack.channelId, ack.data.channelId], [true, channelId, channelId]);
      assert.deepEqual([ack.data.roomName, ack.data.type, ack.data.memberCount], [channelId, 'channel', 2]);

      await alice.settled();
      assert.equal(alice.unread('channel:joined'), 0, 'only the joiner hears of its join in this way');
    }));

  test(`${way}: a leave is told by left and the acknowledgement, and ends the messages`, () =>
    withClients(node, options, async (open) => {
      const channelId = `left by ${way}`;
      const [alice, bob] = [await open('alice'), await open('bob')];
      await Promise.all([alice.join(channelId), bob.join(channelId)]);
      const ack = await bob.ask('channel:leave', { channelId });
      const left = await bob.next('channel:left');
      assert.deepEqual([ack.success, ack.channelId], [true, channelId]);
      assert.deepEqual([left.channelId, left.userId], [channelId, 'bob']);

      await alice.send(channelId, 'is anybody here?');
      assert.equal((await alice.join(channelId)).data.memberCount, 1);
      assert.equal((await bob.send(channelId, 'from outside')).error.code, 'NOT_JOINED');
      await bob.join(channelId);
      assert.deepEqual(await bob.heardUntilLastWordOf(alice, channelId), []);
    }));
}

test('joining again gives the same answers and counts nobody twice', () =>
  withClients(node, {}, async (open) => {
    const alice = await open('alice');
    for (let round = 0; round < 3; round += 1) {
      const ack = await alice.join('again');
      assert.deepEqual([ack.success, ack.data.memberCount], [true, 1]);
      assert.equal((await alice.next('channel:joined')).channelId, 'again');
      assert.deepEqual(usersOf((await alice.next('channel:members')).members), ['alice']);
    }
    await alice.send('again', 'once');
    assert.deepEqual(await alice.heardUntilLastWordOf(alice, 'again'), ['once']);
  }));

test('leaving again, or a channel never joined, is answered as a leave', () =>
  withClients(node, {}, async (open) => {
    const alice = await open('alice');
    await alice.join('gone');
    for (const channelId of ['gone', 'gone', 'never joined']) {
      assert.equal((await alice.ask('channel:leave', { channelId })).success, true);
      assert.equal((await alice.next('channel:left')).channelId, channelId);
    }
  }));

test('join and leave work without an acknowledgement', () =>
  withClients(node, {}, async (open) => {
    const alice = await open('alice');
    alice.socket.emit('channel:join', { channelId: 'plain' });
    assert.equal((await alice.next('channel:joined')).channelId, 'plain');
    alice.socket.emit('channel:leave', { channelId: 'plain' });
    assert.equal((await alice.next('channel:left')).channelId, 'plain');
  }));

test('two devices of a user are one member, and each gets the messages', () =>
  withClients(node, {}, async (open) => {
    const [phone, laptop] = [await open('alice'), await open('alice', { transports: ['websocket'] })];
    await phone.join('devices');
    const ack = await laptop.join('devices');
    assert.equal(ack.data.memberCount, 1);
    await phone.send('devices', 'hello me');
    for (const device of [phone, laptop]) assert.equal((await device.next('message')).content, 'hello me');

    await phone.ask('channel:leave', { channelId: 'devices' });
    assert.equal((await laptop.join('devices')).data.memberCount, 1);
    await laptop.send('devices', 'still here');
    assert.equal((await laptop.next('message')).content, 'still here');
  }));

test('two clients that join at the same instant and speak at once hear each other', () =>
  withClients(node, {}, async (open) => {
    const [alice, bob] = [await open('alice'), await open('bob')];
    alice.socket.emit('channel:join', { channelId: 'race' });
    bob.socket.emit('channel:join', { channelId: 'race' });
    await Promise.all([alice.next('channel:joined'), bob.next('channel:joined')]);
    alice.socket.emit('message:send', { channelId: 'race', content: 'me first' });
    assert.equal((await bob.next('message')).content, 'me first');
  }));

test('a client that rejoins a hundred channels in one burst gets into each', () =>
  withClients(node, {}, async (open) => {
    const alice = await open('alice');
    const channelIds = Array.from({ length: 100 }, (_, n) => `burst-${n}`);
    const acks = await Promise.all(channelIds.map((channelId) => alice.join(channelId)));
    assert.deepEqual(acks.map((ack) => ack.channelId), channelIds);
    await Promise.all(channelIds.map((channelId) => alice.send(channelId, channelId)));
    const heard = (await alice.nextOf('message', 100)).map((message) => message.content);
    assert.deepEqual(heard.sort(), [...channelIds].sort());
  }));

test('a channel id may hold any script, spaces, and up to 255 bytes', () =>
  withClients(node, {}, async (open) => {
    const alice = await open('alice');
    for (const channelId of ['общий чат', '雑談 🎈', 'a/b?c=d&e', '"quoted\\"', 'x'.repeat(255)]) {
      assert.equal((await alice.join(channelId)).channelId, channelId);
      await alice.send(channelId, 'hi');
      assert.equal((await alice.next('message')).channelId, channelId);
    }
  }));

const badChannels = [
  ['an empty channelId', { channelId: '' }],
  ['no channelId', {}],
  ['a channelId that is no string', { channelId: 7 }],
  ['a channelId that is null', { channelId: null }],
  ['a channelId of 300 bytes', { channelId: 'x'.repeat(300) }],
  ['a channelId of 300 bytes in 100 characters', { channelId: '語'.repeat(100) }],
  ['a string for the object', 'general'],
  ['null for the object', null],
];
for (const event of ['channel:join', 'channel:leave', 'message:send']) {
  for (const [flaw, payload] of badChannels) {
    test(`${event} with ${flaw} is a VALIDATION_ERROR and nothing worse`, () =>
      withClients(node, {}, async (open) => {
        const alice = await open('alice');
        await assertRefused(alice, event, payload === null || typeof payload === 'string' ? payload : { content: 'hi', ...payload });
      }));
  }
}

test('an event without its object is a VALIDATION_ERROR and nothing worse', () =>
  withClients(node, {}, async (open) => {
    const alice = await open('alice');
    for (const event of ['channel:join', 'channel:leave', 'message:send']) {
      const ack = await alice.ask(event);
      assert.deepEqual([ack.success, ack.error.code], [false, 'VALIDATION_ERROR']);
    }
  }));

test('an event that the node does not know is answered by UNKNOWN_EVENT where somebody waits, and harms nobody', () =>
  withClients(node, {}, async (open) => {
    const alice = await open('alice');
    for (const event of ['no:such:event', 'constructor', '__proto__', 'toString', '', 'x'.repeat(1000)]) {
      const ack = await alice.ask(event, { channelId: 'x' });
      assert.deepEqual([ack.success, ack.error.code], [false, 'UNKNOWN_EVENT']);
    }
    alice.socket.emit('no:such:event', {});
    assert.equal((await alice.join('after an unknown event')).success, true);
  }));

/** Asks with and without an acknowledgement; the connection must stay and serve. */
async function assertRefused(client, event, payload) {
  const ack = await client.ask(event, payload);
  assert.deepEqual([ack.success, ack.error.code], [false, 'VALIDATION_ERROR']);
  assert.equal(typeof ack.error.message, 'string');
  assert.equal(client.unread('error'), 0, 'an acknowledged refusal is told once');

  client.socket.emit(event, payload);
  const error = await client.next('error');
  assert.deepEqual([error.type, error.code, error.event], ['validation', 'VALIDATION_ERROR', event]);
  assert.ok(Number.isInteger(error.timestamp));
  assert.equal((await client.join('after a bad request')).success, true);
}
