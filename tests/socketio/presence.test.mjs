// Who is there, as everybody else sees it: from presence:update and connections to presence.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fresh, newcomersIn, withClients } from './client.mjs';
import { until } from './inbox.mjs';
import { metric } from './metrics.mjs';
import { get } from './rest.mjs';
import { insecure, startNode } from './server.mjs';

const websocket = { transports: ['websocket'] };
const isOf = ({ userId }) => (presence) => presence.userId === userId;
const setStatus = (client, status, more = {}) => client.ask('presence:update', { status, ...more });
const statusesOf = (observer, user) => observer.drain('presence', isOf(user)).map(({ status }) => status);

/** The statuses of `users` in a list of exactly them. */
function statusesIn(list, ...users) {
  assert.equal(list.length, users.length);
  return users.map((user) => list.find(isOf(user))?.status);
}

/** What `observer` was told of `user` up to and with `status`, the next change that it must hear of. */
async function heardUpTo(observer, user, status) {
  const statuses = [];
  do statuses.push((await observer.next('presence', isOf(user))).status);
  while (statuses.at(-1) !== status);
  return statuses;
}

let node;
before(async () => {
  node = await startNode({ ...insecure, REALTIME_PRESENCE_TIMEOUT: '600', REALTIME_RECOVERY_WINDOW: '600' });
});
after(() => node.stop());

describe('a change of status', () => {
  test('is told to the other members of a channel', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'told', 'alice', 'bob');
      assert.equal((await setStatus(alice, 'away')).success, true);
      const presence = await bob.next('presence');
      assert.deepEqual([presence.userId, presence.status], [alice.userId, 'away']);
      assert.equal(new Date(presence.lastSeen).toISOString(), presence.lastSeen);
      assert.equal(presence.channelId, undefined, 'it is not of one channel alone');
    }));

  for (const [said, shown] of [['online', 'online'], ['away', 'away'], ['dnd', 'dnd'], ['busy', 'dnd'], ['offline', 'offline'], ['invisible', 'offline']]) {
    test(`to ${said} is shown as ${shown}`, () =>
      withClients(node, websocket, async (open) => {
        const [alice, bob] = await newcomersIn(open, `shown ${said}`, 'alice', 'bob');
        await setStatus(alice, shown === 'away' ? 'dnd' : 'away');
        await bob.next('presence');
        assert.equal((await setStatus(alice, said)).success, true);
        assert.equal((await bob.next('presence')).status, shown);
      }));
  }

  test('is told once to a client that shares several channels', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'shared 0', 'alice', 'bob');
      for (const channelId of ['shared 1', 'shared 2', 'shared 3']) {
        await bob.enter(channelId);
        await alice.enter(channelId);
        await bob.next('presence', ({ channelId: told }) => told === channelId);
      }
      for (const status of ['away', 'dnd', 'online']) await setStatus(alice, status);
      assert.deepEqual(await heardUpTo(bob, alice, 'online'), ['away', 'dnd', 'online']);
    }));

  test('is not told to who made it, nor to strangers', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'not to me', 'alice', 'bob');
      const stranger = await open(fresh('stranger'));
      await stranger.enter('another place');
      await setStatus(alice, 'away');
      await bob.next('presence');
      await Promise.all([alice.settled(), stranger.settled()]);
      assert.deepEqual([alice.unread('presence'), stranger.unread('presence')], [0, 0]);
    }));

  test('that changes nothing is a heartbeat, and silent', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'heartbeats', 'alice', 'bob');
      for (const status of ['online', 'away', 'away', 'away', 'online', 'online', 'dnd', 'dnd', 'away']) await setStatus(alice, status);
      assert.deepEqual(await heardUpTo(bob, alice, 'dnd'), ['away', 'online', 'dnd']);
      assert.deepEqual(await heardUpTo(bob, alice, 'away'), ['away']);
    }));

  for (const [flaw, payload] of [
    ['an unknown status', { status: 'sleeping' }],
    ['no status', {}],
    ['a status that is no string', { status: 1 }],
    ['a custom status of 300 characters', { status: 'away', customStatus: 'x'.repeat(300) }],
    ['a custom status that is a number', { status: 'away', customStatus: 7 }],
    ['a string for the object', 'away'],
  ]) {
    test(`with ${flaw} is refused and changes nothing`, () =>
      withClients(node, websocket, async (open) => {
        const [alice, bob] = await newcomersIn(open, `flaw ${flaw}`, 'alice', 'bob');
        const ack = await alice.ask('presence:update', payload);
        assert.deepEqual([ack.success, ack.error?.code], [false, 'VALIDATION_ERROR']);
        alice.socket.emit('presence:update', payload);
        assert.equal((await alice.next('error')).code, 'VALIDATION_ERROR');
        await setStatus(alice, 'dnd');
        assert.deepEqual(await heardUpTo(bob, alice, 'dnd'), ['dnd']);
      }));
  }
});

