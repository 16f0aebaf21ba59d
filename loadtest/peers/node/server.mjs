// The chat dialect on stock Socket.IO: token check, channels with acknowledgement, messages to everyone in
// the channel. It does what a message needs and nothing more (no history, no presence, no rate limits), so
// that a comparison never flatters the other side.
//
// Environment: PORT (3101), HOST (127.0.0.1), SECRET (empty: `auth.userId` is believed), RECOVERY (1: Socket.IO's
// connection state recovery, in memory). As one of the processes of cluster.mjs it shares its rooms with the others,
// and says that it is ready when all WORKERS are. With REDIS_URL and ADAPTER (pubsub or streams) it shares them over
// Redis, and says that it is ready when all of the PORTS are.

import cluster from "node:cluster";
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/cluster-adapter";
import { createAdapter as createRedisAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const port = Number(process.env.PORT ?? 3101);
const host = process.env.HOST ?? "127.0.0.1";
const secret = process.env.SECRET ?? "";
const redisUrl = process.env.REDIS_URL;
const serverCount = redisUrl ? process.env.PORTS.split(",").length : cluster.isWorker ? Number(process.env.WORKERS) : 1;
const channelBytesMax = 255;
const contentCharsMax = 10_000;

/** What this process shares its rooms over; undefined where it is alone. */
async function adapter() {
  if (!redisUrl) return cluster.isWorker ? createAdapter() : undefined;
  const publisher = await createClient({ url: redisUrl }).connect();
  if (process.env.ADAPTER === "streams") return createStreamsAdapter(publisher);
  return createRedisAdapter(publisher, await publisher.duplicate().connect());
}

/** The `sub` of an HS256 token that is signed with our secret and has not expired; otherwise an Error. */
function userOf(token) {
  const parts = typeof token === "string" ? token.split(".") : [];
  if (parts.length !== 3) throw new Error("Invalid token");
  const [head, body, signature] = parts;
  const expected = createHmac("sha256", secret).update(`${head}.${body}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new Error("Invalid token");

  const header = JSON.parse(Buffer.from(head, "base64url"));
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  if (header.alg !== "HS256" || typeof claims.sub !== "string" || claims.sub === "") throw new Error("Invalid token");
  if (!(claims.exp > Date.now() / 1000)) throw new Error("Token expired");
  return claims.sub;
}

function authenticate(socket, next) {
  const { token, userId } = socket.handshake.auth ?? {};
  try {
    socket.data.userId = secret === "" ? String(userId ?? `anon-${socket.id}`) : userOf(token);
    next();
  } catch (error) {
    const message = error.message === "Token expired" ? error.message : "Invalid token";
    const code = message === "Token expired" ? "TOKEN_EXPIRED" : "AUTHENTICATION_FAILED";
    next(Object.assign(new Error(message), { data: { type: "auth", code } }));
  }
}

/** Answers a refused event: a failure acknowledgement if one was asked for, an `error` event otherwise. */
function refuse(socket, ack, type, code, message) {
  if (typeof ack === "function") ack({ success: false, error: { code, message } });
  else socket.emit("error", { type, code, message, timestamp: new Date().toISOString() });
}

function channelOf(request) {
  const channelId = request?.channelId;
  const fits = typeof channelId === "string" && channelId !== "" && Buffer.byteLength(channelId) <= channelBytesMax;
  return fits ? channelId : undefined;
}

function handleJoin(socket, request, ack) {
  const channelId = channelOf(request);
  if (channelId === undefined) return refuse(socket, ack, "validation", "VALIDATION_ERROR", "channelId is required");
  socket.join(`channel:${channelId}`);
  const memberCount = io.sockets.adapter.rooms.get(`channel:${channelId}`).size;
  socket.emit("channel:joined", { channelId, userId: socket.data.userId, memberCount, timestamp: Date.now() });
  ack?.({ success: true, channelId, data: { channelId, roomName: channelId, type: "channel", memberCount } });
}

function handleLeave(socket, request, ack) {
  const channelId = channelOf(request);
  if (channelId === undefined) return refuse(socket, ack, "validation", "VALIDATION_ERROR", "channelId is required");
  socket.leave(`channel:${channelId}`);
  socket.emit("channel:left", { channelId, userId: socket.data.userId });
  ack?.({ success: true, channelId });
}

function handleSend(socket, request, ack) {
  const channelId = channelOf(request);
  const content = request?.content;
  if (channelId === undefined) return refuse(socket, ack, "validation", "VALIDATION_ERROR", "channelId is required");
  if (typeof content !== "string" || content === "" || content.length > contentCharsMax) {
    return refuse(socket, ack, "validation", "VALIDATION_ERROR", "content is empty or too long");
  }
  const room = `channel:${channelId}`;
  if (!socket.rooms.has(room)) return refuse(socket, ack, "state", "NOT_JOINED", "join the channel first");

  const id = randomUUID();
  const instant = new Date();
  const timestamp = instant.getTime();
  const createdAt = instant.toISOString();
  const { clientMessageId } = request;
  const mentions = Array.isArray(request.mentions) ? request.mentions : [];
  const userId = socket.data.userId;
  io.to(room).emit("message", {
    id, messageId: id, channelId, userId, content, mentions, type: "text", timestamp, createdAt, clientMessageId,
  });
  ack?.({ success: true, messageId: id, data: { messageId: id, id, channelId, clientMessageId, timestamp, createdAt } });
}

const http = createServer(async (request, response) => {
  const known = request.url === "/readyz" || request.url === "/health";
  const complete = known && (await io.of("/").adapter.serverCount()) === serverCount;
  response.writeHead(complete ? 200 : known ? 503 : 404, { "content-type": "application/json" });
  response.end(complete ? '{"status":"healthy"}' : known ? '{"status":"starting"}' : '{"error":"not found"}');
});

const io = new Server(http, {
  transports: ["polling", "websocket"],
  pingInterval: 25_000,
  pingTimeout: 20_000,
  maxHttpBufferSize: 1_000_000,
  perMessageDeflate: false,
  cors: { origin: "*" },
  adapter: await adapter(),
  ...(process.env.RECOVERY === "1" ? { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } } : {}),
});

io.use(authenticate);
io.on("connection", (socket) => {
  const { userId } = socket.data;
  socket.emit("connected", { socketId: socket.id, serverTime: new Date().toISOString(), protocolVersion: "1.0" });
  socket.emit("authenticated", { userId, sessionId: socket.id, rooms: [`user:${userId}`] });
  socket.on("channel:join", (request, ack) => handleJoin(socket, request, ack));
  socket.on("channel:leave", (request, ack) => handleLeave(socket, request, ack));
  socket.on("message:send", (request, ack) => handleSend(socket, request, ack));
});

// 4096 pending connections: the default of 511 drops SYNs in a connect ramp.
http.listen({ port, host, backlog: 4096 }, () => console.log(`listening on ${host}:${port}`));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
