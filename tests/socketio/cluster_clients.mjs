// Stock clients for tests of several nodes: as many users as asked for, each with its own socket.io-client, which talk
// until they are told to stop and then print what each of them heard and said, one JSON object a line.
//
//     node cluster_clients.mjs '{"url", "prefix", "users", "channels": [[…] for each], "paceMs", "transports"}'
//
// A line "ready" is printed once everybody is in all channels. On stdin: "talk"; "count", which is answered with how many
// messages were accepted, how many were heard, and how often somebody came back; "hush", which is answered with "settled" as
// soon as nothing waits for an answer; and its end for the end.

import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';

const { url, prefix, channels, paceMs, transports } = JSON.parse(process.argv[2]);
const retryMs = 5_000;

class Chatter {
  #socket;
  #isSilent = false;
  #positions = new Map(); // channel -> {epoch, offset}
  #joined = new Set(); // by this session
  #lostAt;
  pages = {};
  said = {};
  returns = [];
  complaints = [];

  constructor(name, rooms) {
    this.name = name;
    this.rooms = rooms;
    for (const room of rooms) this.pages[room] = [];
    // Nothing but addresses is set: it reconnects, upgrades and recovers as it does for everybody.
    this.#socket = io(url, { auth: { userId: name }, transports, forceNew: true });
    this.ready = new Promise((resolve) => this.#socket.on('connect', () => this.#enter().then(resolve, resolve)));
    this.#socket.on('disconnect', () => (this.#lostAt = Date.now()));
    this.#socket.on('message', (message) => this.#note(message, 'event'));
    this.#socket.on('sync:required', ({ channelId, epoch, offset, reason }) => {
      this.#positions.set(channelId, { epoch, offset });
      this.#write(channelId, { kind: 'announced', epoch, offset, reason });
    });
  }

  async #enter() {
    const { recovered } = this.#socket;
    if (this.#lostAt) this.returns.push({ lostAt: this.#lostAt, tookMs: Date.now() - this.#lostAt, recovered });
    if (!recovered) this.#joined.clear();
    // A session that is taken up may have lost its connection before a join was answered.
    const missing = this.rooms.filter((room) => !this.#joined.has(room));
    await Promise.all(missing.map((room) => new Promise((resolve) => this.#join(room, resolve))));
  }

  #join(room, resolve) {
    const since = this.#positions.get(room);
    // With a callback: what a promise resolves to is looked at only after the events that came behind the answer.
    this.#socket.emit('channel:join', { channelId: room, ...(since && { since }) }, ({ success, data, error }) => {
      resolve();
      this.#joined.add(room);
      if (!success) return this.complaints.push(`join refused: ${JSON.stringify(error)}`);
      this.#write(room, { kind: 'joined', epoch: data.epoch, offset: data.offset, recovered: data.recovered ?? null });
      for (const message of data.messages ?? []) this.#note(message, 'since');
      this.#positions.set(room, { epoch: data.epoch, offset: data.offset });
    });
  }

  async talk() {
    await sleep(Math.random() * paceMs);
    for (let n = 0; !this.#isSilent; n += 1) {
      this.#say(`${this.name}:${n}`, this.rooms[n % this.rooms.length]);
      await sleep(paceMs);
    }
  }

  async #say(mark, room) {
    const said = (this.said[mark] = { channel: room, at: Date.now() });
    while (!said.id && !said.refused) {
      const sending = this.#socket.timeout(retryMs).emitWithAck('message:send', { channelId: room, content: mark, clientMessageId: mark });
      const { success, data, error } = await sending.catch(() => ({}));
      if (success) Object.assign(said, { id: data.id, offset: data.offset, settledAt: Date.now() });
      // A client that comes back as another session may say something before its joins are answered.
      else if (error && error.code !== 'NOT_JOINED') said.refused = error.code;
    }
  }

  #note({ id, channelId, content, offset }, way) {
    const position = this.#positions.get(channelId);
    // While a join has no answer, what came before its events may be in that answer alone.
    if (position && this.#joined.has(channelId)) position.offset = Math.max(position.offset, offset);
    const line = { at: Date.now(), kind: 'message', id, mark: content, offset, way };
    const page = (this.pages[channelId] ??= []);
    const later = way === 'since' ? page.findIndex((other) => other.kind === 'message' && other.offset >= offset) : -1;
    // As a client shows it: each message once, in its place.
    if (later === -1) page.push(line);
    else if (!page.some((other) => other.id === id)) page.splice(later, 0, line);
  }

  #write(channel, line) {
    this.pages[channel] ??= [];
    this.pages[channel].push({ at: Date.now(), ...line });
  }

  hush() {
    this.#isSilent = true;
  }

  get isSettled() {
    return Object.values(this.said).every(({ id, refused }) => id || refused);
  }

  get counts() {
    const accepted = Object.values(this.said).filter(({ id }) => id).length;
    const lines = Object.values(this.pages).flat();
    return [accepted, lines.filter(({ kind }) => kind === 'message').length, this.returns.length];
  }

  end() {
    this.#socket.disconnect();
    const { name, pages, said, returns, complaints } = this;
    return JSON.stringify({ name, pages, said, returns, complaints });
  }
}

const chatters = channels.map((rooms, n) => new Chatter(`${prefix}${n}`, rooms));
await Promise.all(chatters.map((chatter) => chatter.ready));
console.log('ready');

const orders = createInterface({ input: process.stdin });
orders.on('line', async (order) => {
  if (order === 'talk') return chatters.forEach((chatter) => chatter.talk());
  if (order === 'count') {
    const counts = chatters.map((chatter) => chatter.counts);
    return console.log([0, 1, 2].map((place) => counts.reduce((sum, count) => sum + count[place], 0)).join(' '));
  }
  chatters.forEach((chatter) => chatter.hush());
  for (let round = 0; round < 300 && !chatters.every((chatter) => chatter.isSettled); round += 1) await sleep(100);
  console.log('settled');
});
// All of it has to be in the pipe before the process may end.
orders.on('close', () => process.stdout.write(`${chatters.map((chatter) => chatter.end()).join('\n')}\n`, () => process.exit(0)));