describe('several devices of one user', () => {
  test('are as available as the most available of them', () =>
    withClients(node, websocket, async (open) => {
      const [phone, bob] = await newcomersIn(open, 'devices', 'alice', 'bob');
      await setStatus(phone, 'away');
      assert.deepEqual(await heardUpTo(bob, phone, 'away'), ['away']);
      const laptop = await open(phone.userId);
      assert.deepEqual(await heardUpTo(bob, phone, 'online'), ['online']);
      await setStatus(laptop, 'away');
      assert.deepEqual(await heardUpTo(bob, phone, 'away'), ['away']);
      await setStatus(phone, 'online');
      await setStatus(laptop, 'online'); // nothing new
      await setStatus(phone, 'away'); // the laptop is still online
      await setStatus(laptop, 'dnd');
      assert.deepEqual(await heardUpTo(bob, phone, 'dnd'), ['online', 'dnd']);
    }));

  test('are not to be disturbed when one of them says so, until one says otherwise', () =>
    withClients(node, websocket, async (open) => {
      const [phone, bob] = await newcomersIn(open, 'do not disturb', 'alice', 'bob');
      await setStatus(phone, 'dnd');
      assert.deepEqual(await heardUpTo(bob, phone, 'dnd'), ['dnd']);
      const laptop = await open(phone.userId);
      await laptop.enter('do not disturb'); // a new device is no change of mind
      await setStatus(laptop, 'away');
      const [next] = await heardUpTo(bob, phone, 'away');
      assert.equal(next, 'away');
    }));

  test('tell each other, and not themselves', () =>
    withClients(node, websocket, async (open) => {
      const phone = await open(fresh('alice'));
      const laptop = await open(phone.userId);
      await setStatus(phone, 'dnd');
      const presence = await laptop.next('presence');
      assert.deepEqual([presence.userId, presence.status], [phone.userId, 'dnd']);
      await phone.settled();
      assert.equal(phone.unread('presence'), 0);
    }));

  test('are one user who stays while one of them is there', () =>
    withClients(node, websocket, async (open) => {
      const [phone, bob] = await newcomersIn(open, 'one tab less', 'alice', 'bob');
      const laptop = await open(phone.userId);
      await laptop.enter('one tab less');
      const carol = await open(fresh('carol'));
      await carol.enter('one tab less');
      phone.close();
      carol.close();
      // Carol went after the phone, so her end is told after anything that the phone's end could bring.
      await bob.next('presence', ({ userId, status }) => userId === carol.userId && status === 'offline');
      assert.deepEqual(statusesOf(bob, phone), []);
      await setStatus(laptop, 'away');
      assert.deepEqual(await heardUpTo(bob, phone, 'away'), ['away']);
    }));
});

