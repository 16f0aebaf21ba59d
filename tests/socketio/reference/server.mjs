// The oracle: the chat node's promises kept by Node's own socket.io, one process, one thread. Where the node and this
// server must behave alike, the same test runs against both. It reads the node's environment variables and knows the
// primary dialect only; it recovers connections; presence, typing, history and limits are not here.

import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Server } from 'socket.io';
import { identify, verifyToken } from './identity.mjs';
import { Channels } from './channels.mjs';
import { Refusal } from './refusal.mjs';

const { env } = process;
const corsOrigins = (env.REALTIME_CORS_ORIGIN ?? '*').split(',').map((origin) => origin.trim());
const connectionsMax = Number(env.REALTIME_WEBSOCKET_MAX_CONNECTIONS ?? 10_000);
const page = new URL('../../../src/page/index.html', import.meta.url);
const startedAt = Date.now();

const http = createServer({ headersTimeout: 5_000, connectionsCheckingInterval: 500 }, answer);
const io = new Server(http, {
  pingInterval: Number(env.REALTIME_WEBSOCKET_PING_INTERVAL ?? 25_000),
  pingTimeout: Number(env.REALTIME_WEBSOCKET_PING_TIMEOUT ?? 5_000),
  maxHttpBufferSize: 1_000_000,
  connectTimeout: 10_000,
  serveClient: false,
  // Without middleware: who a recovered session belongs to is kept with it.
  connectionStateRecovery: { maxDisconnectionDuration: Number(env.REALTIME_RECOVERY_WINDOW ?? 120_000), skipMiddlewares: true },
  allowRequest: (request, decide) => decide('Forbidden', isOriginAllowed(request.headers.origin)),
  cors: {
    origin: corsOrigins.includes('*') ? '*' : corsOrigins,
    credentials: !corsOrigins.includes('*'),
    methods: ['GET', 'POST'],
    allowedHeaders: ['Authorization', 'Content-Type', 'X-API-Key'],
  },
});
const channels = new Channels(io, { contentCharsMax: Number(env.REALTIME_MAX_MESSAGE_LENGTH ?? 10_000) });

// Full is a state of the node, not a fault of the client: an HTTP error makes it come back later.
io.engine.use((request, response, next) => {
  const isHandshake = !new URL(request.url, 'http://node').searchParams.has('sid');
  if (!isHandshake || io.engine.clientsCount < connectionsMax) return next();
  response.writeHead(503, { 'Content-Type': 'application/json', 'Retry-After': '1' });
  response.end(JSON.stringify({ success: false, error: { code: 'SERVER_BUSY', message: 'Too many connections' } }));
});

io.use((socket, next) => {
  try {
    socket.data = { ...identify(socket.handshake.auth ?? {}, socket.id), sessionId: randomUUID() };
    next();
  } catch (refusal) {
    next(Object.assign(new Error(refusal.message), { data: { type: refusal.type, code: refusal.code } }));
  }
});

io.on('connection', (socket) => {
  if (socket.recovered) channels.readmit(socket);
  socket.emit('connected', { socketId: socket.id, serverTime: new Date().toISOString(), protocolVersion: '1.0' });
  socket.emit('authenticated', authenticated(socket));
  socket.on('disconnect', () => channels.forget(socket));
  socket.onAny((event, ...args) => {
    const ack = typeof args.at(-1) === 'function' ? args.pop() : null;
    try {
      const reply = handle(socket, event, args[0], ack !== null);
      if (reply !== undefined) ack?.(reply);
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      const isUnheard = ack === null && refusal.code === 'UNKNOWN_EVENT'; // clients know events of other servers
      if (ack) ack({ success: false, error: { code: refusal.code, message: refusal.message } });
      else if (!isUnheard) socket.emit('error', { ...refusal.toEvent(), event, timestamp: Date.now() });
    }
  });
});

function handle(socket, event, payload, wantsAck) {
  switch (event) {
    case 'channel:join':
      return channels.join(socket, payload);
    case 'channel:leave':
      return channels.leave(socket, payload);
    case 'message:send':
      return channels.publish(socket, payload);
    case 'ping': {
      const timestamp = payload?.timestamp ?? Date.now();
      if (!wantsAck) socket.emit('pong', { timestamp, serverTime: Date.now() });
      return { timestamp, serverTime: Date.now() };
    }
    case 'pong':
      return undefined;
    case 'auth:refresh':
      return refresh(socket, payload, wantsAck);
    default:
      throw new Refusal('validation', 'UNKNOWN_EVENT', 'no such event');
  }
}

