// The jitter run as a command: prints its counts as one JSON line, and fails when anything was lost, doubled or reordered.
//
//     REALTIME_BIN=target/release/realtime node tests/socketio/jitter.mjs [--clients 1000] [--channels 10]
//       [--messages 120] [--rate 2] [--kill-every 15] [--offline 2] [--seed 1] [--url http://127.0.0.1:3101]
//
// Without --url it starts a node of its own; a node that is named must believe user ids, and must not limit rates.

import { parseArgs } from 'node:util';
import { defaults, jitterRun } from './jitter/coordinator.mjs';
import { insecure, startNode } from './server.mjs';

const barWidth = 30;
const names = Object.keys(defaults);
const flagOf = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const flags = Object.fromEntries([...names.map(flagOf), 'url'].map((flag) => [flag, { type: 'string' }]));
const { values } = parseArgs({ options: flags });
const options = { ...defaults };
for (const name of names) {
  const text = values[flagOf(name)];
  if (text === undefined) continue;
  options[name] = Number(text);
  if (!(options[name] > 0)) throw new Error(`--${flagOf(name)} must be a number above 0, not '${text}'`);
}

const own = values.url ? undefined : await startNode(insecure);
try {
  const counts = await jitterRun(own ?? { url: values.url }, options, showProgress);
  process.stderr.write('\n');
  console.log(JSON.stringify(counts));
  process.exitCode = counts.lost + counts.doubled + counts.reordered === 0 ? 0 : 1;
} finally {
  await own?.stop();
}

function showProgress({ sent, connected, kills }) {
  const filled = Math.round((sent / options.messages) * barWidth);
  const bar = '#'.repeat(filled).padEnd(barWidth, '.');
  process.stderr.write(`\r[${bar}] ${sent}/${options.messages} messages, ${connected} connected, ${kills} killed `);
}
