// Channels of the oracle: members, one order per channel, and answers to retries.

import { randomUUID } from 'node:crypto';
import { Refusal } from './refusal.mjs';

const channelIdBytesMax = 255;
const sentAlong = ['clientMessageId', 'tempId', 'threadId', 'replyTo', 'attachments', 'metadata'];

export class Channels {
  #members = new Map(); // channelId -> Map(socket -> joinedAt)
  #lastTimestamps = new Map(); // channelId -> ms
  #acks = new Map(); // userId + clientMessageId -> ack
  #io;
  #contentCharsMax;
  messageCount = 0;

  constructor(io, { contentCharsMax }) {
    this.#io = io;
    this.#contentCharsMax = contentCharsMax;
  }

  /** A session that lost its connection and was recovered is in its channels again. */
  readmit(socket) {
    for (const channelId of socket.rooms) if (channelId !== socket.id) this.#admit(socket, channelId);
  }

  join(socket, payload) {
    const channelId = channelOf(payload);
    const members = this.#admit(socket, channelId);
    const present = presentUsers(members);
    const memberCount = present.length;
    socket.emit('channel:joined', { channelId, userId: socket.data.userId, memberCount, timestamp: Date.now() });
    socket.emit('channel:members', { channelId, members: present });
    const data = { channelId, roomName: channelId, type: 'channel', memberCount, members: present };
    return { success: true, channelId, data };
  }

  leave(socket, payload) {
    const channelId = channelOf(payload);
    this.#members.get(channelId)?.delete(socket);
    socket.leave(channelId);
    socket.emit('channel:left', { channelId, userId: socket.data.userId });
    return { success: true, channelId, data: { channelId } };
  }

  publish(socket, payload) {
    const channelId = channelOf(payload);
    const { userId } = socket.data;
    const content = contentOf(payload, this.#contentCharsMax);
    const members = this.#members.get(channelId);
    if (!members?.has(socket)) throw new Refusal('state', 'NOT_JOINED', 'join the channel first');
    const retryKey = payload.clientMessageId && `${userId}\n${payload.clientMessageId}`;
    if (retryKey && this.#acks.has(retryKey)) return this.#acks.get(retryKey);

    const id = randomUUID();
    const timestamp = Math.max(Date.now(), (this.#lastTimestamps.get(channelId) ?? 0) + 1);
    this.#lastTimestamps.set(channelId, timestamp);
    const createdAt = new Date(timestamp).toISOString();
    const extra = Object.fromEntries(sentAlong.filter((key) => payload[key] !== undefined).map((key) => [key, payload[key]]));
    const common = { id, messageId: id, channelId, timestamp, createdAt };
    const message = { ...common, userId, content, mentions: payload.mentions ?? [], type: payload.type ?? 'text', ...extra };
    this.#io.to(channelId).emit('message', message); // by the adapter, which remembers it for recovery
    this.messageCount += 1;

    const clientMessageId = payload.clientMessageId;
    const ack = { success: true, messageId: id, data: clientMessageId ? { ...common, clientMessageId } : common };
    if (retryKey) this.#acks.set(retryKey, ack);
    return ack;
  }

  forget(socket) {
    for (const members of this.#members.values()) members.delete(socket);
  }

  #admit(socket, channelId) {
    const members = this.#members.get(channelId) ?? new Map();
    this.#members.set(channelId, members);
    if (!members.has(socket)) members.set(socket, new Date().toISOString());
    socket.join(channelId);
    return members;
  }
}

function channelOf(payload) {
  if (payload === null || typeof payload !== 'object') throw invalid('one object is expected');
  const channelId = payload.channelId ?? payload.roomName;
  if (typeof channelId !== 'string' || channelId === '') throw invalid('channelId is required');
  if (Buffer.byteLength(channelId) > channelIdBytesMax) throw invalid('channelId is too long');
  return channelId.startsWith('channel:') ? channelId.slice('channel:'.length) : channelId;
}

function contentOf({ content, attachments }, charsMax) {
  if (typeof content !== 'string') throw invalid('content must be a string');
  if (content === '' && !attachments?.length) throw invalid('content is empty');
  if (content.length > charsMax) throw new Refusal('validation', 'PAYLOAD_TOO_LARGE', 'content is too long');
  return content;
}

function presentUsers(members) {
  const joinedAts = new Map();
  for (const [socket, joinedAt] of members) if (!joinedAts.has(socket.data.userId)) joinedAts.set(socket.data.userId, joinedAt);
  return [...joinedAts].map(([userId, joinedAt]) => ({ userId, status: 'online', joinedAt }));
}

function invalid(message) {
  return new Refusal('validation', 'VALIDATION_ERROR', message);
}
