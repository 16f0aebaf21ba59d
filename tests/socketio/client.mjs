// One stock client of JavaScript, and the ways in which such clients come.

import { io } from 'socket.io-client';
import { Inbox, inTime, waitMsMax } from './inbox.mjs';

/** The ways in which stock clients come: options of socket.io-client, by name. */
export const transports = {
  'polling only': { transports: ['polling'] },
  'websocket only': { transports: ['websocket'] },
  'polling with upgrade': {},
  'websocket first': { transports: ['websocket', 'polling'] },
};

export class Client extends Inbox {
  constructor(node, options) {
    const { userId, url = node.url, ...others } = options;
    super(userId);
    const auth = userId === undefined ? {} : { userId };
    this.userId = userId;
    this.socket = io(url, { forceNew: true, auth, reconnectionDelay: 50, reconnectionDelayMax: 400, ...others });
    this.socket.onAny((event, ...args) => this.keep(event, args));
    for (const event of ['connect', 'disconnect', 'connect_error']) {
      this.socket.on(event, (...args) => this.keep(event, args));
    }
    this.socket.io.on('ping', () => this.keep('heartbeat', []));
  }

  /** This client, once it is connected and `authenticated` as its `identity`. */
  async greeted() {
    const outcome = new Promise((resolve, reject) => {
      this.socket.once('connect', resolve).once('connect_error', reject);
    });
    await inTime(outcome, `a connection for ${this.userId}`);
    await this.next('connect');
    this.greeting = await this.next('connected');
    this.identity = await this.next('authenticated');
    return this;
  }

  /** Emits with an acknowledgement and returns its first argument. */
  ask(event, ...args) {
    return this.socket.timeout(waitMsMax).emitWithAck(event, ...args);
  }

  join(channelId, more = {}) {
    return this.ask('channel:join', { channelId, ...more });
  }

  /** Joins and reads what a join is told, so that only later events are left. */
  async enter(channelId, more = {}) {
    const ack = await this.join(channelId, more);
    await this.next('channel:joined', (joined) => joined.channelId === channelId);
    await this.next('channel:members', (members) => members.channelId === channelId);
    return ack;
  }

  send(channelId, content, more = {}) {
    return this.ask('message:send', { channelId, content, mentions: [], ...more });
  }

  /**
   * The contents heard in a channel before the last word that `speaker` says there: the order of the channel puts it
   * behind everything that was accepted earlier.
   */
  async heardUntilLastWordOf(speaker, channelId) {
    await speaker.send(channelId, 'the last word');
    const contents = [];
    for (;;) {
      const { content } = await this.next('message', (message) => message.channelId === channelId);
      if (content === 'the last word') return contents;
      contents.push(content);
    }
  }

  /** What the node had put out for this client when it read this client's ping has arrived when this returns. */
  async settled() {
    await this.ask('ping', { timestamp: Date.now() });
  }

  /** Loses the connection as a network does, not as a user: the client comes back by itself. */
  cut() {
    this.socket.io.engine.close();
  }

  /** After a cut: resolves when the client is back, with whether the node took up its former session. */
  async back() {
    await this.next('disconnect');
    await this.next('connect');
    return this.socket.recovered;
  }

  close() {
    this.socket.disconnect();
  }
}

/** Clients of these users in `channelId`, in the order of their joins. */
export async function membersOf(open, channelId, ...userIds) {
  const members = [];
  for (const userId of userIds) {
    const member = await open(userId);
    await member.enter(channelId);
    members.push(member);
  }
  return members;
}

let freshCount = 0;
/** A user's id like `name` that no other test uses: the node remembers users beyond the end of their connections. */
export const fresh = (name) => `${name}-${(freshCount += 1)}`;

/** Members of a channel that nobody has seen before, called after `names`; that they came is not left unread. */
export async function newcomersIn(open, channelId, ...names) {
  const members = [];
  for (const name of names) {
    const [member] = await membersOf(open, channelId, fresh(name));
    for (const earlier of members) await earlier.next('presence', ({ userId }) => userId === member.userId);
    members.push(member);
  }
  return members;
}

/**
 * Runs `scenario` with clients of its own and closes them afterwards: `open` awaits the connection and the greeting,
 * `begin` only sets out. Both take the user's id and options on top of `options`.
 */
export async function withClients(node, options, scenario) {
  const clients = [];
  const begin = (userId, more = {}) => {
    const client = new Client(node, { userId, ...options, ...more });
    clients.push(client);
    return client;
  };
  const open = (userId, more) => begin(userId, more).greeted();
  try {
    return await scenario(open, begin);
  } finally {
    for (const client of clients) client.close();
  }
}
