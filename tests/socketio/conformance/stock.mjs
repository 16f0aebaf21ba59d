// Stock clients of JavaScript: socket.io-client as it is installed, in the ways in which it comes.

import { io } from 'socket.io-client';
import { inTime, waitMsMax } from '../inbox.mjs';

/** Options of socket.io-client, by what they mean. */
export const transports = {
  'polling only': { transports: ['polling'] },
  'websocket only': { transports: ['websocket'] },
  'polling with upgrade': {},
};

/** Runs `scenario` with a function that opens sockets, and closes what was opened. */
export async function withSockets(fixture, options, scenario) {
  const opened = [];
  const open = (namespace = '/', more = {}) => {
    const socket = io(fixture.url + namespace, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100, ...options, ...more });
    opened.push(socket);
    return socket;
  };
  try {
    await scenario(open);
  } finally {
    for (const socket of opened) socket.io._close();
  }
}

/** The arguments of the next `event`. */
export function heard(socket, event) {
  return inTime(new Promise((resolve) => socket.once(event, (...args) => resolve(args))), `the event ${event}`);
}

/** A socket, once it is connected. */
export async function connected(socket) {
  if (!socket.connected) {
    await inTime(
      new Promise((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject)),
      'the connection',
    );
  }
  return socket;
}

/** A socket, once its transport is what its options lead to. */
export async function settled(socket) {
  await connected(socket);
  const { engine, opts } = socket.io;
  const isFinal = () => opts.transports?.length === 1 || engine.transport.name === 'websocket';
  if (!isFinal()) await inTime(new Promise((resolve) => engine.once('upgrade', resolve)), 'the upgrade');
  return socket;
}

/** Emits with an acknowledgement and returns its first argument. */
export function ask(socket, event, ...args) {
  return socket.timeout(waitMsMax).emitWithAck(event, ...args);
}
