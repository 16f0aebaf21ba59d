// What Node makes of packets, and what we make of them: the same frames are sent to both, and both close, or both stay
// and answer with the same frames. Where we differ on purpose, the table says so and why.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { inTime } from '../inbox.mjs';
import { fixtureForAllTests } from './fixture.mjs';
import { startOracle } from './node_reference.mjs';
import { Wire } from './wire.mjs';

const ours = await fixtureForAllTests('protocol', { CONF_PING_INTERVAL: '300000', CONF_PING_TIMEOUT: '200000' });
const oracle = await startOracle();
after(() => oracle.stop());

/** `closed`, or the frames that came before the answer to the last question. */
async function verdict(server, frames, joins) {
  const wire = joins ? await Wire.joined(server) : await Wire.open(server, 'socket.io');
  for (const frame of [...frames, ...(joins ? [] : ['40'])]) {
    wire.send(frame);
    // Node looks at the next packet before it has done what this one asks for; we do not want to compare that.
    await wire.roundTrip();
  }
  wire.send('42987654321["message-with-ack","the end"]');
  const answers = [];
  for (;;) {
    const frame = await wire.next().catch(() => undefined);
    if (frame === undefined) {
      await inTime(wire.closed, 'the connection to be closed');
      return 'closed';
    }
    if (frame === '43987654321["the end"]') break;
    answers.push(typeof frame === 'string' ? frame.replace(/"sid":"[^"]*"/, '"sid":"…"') : frame.toString('hex'));
  }
  wire.close();
  // We greet a moment later than Node; what counts is that we do.
  return answers.sort();
}

const table = readFileSync(new URL('../../../protocol/tests/socket_io_packets.tsv', import.meta.url), 'utf8');
const rows = table.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => {
  const [packet, attachmentCount, node, difference, why] = line.split('\t');
  return { packet: JSON.parse(packet), attachmentCount: Number(attachmentCount), node, difference, why };
});

/** Runs `check` over all of `list`, some at a time, and fails with all that it says. */
async function forAll(list, check) {
  const findings = [];
  const waiting = [...list];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      const finding = await check(item);
      if (finding) findings.push(finding);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  assert.equal(findings.length, 0, `${findings.length} of ${list.length}:\n${findings.join('\n')}`);
}

function framesOf({ packet, attachmentCount }) {
  return [`4${packet}`, ...Array.from({ length: attachmentCount }, (_, n) => Buffer.from([n]))];
}

async function compare(frames, joins) {
  const [theirs, mine] = await Promise.all([verdict(oracle, frames, joins), verdict(ours, frames, joins)]);
  const told = JSON.stringify(frames.map((frame) => (typeof frame === 'string' ? frame : `<${frame.toString('hex')}>`)));
  return JSON.stringify(theirs) === JSON.stringify(mine) ? undefined : `${told}: Node ${JSON.stringify(theirs)}, ours ${JSON.stringify(mine)}`;
}

describe('packets of the table', () => {
  assert.ok(rows.length > 700);
  test('are taken or refused as by Node', async () => {
    await forAll(rows.filter(({ difference }) => !difference), (row) => compare(framesOf(row), true));
  });

  test('are taken or refused as by Node before anything was joined', async () => {
    await forAll(rows.filter(({ difference }) => !difference), (row) => compare(framesOf(row), false));
  });

  test('that we refuse on purpose are refused', async () => {
    await forAll(rows.filter(({ difference }) => difference === 'refused'), async (row) => {
      const mine = await verdict(ours, framesOf(row), true);
      return mine === 'closed' ? undefined : `${row.packet}: ${JSON.stringify(mine)}, though ${row.why}`;
    });
  });

  test('that mean nothing are dropped where a namespace was joined, and close elsewhere, as by Node', async () => {
    await forAll(rows.filter(({ difference }) => difference === 'dropped'), (row) => compare(framesOf(row), true));
  });

  test('that are no Unicode or no double leave the connection as it was', async () => {
    const events = rows.filter(({ difference, packet }) => difference === 'unusable' && /^[25]/.test(packet));
    await forAll(events, async (row) => {
      const mine = await verdict(ours, framesOf(row), true);
      return mine === 'closed' && !row.packet.startsWith('2/') ? `${row.packet}: closed, though ${row.why}` : undefined;
    });
  });
});

const bytes = Buffer.from([1, 2, 3]);
const message = (num) => `451-["message",{"_placeholder":true,"num":${num}}]`;
const conversations = [
  ['nothing at all', []],
  ['CONNECT to a namespace that does not exist', ['40/none']],
  ['CONNECT to another namespace', ['40/custom,{"a":1}']],
  ['CONNECT to another namespace twice', ['40/custom', '40/custom']],
  ['CONNECT, DISCONNECT, CONNECT', ['41', '40']],
  ['DISCONNECT twice', ['41', '41']],
  ['DISCONNECT from a namespace that was not joined', ['41/custom']],
  ['an event after DISCONNECT', ['41', '42["message"]']],
  ['an event to a namespace that was left', ['40/custom', '41/custom', '42/custom,["message"]']],
  ['an event to a namespace that was not joined', ['42/custom,["message"]']],
  ['an answer to a namespace that was not joined', ['43/custom,1[]']],
  ['an answer that nobody waits for', ['431[]', '43999["x"]']],
  ['an event with bytes', [message(0), bytes]],
  ['an event whose bytes are missing', [message(0)]],
  ['text where bytes should be', [message(0), '42["message"]']],
  ['an event in another where bytes should be', [message(0), message(0), bytes]],
  ['bytes without an event', [bytes]],
  ['more bytes than were announced', [message(0), bytes, bytes]],
  ['a placeholder for bytes that do not come', [message(1), bytes]],
  ['a placeholder in an event without bytes', ['42["message",{"_placeholder":true,"num":0}]']],
  ['bytes that no placeholder stands for', ['451-["message",1]', bytes]],
  ['ten attachments', [`4510-["message",{"_placeholder":true,"num":9}]`, ...Array(10).fill(bytes)]],
  ['eleven attachments', [`4511-["message"]`, ...Array(11).fill(bytes)]],
  ['an answer with bytes that nobody waits for', ['461-7[{"_placeholder":true,"num":0}]', bytes]],
  ['an event with a number for its name', ['42[7,1]']],
  ['an event with spaces', ['42[ "message" , { "a" : [ 1 , 2 ] } ]']],
  ['an event with escapes', ['42["message","a\\"\\\\\\n\\u0001é🙂"]']],
  ['an event of many depths', [`42["message",${'['.repeat(60)}${']'.repeat(60)}]`]],
  ['an event with a key that JavaScript keeps for itself', ['42["message",{"__proto__":1,"constructor":{"prototype":2}}]']],
  ['a pong out of turn', ['3']],
  ['a noop', ['6']],
  ['an upgrade where there is nothing to upgrade', ['5']],
  ['a ping, which is the server\'s to send', ['2']],
  ['an unknown packet of Engine.IO', ['7']],
  ['an empty frame', ['']],
];
describe('conversations with a session that has joined the main namespace go as with Node:', () => {
  for (const [what, frames] of conversations) {
    test(what, async () => assert.equal(await compare(frames, true), undefined));
  }
});
