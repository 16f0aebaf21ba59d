// Who a connection is: tokens verified, or taken at their word in insecure development mode.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal } from './refusal.mjs';

const { env } = process;
const isAuthRequired = env.REALTIME_AUTH_REQUIRED !== 'false';
const leewaySecs = 30;

/** The identity behind a CONNECT packet's auth object; throws a Refusal. */
export function identify(auth, socketId) {
  if (!isAuthRequired) return { userId: insecureUser(auth) ?? `anon-${socketId}`, roles: [] };
  if (!auth.token) throw new Refusal('auth', 'AUTHENTICATION_FAILED', 'Authentication required');
  const identity = verifyToken(auth.token);
  if (auth.userId !== undefined && auth.userId !== identity.userId) {
    throw new Refusal('auth', 'AUTHENTICATION_FAILED', 'Invalid token');
  }
  return identity;
}

/** `{userId, roles, expiresAt}` of a token in order; throws a Refusal otherwise. */
export function verifyToken(token) {
  const { header, claims, signed, signature } = decode(token);
  const expected = createHmac('sha256', env.REALTIME_JWT_SECRET ?? '').update(signed).digest();
  const isSigned = header.alg === 'HS256' && signature.length === expected.length && timingSafeEqual(signature, expected);
  const userId = userOf(claims);
  const nowSecs = Date.now() / 1000;
  const isBroken =
    !isSigned ||
    typeof claims.exp !== 'number' ||
    (claims.nbf !== undefined && !(claims.nbf <= nowSecs + leewaySecs)) ||
    claims.mfa === true ||
    claims.purpose !== undefined ||
    typeof userId !== 'string' ||
    userId === '';
  if (isBroken) throw invalid();
  if (claims.exp < nowSecs - leewaySecs) throw new Refusal('auth', 'TOKEN_EXPIRED', 'Token expired');
  return { userId, roles: claims.roles ?? (claims.role ? [claims.role] : []), expiresAt: claims.exp * 1000 };
}

function insecureUser({ token, userId }) {
  if (typeof token === 'string' && token.startsWith('user:')) return token.slice('user:'.length);
  try {
    return userOf(decode(token).claims);
  } catch {
    return userId;
  }
}

function userOf(claims) {
  const namespace = claims['https://hasura.io/jwt/claims'];
  const hasura = typeof namespace === 'string' ? JSON.parse(namespace) : namespace;
  const bare = claims['x-hasura-user-id'];
  return claims.userId ?? hasura?.['x-hasura-user-id'] ?? bare ?? claims.sub ?? claims.user_id;
}

function decode(token) {
  const parts = typeof token === 'string' ? token.split('.') : [];
  if (parts.length !== 3) throw invalid();
  try {
    const [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
    return { header, claims, signed: `${parts[0]}.${parts[1]}`, signature: Buffer.from(parts[2], 'base64url') };
  } catch {
    throw invalid();
  }
}

function invalid() {
  return new Refusal('auth', 'AUTHENTICATION_FAILED', 'Invalid token');
}
