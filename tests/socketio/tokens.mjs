// The JWTs of the suite, good and bad.

import { createHmac } from 'node:crypto';

export const secret = 'the-suites-own-secret-of-more-than-32-bytes';
const hashes = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' };

/** A token over `claims`, signed with the suite's secret by HS256 unless `signing` says otherwise. */
export function sign(claims, { alg = 'HS256', key = secret } = {}) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${encode({ alg, typ: 'JWT' })}.${encode(claims)}`;
  const signature = hashes[alg] ? createHmac(hashes[alg], key).update(signed).digest('base64url') : '';
  return `${signed}.${signature}`;
}

/** A token in order for `userId`, valid for an hour. */
export function tokenOf(userId, extra = {}) {
  return sign({ sub: userId, iat: nowSecs(), exp: nowSecs() + 3600, ...extra });
}

/** The second of now, as JWT dates count. */
export function nowSecs() {
  return Math.floor(Date.now() / 1000);
}

/** Tokens that no node may take: each `[what is wrong, token]`. */
export function forgedTokens(userId) {
  const exp = nowSecs() + 3600;
  const [head, , tail] = tokenOf(userId).split('.');
  const grafted = Buffer.from(JSON.stringify({ sub: 'somebody-else', exp })).toString('base64url');
  return [
    ['signed with another key', sign({ sub: userId, exp }, { key: 'not the key of this node at all, but long' })],
    ['unsigned (alg none)', sign({ sub: userId, exp }, { alg: 'none' })],
    ['signed with the right key by HS512', sign({ sub: userId, exp }, { alg: 'HS512' })],
    ['with claims exchanged under the signature', `${head}.${grafted}.${tail}`],
    ['without exp', sign({ sub: userId })],
    ['with exp as a string', sign({ sub: userId, exp: String(exp) })],
    ['not valid before tomorrow', sign({ sub: userId, exp: exp + 200_000, nbf: nowSecs() + 86_400 })],
    ['with nbf as a string', sign({ sub: userId, exp, nbf: 'yesterday' })],
    ['without a user', sign({ exp })],
    ['with an empty user', sign({ sub: '', exp })],
    ['made for a password reset', sign({ sub: userId, exp, purpose: 'password-reset' })],
    ['made for an e-mail verification', sign({ sub: userId, exp, purpose: 'email-verification' })],
    ['made as an MFA ticket', sign({ sub: userId, exp, mfa: true })],
    ['that is not a JWT', 'invalid-token'],
    ['with two parts', `${head}.${grafted}`],
    ['of 200 kB', 'x'.repeat(200_000)],
  ];
}
