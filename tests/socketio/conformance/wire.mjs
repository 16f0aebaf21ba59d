// Engine.IO by hand, on any surface: requests, and a WebSocket whose frames are kept until they are asked for.

import { WebSocket } from 'ws';
import { inTime } from '../inbox.mjs';

/** What stands between the packets of one polling payload. */
export const separator = '\x1e';

/** An address on a surface such as `engine.io`. */
export function address(fixture, surface, query) {
  return `${fixture.url}/${surface}/?${new URLSearchParams({ EIO: '4', ...query })}`;
}

/** One request: `{status, body, type}`. */
export async function ask(url, options) {
  const answer = await fetch(url, options);
  return { status: answer.status, body: await answer.text(), type: answer.headers.get('content-type') };
}

/** A polling session. */
export class Polling {
  static async open(fixture, surface, query = {}) {
    const session = new Polling();
    const { body } = await ask(address(fixture, surface, { transport: 'polling', ...query }));
    session.handshake = JSON.parse(body.slice(1));
    session.sid = session.handshake.sid;
    session.url = address(fixture, surface, { transport: 'polling', sid: session.sid });
    session.upgradeUrl = address(fixture, surface, { transport: 'websocket', sid: session.sid });
    return session;
  }

  poll(options) {
    return inTime(ask(this.url, options), 'the answer to a poll');
  }

  post(...packets) {
    return inTime(ask(this.url, { method: 'POST', body: packets.join(separator) }), 'the answer to a post');
  }

  /** Polls until a packet `matches`; returns it. Heartbeats are answered. */
  async next(matches = () => true) {
    for (;;) {
      const { status, body } = await this.poll();
      if (status !== 200) throw new Error(`a poll was answered by ${status} ${body}`);
      for (const packet of body.split(separator)) {
        if (packet === '2') await this.post('3');
        else if (matches(packet)) return packet;
      }
    }
  }
}

/** A WebSocket. Texts are kept as strings, binary messages as Buffers, and a heartbeat is answered unless told otherwise. */
export class Wire {
  #kept = [];
  #arrived;

  /** Connects to a full address, without waiting for the open packet. */
  static async to(url, { answersPings = true, ...options } = {}) {
    const wire = new Wire();
    wire.socket = new WebSocket(url.replace('http:', 'ws:'), { perMessageDeflate: false, ...options });
    wire.socket.on('error', () => {}); // shows in `closed`
    wire.closed = new Promise((resolve) => {
      wire.socket.once('close', (code, reason) => resolve({ code, reason: `${reason}` }));
    });
    wire.socket.on('message', (bytes, isBinary) => {
      const frame = isBinary ? bytes : `${bytes}`;
      if (frame === '2' && answersPings) return wire.socket.send('3');
      wire.#kept.push(frame);
      wire.#arrived?.();
    });
    const opened = new Promise((resolve) => wire.socket.once('open', resolve));
    await inTime(Promise.race([opened, wire.closed]), 'the WebSocket to open');
    return wire;
  }

  /** Opens a session on a surface; its open packet is in `handshake`. */
  static async open(fixture, surface, { query = {}, ...options } = {}) {
    const wire = await Wire.to(address(fixture, surface, { transport: 'websocket', ...query }), options);
    wire.handshake = JSON.parse((await wire.next()).slice(1));
    return wire;
  }

  /** Opens a Socket.IO session and joins a namespace. Whoever greets has been heard. */
  static async joined(fixture, namespace = '/', options = {}) {
    const wire = await Wire.open(fixture, 'socket.io', options);
    await wire.join(namespace, options.greeting ?? 'auth');
    return wire;
  }

  async join(namespace, greeting) {
    const prefix = namespace === '/' ? '' : `${namespace},`;
    this.send(`40${prefix}`);
    await this.next((frame) => frame.startsWith?.(`40${prefix}{`));
    if (greeting) await this.next((frame) => frame.startsWith?.(`42${prefix}["${greeting}"`));
  }

  send(...frames) {
    // A socket that is closing takes no more; that shows in `closed`.
    for (const frame of frames) this.socket.send(frame, () => {});
  }

  /** Returns when the other side has answered a ping of the WebSocket, or is gone. */
  async roundTrip() {
    let answered;
    const ponged = new Promise((resolve) => this.socket.once('pong', (answered = resolve)));
    this.socket.ping('', undefined, () => {});
    await inTime(Promise.race([ponged, this.closed]), 'the pong').finally(() => this.socket.off('pong', answered));
  }

  /** The next frame that `matches`; earlier ones are dropped. */
  async next(matches = () => true) {
    const deadline = Date.now() + 15_000;
    for (;;) {
      while (this.#kept.length > 0) {
        const frame = this.#kept.shift();
        if (matches(frame)) return frame;
      }
      const arrival = new Promise((resolve) => (this.#arrived = resolve));
      const ended = this.closed.then(({ code }) => {
        if (this.#kept.length === 0) throw new Error(`closed with ${code} while a frame was awaited`);
      });
      await inTime(Promise.race([arrival, ended]), 'a frame', Math.max(deadline - Date.now(), 1));
    }
  }

  async nextOf(count) {
    const frames = [];
    while (frames.length < count) frames.push(await this.next());
    return frames;
  }

  /** How the connection was closed from the other side: `{code, reason}`. */
  untilClosed() {
    return inTime(this.closed, 'the connection to be closed');
  }

  close() {
    this.socket.terminate();
  }
}