describe('the end of a connection', () => {
  test('is told once, as offline, after the grace', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'gone', 'alice', 'bob');
      alice.close();
      const presence = await bob.next('presence', isOf(alice));
      assert.equal(presence.status, 'offline');
      assert.ok(Date.parse(presence.lastSeen) <= Date.now());
      const again = await open(alice.userId);
      await again.enter('gone');
      assert.deepEqual(await heardUpTo(bob, alice, 'online'), ['online'], 'offline was told once');
    }));

  for (const [how, lose] of [['is cut', (client) => client.cut()], ['closes and comes back', (client) => client.socket.disconnect().connect()]]) {
    test(`is not told of a client that ${how} within the grace`, () =>
      withClients(node, websocket, async (open) => {
        const [alice, bob, carol] = await newcomersIn(open, `grace: ${how}`, 'alice', 'bob', 'carol');
        lose(alice);
        await alice.back();
        await alice.enter(`grace: ${how}`);
        carol.close();
        await bob.next('presence', ({ userId, status }) => userId === carol.userId && status === 'offline');
        assert.deepEqual(statusesOf(bob, alice), []);
      }));
  }

  test('leaves the status of an explicit dnd as it was when the user is back in time', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'dnd again', 'alice', 'bob');
      await setStatus(alice, 'dnd');
      await bob.next('presence');
      alice.cut();
      await alice.back();
      const { presences } = (await bob.ask('presence:get', { userIds: [alice.userId] })).data;
      assert.equal(presences[0].status, 'dnd');
    }));
});

test('who is invisible is offline to everybody else, wherever they look', () =>
  withClients(node, websocket, async (open) => {
    const [bob, ghost] = await newcomersIn(open, 'haunted', 'bob', 'ghost');
    await bob.ask('presence:subscribe', { userIds: [ghost.userId] });
    await setStatus(ghost, 'invisible', { customStatus: 'boo' });
    assert.deepEqual(await heardUpTo(bob, ghost, 'offline'), ['offline']);
    const second = await open(ghost.userId);
    await second.enter('haunted');

    const looks = [
      ...(await bob.ask('presence:get', { userIds: [ghost.userId] })).data.presences,
      ...(await bob.ask('presence:subscribe', { userIds: [ghost.userId] })).data.presences,
      ...(await get(node, '/presence/haunted')).body.users.filter(isOf(ghost)),
    ];
    assert.deepEqual(looks.map(({ status }) => status), ['offline', 'offline', 'offline']);
    assert.deepEqual(looks.map(({ customStatus }) => customStatus), [undefined, undefined, undefined]);
    assert.equal((await bob.join('haunted')).data.memberCount, 1);
    await setStatus(second, 'online');
    assert.deepEqual(await heardUpTo(bob, ghost, 'online'), ['online'], 'the second device was not told either');
  }));

test('who joins while invisible is not among those who were seen in the channel', () =>
  withClients(node, websocket, async (open) => {
    const [bob] = await newcomersIn(open, 'haunted elsewhere', 'bob');
    const ghost = await open(fresh('ghost'));
    await setStatus(ghost, 'invisible');
    await ghost.enter('haunted elsewhere');
    assert.equal((await bob.join('haunted elsewhere')).data.memberCount, 1);
    await bob.next('channel:members');
    const carol = await open(fresh('carol'));
    await carol.join('haunted elsewhere');
    const { members } = await carol.next('channel:members');
    const { users } = (await get(node, '/presence/haunted elsewhere')).body;
    assert.deepEqual([members.find(isOf(ghost)), users.find(isOf(ghost))], [undefined, undefined]);
    await bob.next('presence', isOf(carol));
    assert.deepEqual(statusesOf(bob, ghost), []);
  }));

