// The jitter run: many stock clients on a bad network, a steady stream of numbered messages, and the count of what was
// lost, doubled or out of order. The clients live in processes of their own; the senders, which keep their connections, here.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Client } from '../client.mjs';
import { inTime } from '../inbox.mjs';

const clientsPerProcess = 250;
const gatherMsMax = 120_000;
const finishMsMax = 60_000;

export const defaults = { clients: 1000, channels: 10, messages: 120, rate: 2, killEvery: 15, offline: 2, seed: 1 };

/**
 * Runs it against `node` and returns the counts. `messages` is the number in each channel, `rate` how many of them a
 * second, `killEvery` and `offline` are seconds. `tell` hears of the progress: `{sent, connected, kills}`.
 */
export async function jitterRun(node, given = {}, tell = () => {}) {
  const options = { ...defaults, ...given, url: node.url };
  const crowds = [];
  const senders = [];
  try {
    for (let first = 0; first < options.clients; first += clientsPerProcess) crowds.push(new Crowd());
    await inTime(Promise.all(crowds.map((crowd, n) => crowd.gather(n, options))), 'all clients in their channels', gatherMsMax);
    for (let n = 0; n < options.channels; n += 1) senders.push(await senderIn(node, `jitter-${n}`));

    await Promise.all(crowds.map((crowd) => crowd.tell('suffer')));
    await speak(senders, options, (sent) => tell({ sent, ...progressOf(crowds) }));
    await Promise.all(crowds.map((crowd) => crowd.tell('endSuffering')));
    const listeners = await Promise.all(crowds.map((crowd) => crowd.tell('finish', { msMax: finishMsMax })));
    return verdict(listeners.flat(), options);
  } finally {
    for (const sender of senders) sender.close();
    for (const crowd of crowds) crowd.dismiss();
  }
}

async function senderIn(node, channelId) {
  const sender = await new Client(node, { userId: `sender in ${channelId}`, transports: ['websocket'] }).greeted();
  await sender.join(channelId);
  sender.channelId = channelId;
  return sender;
}

/** Each sender says the numbers from 1 on, at an even pace; the next only when the last was acknowledged. */
async function speak(senders, { messages, rate }, tell) {
  const startedAt = performance.now();
  for (let number = 1; number <= messages; number += 1) {
    const acks = await Promise.all(senders.map((sender) => sender.send(sender.channelId, `${number}`)));
    if (!acks.every((ack) => ack.success)) throw new Error(`message ${number} was refused: ${JSON.stringify(acks)}`);
    tell(number);
    for (const sender of senders) sender.drain('message');
    const dueMs = (number / rate) * 1000 - (performance.now() - startedAt);
    if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs));
  }
}

function progressOf(crowds) {
  const sum = (field) => crowds.reduce((total, crowd) => total + crowd.progress[field], 0);
  return { connected: sum('connected'), kills: sum('kills') };
}

/** What all lists together say. A number that comes again is doubled, one below its predecessor is out of order. */
export function verdict(listeners, { messages, ...options }) {
  const counts = { kills: 0, recovered: 0, anew: 0, lost: 0, doubled: 0, reordered: 0 };
  const replaysMs = [];
  for (const listener of listeners) {
    for (const name of ['kills', 'recovered', 'anew']) counts[name] += listener.counts[name];
    const { heard } = listener;
    const distinct = new Set(heard);
    counts.lost += messages - distinct.size;
    counts.doubled += heard.length - distinct.size;
    let highest = 0;
    for (const number of distinct) {
      if (number < highest) counts.reordered += 1;
      highest = Math.max(highest, number);
    }
    replaysMs.push(...listener.replaysMs);
  }
  replaysMs.sort((one, other) => one - other);
  const quantile = (share) => {
    const index = Math.min(Math.floor(share * replaysMs.length), replaysMs.length - 1);
    return index < 0 ? null : Math.round(replaysMs[index] * 10) / 10;
  };
  const replay = { count: replaysMs.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: quantile(1) };
  const { clients, channels, rate, killEvery, offline, seed } = options;
  return { clients, channels, messages, rate, killEvery, offline, seed, deliveries: clients * messages, ...counts, replay };
}

/** A process of clients. */
class Crowd {
  #process = fork(fileURLToPath(new URL('crowd.mjs', import.meta.url)));
  #answers = new Map(); // order -> {resolve, reject}
  progress = { connected: 0, kills: 0 };

  constructor() {
    this.#process.on('message', ({ done, result, progress }) => {
      if (progress) this.progress = progress;
      else this.#answers.get(done).resolve(result);
    });
    this.#process.once('exit', (code) => {
      for (const { reject } of this.#answers.values()) reject(new Error(`a process of clients ended with ${code}`));
    });
  }

  gather(n, options) {
    const first = n * clientsPerProcess;
    return this.tell('gather', { first, count: Math.min(clientsPerProcess, options.clients - first), options });
  }

  tell(order, details = {}) {
    const answer = new Promise((resolve, reject) => this.#answers.set(order, { resolve, reject }));
    this.#process.send({ order, ...details });
    return answer;
  }

  dismiss() {
    this.#process.kill('SIGKILL');
  }
}
