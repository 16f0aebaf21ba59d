// The oracle: the fixture's profile `protocol` on Node's own socket.io, as small as it can be.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { Server } from 'socket.io';

/** Starts the oracle on a free port. `stop()` ends it and every connection. */
export async function startOracle() {
  const http = createServer();
  // Heartbeats would stand between the frames that are compared.
  const io = new Server(http, { pingInterval: 300_000, pingTimeout: 200_000 });
  for (const namespace of ['/', '/custom']) {
    io.of(namespace).on('connection', (socket) => {
      socket.emit('auth', socket.handshake.auth);
      socket.on('message', (...args) => socket.emit('message-back', ...args));
      socket.on('message-with-ack', (...args) => {
        const answer = args.at(-1);
        if (typeof answer === 'function') answer(...args.slice(0, -1));
      });
    });
  }
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const stop = () => new Promise((resolve) => io.close(resolve));
  return { url: `http://127.0.0.1:${http.address().port}`, stop };
}