describe('subscribers', () => {
  test('are told at once how things stand, and then of each change', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = [await open(fresh('alice')), await open(fresh('bob'))];
      await setStatus(alice, 'dnd', { customStatus: 'writing' });
      const ack = await bob.ask('presence:subscribe', { userIds: [alice.userId, 'nobody'] });
      const bulk = await bob.next('presence:bulk');
      assert.deepEqual(bulk.presences, ack.data.presences);
      const [seen, unknown] = [alice, { userId: 'nobody' }].map((user) => bulk.presences.find(isOf(user)));
      assert.deepEqual([seen.status, unknown.status], ['dnd', 'offline']);
      assert.equal(seen.customStatus.text, 'writing');
      await setStatus(alice, 'away');
      assert.deepEqual(await heardUpTo(bob, alice, 'away'), ['away']);
    }));

  test('who are co-members as well are told once', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'both ways', 'alice', 'bob');
      for (let round = 0; round < 2; round += 1) await bob.ask('presence:subscribe', { userIds: [alice.userId] });
      await setStatus(alice, 'away');
      await setStatus(alice, 'dnd');
      assert.deepEqual(await heardUpTo(bob, alice, 'dnd'), ['away', 'dnd']);
    }));

  test('hear nothing more once they unsubscribed', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = [await open(fresh('alice')), await open(fresh('bob'))];
      await bob.ask('presence:subscribe', { userIds: [alice.userId] });
      await bob.ask('presence:unsubscribe', { userIds: [alice.userId] });
      await setStatus(alice, 'dnd');
      const { presences } = (await bob.ask('presence:get', { userIds: [alice.userId] })).data;
      assert.equal(presences[0].status, 'dnd', 'the change had happened');
      assert.equal(bob.unread('presence'), 0);
    }));

  test('hear of the end of a user and of the return', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = [await open(fresh('alice')), await open(fresh('bob'))];
      await bob.ask('presence:subscribe', { userIds: [alice.userId] });
      alice.close();
      assert.deepEqual(await heardUpTo(bob, alice, 'offline'), ['offline']);
      await open(alice.userId);
      assert.deepEqual(await heardUpTo(bob, alice, 'online'), ['online']);
    }));

  test('may name 500 users at once and 2000 in all', () =>
    withClients(node, websocket, async (open) => {
      const bob = await open(fresh('bob'));
      const some = (count, first = 0) => Array.from({ length: count }, (_, n) => `user-${first + n}`);
      assert.equal((await bob.ask('presence:subscribe', { userIds: some(501) })).error.code, 'VALIDATION_ERROR');
      for (let first = 0; first < 2000; first += 500) {
        assert.equal((await bob.ask('presence:subscribe', { userIds: some(500, first) })).success, true);
      }
      assert.equal((await bob.ask('presence:subscribe', { userIds: some(1, 5000) })).success, false);
      assert.equal((await bob.ask('presence:subscribe', { userIds: some(500) })).success, true, 'the same ones again are nothing new');
    }));

  for (const userIds of [undefined, 'alice', [7], [''], ['x'.repeat(300)], { 0: 'alice' }]) {
    test(`with ${JSON.stringify(userIds)?.slice(0, 20)} for a list are refused`, () =>
      withClients(node, websocket, async (open) => {
        const bob = await open(fresh('bob'));
        for (const event of ['presence:subscribe', 'presence:unsubscribe', 'presence:get']) {
          assert.equal((await bob.ask(event, { userIds })).error?.code, 'VALIDATION_ERROR', event);
        }
      }));
  }
});

