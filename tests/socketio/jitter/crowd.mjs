// One process full of stock clients on a bad network: each loses its connection again and again, and keeps a list of the
// sequence numbers that it heard. Started and told what to do by coordinator.mjs.

import { io } from 'socket.io-client';
import { transports } from '../client.mjs';
import { Random } from './random.mjs';

/** Most clients come by WebSocket at once, some by an upgrade, some poll. */
const wayOf = (index) => transports[{ 0: 'polling only', 1: 'polling with upgrade' }[index % 10] ?? 'websocket only'];

class Listener {
  #options;
  #random;
  #killTimer;
  #attemptedAtMs = 0; // when the last connection was begun
  #openedAtUnixMs = 0; // when its transport stood
  #replayedMs; // from the attempt to the last message that is older than the connection
  #position; // {epoch, offset}: where to go on when the node has given the session up
  heard = []; // sequence numbers, in the order of their arrival
  replaysMs = [];
  counts = { kills: 0, recovered: 0, anew: 0 };

  constructor(index, options) {
    this.#options = options;
    this.#random = new Random(options.seed + index);
    this.channelId = `jitter-${index % options.channels}`;
    const offlineMs = options.offline * 1000;
    this.socket = io(options.url, {
      ...wayOf(index),
      forceNew: true,
      auth: { userId: `jitter-${index}` },
      reconnectionDelay: offlineMs,
      reconnectionDelayMax: offlineMs,
      randomizationFactor: 0,
    });
    this.socket.io.on('reconnect_attempt', () => (this.#attemptedAtMs = performance.now()));
    // Not `connect`: what is replayed may stand before it.
    this.socket.io.on('open', () => (this.#openedAtUnixMs = Date.now()));
    this.isIn = new Promise((resolve) => {
      this.socket.on('connect', async () => {
        await this.#takePlace();
        resolve();
      });
    });
    this.socket.on('message', (message) => this.#hear(message));
    this.socket.on('disconnect', () => this.#endReplay());
  }

  /** Begins to lose the connection every now and then. */
  suffer() {
    const { killEvery } = this.#options;
    this.#killTimer = setTimeout(() => {
      this.#kill();
      this.suffer();
    }, killEvery * 1000 * (0.5 + this.#random.fraction()));
  }

  endSuffering() {
    clearTimeout(this.#killTimer);
  }

  close() {
    this.#endReplay();
    this.socket.disconnect();
  }

  get isComplete() {
    return this.heard.at(-1) === this.#options.messages;
  }

  /** By turns as a client ends a connection, and as a network does: without a word. */
  #kill() {
    if (!this.socket.connected) return;
    this.counts.kills += 1;
    const { engine } = this.socket.io;
    const isSilent = this.counts.kills % 2 === 0 && engine.transport.ws !== undefined;
    if (isSilent) engine.transport.ws.terminate();
    else engine.close();
  }

  async #takePlace() {
    if (this.socket.recovered) {
      this.counts.recovered += 1;
      return;
    }
    if (this.#position) this.counts.anew += 1;
    const since = this.#position;
    const answer = await this.socket.emitWithAck('channel:join', { channelId: this.channelId, ...(since && { since }) });
    const { epoch, offset, messages = [] } = answer.data;
    for (const message of messages) this.#hear(message);
    this.#position ??= { epoch, offset };
  }

  #hear({ content, offset, timestamp }) {
    if (this.#position && offset !== undefined) this.#position.offset = offset;
    this.heard.push(Number(content));
    if (timestamp < this.#openedAtUnixMs) this.#replayedMs = performance.now() - this.#attemptedAtMs;
  }

  #endReplay() {
    if (this.#replayedMs !== undefined) this.replaysMs.push(this.#replayedMs);
    this.#replayedMs = undefined;
  }
}

let listeners = [];
let report;

/** What the coordinator tells this process to do, by name; each answers with what it returns. */
const orders = {
  async gather({ first, count, options }) {
    for (let index = first; index < first + count; index += 1) listeners.push(new Listener(index, options));
    await Promise.all(listeners.map((listener) => listener.isIn));
  },
  suffer() {
    for (const listener of listeners) listener.suffer();
    report = setInterval(() => process.send({ progress: progress() }), 500);
  },
  endSuffering() {
    for (const listener of listeners) listener.endSuffering();
  },
  /** Ends when everybody has heard the last message, or when `msMax` are over. */
  async finish({ msMax }) {
    const deadline = Date.now() + msMax;
    while (Date.now() < deadline && !listeners.every((listener) => listener.isComplete)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    clearInterval(report);
    for (const listener of listeners) listener.close();
    return listeners.map(({ heard, replaysMs, counts, channelId }) => ({ heard, replaysMs, counts, channelId }));
  },
};

function progress() {
  const connected = listeners.filter((listener) => listener.socket.connected).length;
  const kills = listeners.reduce((sum, listener) => sum + listener.counts.kills, 0);
  return { connected, kills };
}

process.on('message', async ({ order, ...details }) => {
  process.send({ done: order, result: await orders[order](details) });
});
process.once('disconnect', () => process.exit(1));
