// Engine.IO without a client library: bare requests, bare WebSocket frames, bare bytes.

import { once } from 'node:events';
import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { inTime } from './inbox.mjs';

/** What stands between the packets of one polling payload. */
export const separator = '\x1e';

/** The Engine.IO endpoint with `query` on top of the protocol version. */
export function engineUrl(node, query) {
  return `${node.url}/socket.io/?${new URLSearchParams({ EIO: '4', ...query })}`;
}

/** A polling session by hand. */
export class PollingSession {
  #node;

  static async open(node) {
    const session = new PollingSession();
    session.#node = node;
    const answer = await fetch(engineUrl(node, { transport: 'polling' }));
    session.handshake = JSON.parse((await answer.text()).slice(1));
    session.sid = session.handshake.sid;
    return session;
  }

  /** A session whose namespace CONNECT as `userId` was answered and whose greeting was read. */
  static async connected(node, userId) {
    const session = await PollingSession.open(node);
    await session.push(`40${JSON.stringify({ userId })}`);
    let read = '';
    while (!read.includes('"authenticated"')) read += (await session.poll()).body;
    return session;
  }

  /** One GET: `{status, body}`. */
  async poll(options = {}) {
    return bodyOf(await fetch(this.url, options));
  }

  /** One POST: `{status, body}`. */
  async push(body, headers = { 'Content-Type': 'text/plain;charset=UTF-8' }) {
    return bodyOf(await fetch(this.url, { method: 'POST', body, headers }));
  }

  /** Polls until a payload contains `text`, answering heartbeats, and returns all that was read. */
  async pollUntil(text) {
    let read = '';
    while (!read.includes(text)) {
      const { status, body } = await inTime(this.poll(), `a payload with ${text}`);
      if (status !== 200) throw new Error(`polling for ${text} got ${status}: ${body}`);
      if (body.split(separator).includes('2')) await this.push('3');
      read += body + separator;
    }
    return read;
  }

  get url() {
    return engineUrl(this.#node, { transport: 'polling', sid: this.sid });
  }
}

async function bodyOf(answer) {
  return { status: answer.status, body: await answer.text() };
}

/** A WebSocket session by hand that answers heartbeats unless told otherwise; frames are kept until asked for. */
export class SocketSession {
  #frames = [];
  #arrivals = new Set();

  static async open(node, { query = {}, answersPings = true, ...options } = {}) {
    const session = new SocketSession();
    const url = engineUrl(node, { transport: 'websocket', ...query }).replace('http:', 'ws:');
    session.socket = new WebSocket(url, { perMessageDeflate: false, ...options });
    session.closed = new Promise((resolve) => session.socket.once('close', (code, reason) => resolve({ code, reason: `${reason}` })));
    session.socket.on('message', (bytes, isBinary) => {
      const frame = isBinary ? bytes : bytes.toString();
      if (frame === '2' && answersPings) return session.socket.send('3');
      session.#frames.push(frame);
      for (const arrival of session.#arrivals) arrival();
    });
    await inTime(once(session.socket, 'open'), 'the WebSocket to open');
    session.socket.on('error', () => {}); // what the node does to a bad peer shows in `closed`
    return session;
  }

  /** A session whose namespace CONNECT as `userId` was answered and whose greeting was read. */
  static async connected(node, userId, options = {}) {
    const session = await SocketSession.open(node, options);
    session.send(`40${JSON.stringify({ userId })}`);
    await session.next((frame) => frame.includes?.('"authenticated"'));
    return session;
  }

  send(frame) {
    this.socket.send(frame);
  }

  /** The next frame that `matches`; earlier ones are dropped. */
  async next(matches = () => true) {
    for (;;) {
      while (this.#frames.length > 0) {
        const frame = this.#frames.shift();
        if (matches(frame)) return frame;
      }
      let arrival;
      const arrived = new Promise((resolve) => this.#arrivals.add((arrival = resolve)));
      const ended = this.closed.then(({ code }) => Promise.reject(new Error(`closed with ${code} while a frame was awaited`)));
      await inTime(Promise.race([arrived, ended]), 'a frame').finally(() => this.#arrivals.delete(arrival));
    }
  }

  /** How the node closed the session: `{code, reason}`. */
  untilClosed() {
    return inTime(this.closed, 'the node to close the session', 20_000);
  }

  /** An event with an acknowledgement, and its first argument. */
  async ask(ackId, event, payload) {
    this.send(`42${ackId}${JSON.stringify([event, payload])}`);
    const frame = await this.next((candidate) => candidate.startsWith?.(`43${ackId}[`));
    return JSON.parse(frame.slice(`43${ackId}`.length))[0];
  }

  close() {
    this.socket.terminate();
  }
}

/** Writes `bytes` to the node on a connection of its own; resolves with all that came back once the node has closed it. */
export async function exchange(node, bytes) {
  const socket = connect(node.port, '127.0.0.1');
  socket.on('error', () => {}); // a reset is an end, too
  socket.setEncoding('latin1');
  let received = '';
  socket.on('data', (text) => (received += text));
  const closed = new Promise((resolve) => socket.once('close', resolve)); // `once` would take the reset for a failure
  socket.write(bytes);
  await inTime(closed, 'the node to close the connection', 20_000);
  return received;
}

/** Writes `bytes` to the node on a connection of its own; resolves with the first that comes back. */
export async function firstBytes(node, bytes) {
  const socket = connect(node.port, '127.0.0.1');
  socket.write(bytes);
  const [received] = await inTime(once(socket, 'data'), 'an answer');
  socket.destroy();
  return received.toString('latin1');
}

/** A WebSocket by hand on bare TCP: what is written is what goes out. */
export async function upgradedSocket(node) {
  const socket = connect(node.port, '127.0.0.1');
  socket.on('error', () => {});
  let received = Buffer.alloc(0);
  socket.on('data', (bytes) => (received = Buffer.concat([received, bytes])));
  const closed = new Promise((resolve) => socket.once('close', () => resolve(received)));
  const key = Buffer.from('sixteen bytes ok').toString('base64');
  socket.write(
    `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n` +
      `Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  while (!received.includes('pingInterval')) await inTime(once(socket, 'data'), 'the open packet');
  return { socket, closed, received: () => received };
}

/** One client-to-server frame: `head` is the first byte (FIN, reserved bits, opcode). */
export function maskedFrame(head, payload) {
  const body = Buffer.from(payload);
  const mask = Buffer.from([1, 2, 3, 4]);
  const length = body.length < 126 ? [0x80 | body.length] : [0x80 | 126, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([head, ...length]), mask, body.map((byte, index) => byte ^ mask[index % 4])]);
}