describe('a custom status', () => {
  const forms = [
    ['two strings', { customStatus: 'lunch', customEmoji: '🍜' }, { text: 'lunch', emoji: '🍜' }],
    ['an object', { customStatus: { text: 'lunch', emoji: '🍜' } }, { text: 'lunch', emoji: '🍜' }],
    ['a text alone', { customStatus: 'lunch' }, { text: 'lunch' }],
  ];
  for (const [form, given, shown] of forms) {
    test(`given as ${form} is told as an object`, () =>
      withClients(node, websocket, async (open) => {
        const [alice, bob] = await newcomersIn(open, `custom as ${form}`, 'alice', 'bob');
        await setStatus(alice, 'online', given);
        const { customStatus } = await bob.next('presence');
        for (const [field, value] of Object.entries(shown)) assert.equal(customStatus[field], value);
      }));
  }

  test('is gone when it expires', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'custom for a moment', 'alice', 'bob');
      const expiresAt = Date.now() + 1_000;
      await setStatus(alice, 'online', { customStatus: { text: 'back soon', expiresAt } });
      const { customStatus } = await bob.next('presence');
      assert.equal(new Date(customStatus.expiresAt).getTime(), expiresAt);
      await until('the custom status is gone', async () => {
        const { presences } = (await bob.ask('presence:get', { userIds: [alice.userId] })).data;
        return presences[0].customStatus === undefined && Date.now() >= expiresAt;
      });
    }));
});

describe('members', () => {
  test('are listed with their status', () =>
    withClients(node, websocket, async (open) => {
      const [alice, bob] = await newcomersIn(open, 'listed', 'alice', 'bob');
      await setStatus(alice, 'dnd');
      await bob.next('presence');
      const carol = await open(fresh('carol'));
      await carol.join('listed');
      const { members } = await carol.next('channel:members');
      assert.deepEqual(statusesIn(members, alice, bob, carol), ['dnd', 'online', 'online']);
    }));

  test('hear of who joins, with the channel', () =>
    withClients(node, websocket, async (open) => {
      const [bob] = await newcomersIn(open, 'arrivals', 'bob');
      const alice = await open(fresh('alice'));
      await setStatus(alice, 'away');
      await alice.enter('arrivals');
      const presence = await bob.next('presence', isOf(alice));
      assert.deepEqual([presence.status, presence.channelId], ['away', 'arrivals']);
      const second = await open(alice.userId);
      await second.enter('arrivals');
      await setStatus(alice, 'dnd');
      const later = await heardUpTo(bob, alice, 'dnd');
      assert.ok(!later.includes('away'), 'a second device does not join again');
    }));

  test('are counted by status over REST', () =>
    withClients(node, websocket, async (open) => {
      const [one, two, three] = await newcomersIn(open, 'counted', 'one', 'two', 'three');
      await newcomersIn(open, 'counted too', 'four');
      await setStatus(two, 'away');
      await setStatus(three, 'dnd');
      await one.next('presence', isOf(three));
      const answer = await (await fetch(`${node.url}/presence/counted`)).json();
      assert.equal(answer.channelId, 'counted');
      assert.deepEqual(answer.count, { online: 1, away: 1, dnd: 1, offline: 0 });
      assert.deepEqual(statusesIn(answer.users, one, two, three), ['online', 'away', 'dnd']);
      for (const { lastSeen } of answer.users) assert.equal(new Date(lastSeen).toISOString(), lastSeen);
    }));
});

test('changes of status are counted as presence updates', () =>
  withClients(node, websocket, async (open) => {
    const [alice, bob] = await newcomersIn(open, 'counted by metrics', 'alice', 'bob');
    const before = await metric(node, 'realtime_presence_updates_total');
    for (const status of ['away', 'dnd', 'online']) await setStatus(alice, status);
    await heardUpTo(bob, alice, 'online');
    assert.ok((await metric(node, 'realtime_presence_updates_total')) >= before + 3);
  }));

test('without presence, nothing is told and updates are accepted', async () => {
  const silent = await startNode({ ...insecure, REALTIME_ENABLE_PRESENCE: 'false' });
  try {
    await withClients(silent, websocket, async (open) => {
      const [alice, bob] = [await open(fresh('alice')), await open(fresh('bob'))];
      await Promise.all([alice.enter('quiet'), bob.enter('quiet')]);
      assert.equal((await setStatus(alice, 'away')).success, true);
      await alice.send('quiet', 'marker');
      await bob.next('message');
      assert.equal(bob.unread('presence'), 0);
    });
  } finally {
    await silent.stop();
  }
});