function refresh(socket, payload, wantsAck) {
  try {
    const fresh = verifyToken(payload?.token);
    if (fresh.userId !== socket.data.userId) throw new Refusal('auth', 'AUTHENTICATION_FAILED', 'another user');
    Object.assign(socket.data, fresh);
  } catch (refusal) {
    if (!wantsAck) socket.emit('auth:error', { code: refusal.code, message: refusal.message });
    throw refusal;
  }
  socket.emit('authenticated', authenticated(socket));
  return { success: true, userId: socket.data.userId, data: { userId: socket.data.userId } };
}

function authenticated(socket) {
  const { userId, sessionId, roles, expiresAt } = socket.data;
  return { userId, sessionId, rooms: [`user:${userId}`], user: { id: userId }, roles, expiresAt };
}

function isOriginAllowed(origin) {
  return origin === undefined || corsOrigins.includes('*') || corsOrigins.includes(origin);
}

function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://node');
  if (pathname.startsWith('/socket.io/')) return; // answered by the engine's own listener
  const route = routes[pathname];
  if (!route) return reply(response, 404, 'application/json', failure('NOT_FOUND', 'no such route'));
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return reply(response, 405, 'application/json', failure('METHOD_NOT_ALLOWED', 'use GET'), { Allow: 'GET, HEAD' });
  }
  const [type, body] = route();
  reply(response, 200, type, body);
}

const routes = {
  '/': () => ['text/html; charset=utf-8', readFileSync(page)],
  '/health': () => ['application/json', JSON.stringify(health())],
  '/healthz': () => ['application/json', JSON.stringify({ status: 'ok', plugin: 'realtime', version: '1.0.0' })],
  '/readyz': () => ['application/json', JSON.stringify({ status: 'ready' })],
  '/version': () => ['application/json', JSON.stringify({ name: 'realtime', version: '1.0.0' })],
  '/metrics': () => ['text/plain; version=0.0.4', metrics()],
};

function health() {
  return {
    status: 'healthy',
    service: 'realtime',
    version: '1.0.0',
    uptime: Math.floor((Date.now() - startedAt) / 1000),
    timestamp: new Date().toISOString(),
    websocket: { running: true, connections: io.engine.clientsCount },
    connections: io.engine.clientsCount,
    maxConnections: connectionsMax,
    auth: env.REALTIME_AUTH_REQUIRED === 'false' ? 'insecure' : 'jwt',
    cores: 1,
    driver: 'epoll',
    dependencies: { redis: { status: 'disabled' } },
  };
}

function metrics() {
  return [
    '# TYPE realtime_connections_total gauge',
    `realtime_connections_total ${io.engine.clientsCount}`,
    '# TYPE realtime_messages_total counter',
    `realtime_messages_total ${channels.messageCount}`,
    '# TYPE realtime_presence_updates_total counter',
    'realtime_presence_updates_total 0',
    '# TYPE realtime_latency_ms histogram',
    'realtime_latency_ms_bucket{le="+Inf"} 0',
    'realtime_latency_ms_sum 0',
    'realtime_latency_ms_count 0',
    '# TYPE realtime_core_sessions gauge',
    `realtime_core_sessions{core="0"} ${io.engine.clientsCount}`,
    '',
  ].join('\n');
}

function failure(code, message) {
  return JSON.stringify({ success: false, error: { code, message } });
}

function reply(response, status, type, body, headers = {}) {
  response.writeHead(status, { 'Content-Type': type, 'Access-Control-Allow-Origin': '*', ...headers });
  response.end(body);
}

process.once('SIGTERM', () => {
  io.engine.close(); // transports only: a namespace disconnect would tell stock clients to stay away
  http.close(() => process.exit(0));
  http.closeAllConnections();
});

http.listen(Number(env.REALTIME_PORT ?? 3101), env.REALTIME_HOST ?? '127.0.0.1');
