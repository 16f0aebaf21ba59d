// The HTTP surface beside Engine.IO: health, metrics, refusals, CORS, and heads that no parser should have to see.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { withClients } from './client.mjs';
import { until } from './inbox.mjs';
import { SocketSession, engineUrl, exchange, firstBytes } from './raw.mjs';
import { insecure, isReference, startNode } from './server.mjs';

const foreignOrigins = ['https://evil.example', 'https://app.example.evil', 'http://app.example', 'null'];

let node;
before(async () => {
  node = await startNode(insecure);
});
after(() => node.stop());

const isJson = (answer) => assert.match(answer.headers.get('content-type'), /^application\/json/);

describe('health', () => {
  test('has the specified shape', async () => {
    const answer = await fetch(`${node.url}/health`);
    const health = await answer.json();
    assert.equal(answer.status, 200);
    isJson(answer);
    assert.equal(health.status, 'healthy');
    assert.equal(health.service, 'realtime');
    assert.match(health.version, /^\d+\.\d+\.\d+/);
    assert.ok(Number.isFinite(health.uptime));
    assert.equal(health.websocket.running, true);
    assert.ok(Number.isInteger(health.websocket.connections));
    assert.equal(health.dependencies.redis.status, 'disabled');
  });

  test('says on how many cores and by which driver the node runs', async () => {
    const { cores, driver, maxConnections } = await (await fetch(`${node.url}/health`)).json();
    assert.ok(Number.isInteger(cores) && cores >= 1);
    assert.ok(['io_uring', 'epoll'].includes(driver), driver);
    const forced = { uring: 'io_uring', epoll: 'epoll' }[process.env.REALTIME_IO_DRIVER];
    if (forced && process.env.REALTIME_BIN) assert.equal(driver, forced);
    assert.equal(maxConnections, 10_000);
  });

  test('counts the connections', () =>
    withClients(node, {}, async (open) => {
      const connections = async () => (await (await fetch(`${node.url}/health`)).json()).websocket.connections;
      await until('the connections of other tests are gone', async () => (await connections()) === 0);
      const clients = [await open('one'), await open('two', { transports: ['polling'] })];
      assert.equal(await connections(), 2);
      for (const client of clients) client.close();
      await until('both are gone', async () => (await connections()) === 0);
    }));

  test('answers ten requests at once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => fetch(`${node.url}/health`)));
    assert.ok(answers.every((answer) => answer.status === 200));
  });

  for (const path of ['/healthz', '/readyz', '/version']) {
    test(`${path} answers 200 in JSON`, async () => {
      const answer = await fetch(`${node.url}${path}`);
      assert.equal(answer.status, 200);
      isJson(answer);
      await answer.json();
    });
  }
});

describe('metrics', () => {
  const scrape = async () => await (await fetch(`${node.url}/metrics`)).text();
  const valueOf = (text, name) => Number(text.match(new RegExp(`^${name} (\\S+)$`, 'm'))?.[1]);

  test('have the four specified names, each with its type', async () => {
    const answer = await fetch(`${node.url}/metrics`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type'), /^text\/plain/);
    const text = await answer.text();
    assert.match(text, /^# TYPE realtime_connections_total gauge$/m);
    assert.match(text, /^# TYPE realtime_messages_total counter$/m);
    assert.match(text, /^# TYPE realtime_presence_updates_total counter$/m);
    assert.match(text, /^# TYPE realtime_latency_ms histogram$/m);
    for (const name of ['connections_total', 'messages_total', 'presence_updates_total', 'latency_ms_count', 'latency_ms_sum']) {
      assert.ok(Number.isFinite(valueOf(text, `realtime_${name}`)), name);
    }
    assert.match(text, /^realtime_latency_ms_bucket\{le="\+Inf"\} \d+$/m);
  });

  test('are lines of name, labels and number, or comments', async () => {
    const sample = /^[a-zA-Z_:][\w:]*(\{[a-zA-Z_]\w*="[^"]*"(,[a-zA-Z_]\w*="[^"]*")*\})? (NaN|[+-]Inf|-?[\d.]+(e[+-]?\d+)?)$/;
    const comment = /^# (TYPE|HELP|EOF|UNIT)/;
    for (const line of (await scrape()).trimEnd().split('\n')) {
      assert.ok(sample.test(line) || comment.test(line), line);
    }
  });

  test('count messages and connections over all cores', () =>
    withClients(node, { transports: ['websocket'] }, async (open) => {
      const before = valueOf(await scrape(), 'realtime_messages_total');
      const clients = await Promise.all(Array.from({ length: 12 }, (_, n) => open(`counted-${n}`)));
      for (const client of clients) await client.join('counted');
      for (const client of clients) await client.send('counted', 'hi');
      const text = await scrape();
      assert.equal(valueOf(text, 'realtime_messages_total'), before + 12);
      assert.ok(valueOf(text, 'realtime_connections_total') >= 12);
    }));

  test('name no user and no channel', () =>
    withClients(node, {}, async (open) => {
      const client = await open('very-private-person');
      await client.join('very-private-place');
      await client.send('very-private-place', 'psst');
      assert.doesNotMatch(await scrape(), /very-private/);
    }));
});

describe('what is not there', () => {
  for (const path of ['/nothing', '/health/more', '/../../etc/passwd', '/%00', '/metrics/..%2f']) {
    test(`${path} is answered by 404 and a JSON error`, async () => {
      const answer = await fetch(`${node.url}${path}`);
      assert.equal(answer.status, 404);
      isJson(answer);
      assert.equal(typeof (await answer.json()).error.code, 'string');
    });
  }

  for (const [method, path] of [['POST', '/health'], ['DELETE', '/metrics'], ['PUT', '/']]) {
    test(`${method} ${path} is answered by 405 and a JSON error`, async () => {
      const answer = await fetch(`${node.url}${path}`, { method });
      assert.equal(answer.status, 405);
      isJson(answer);
      assert.equal(typeof (await answer.json()).error.code, 'string');
    });
  }
});

test('the page is at the root', async () => {
  const answer = await fetch(`${node.url}/`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^text\/html/);
  assert.match(await answer.text(), /^<!doctype html>/i);
});

describe('CORS for any origin', () => {
  test('a page anywhere may poll', async () => {
    const answer = await fetch(engineUrl(node, { transport: 'polling' }), { headers: { Origin: 'https://any.example' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    assert.equal(answer.headers.get('access-control-allow-credentials'), null);
    await answer.text();
  });

  test('a page anywhere may read health', async () => {
    const answer = await fetch(`${node.url}/health`, { headers: { Origin: 'https://any.example' } });
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    await answer.text();
  });

  test('a preflight for polling is answered by 204 with what is allowed', async () => {
    const answer = await preflight(node, 'https://any.example');
    assert.equal(answer.status, 204);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    assert.match(answer.headers.get('access-control-allow-methods'), /GET.*POST/);
    for (const header of ['Authorization', 'Content-Type', 'X-API-Key']) {
      assert.match(answer.headers.get('access-control-allow-headers'), new RegExp(header, 'i'));
    }
    assert.equal(await answer.text(), '');
  });
});

describe('CORS for listed origins', () => {
  const listed = 'https://app.example';
  let guarded;
  before(async () => {
    guarded = await startNode({ ...insecure, REALTIME_CORS_ORIGIN: `https://other.example, ${listed}` });
  });
  after(() => guarded.stop());

  test('a listed origin is echoed, with credentials and Vary', async () => {
    const answer = await fetch(engineUrl(guarded, { transport: 'polling' }), { headers: { Origin: listed } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('access-control-allow-origin'), listed);
    assert.equal(answer.headers.get('access-control-allow-credentials'), 'true');
    assert.match(answer.headers.get('vary'), /origin/i);
    await answer.text();
    assert.equal((await preflight(guarded, listed)).headers.get('access-control-allow-origin'), listed);
  });

  for (const origin of foreignOrigins) {
    test(`the origin ${origin} gets neither a session nor a reflection of itself`, async () => {
      const answer = await fetch(engineUrl(guarded, { transport: 'polling' }), { headers: { Origin: origin } });
      assert.deepEqual([answer.status, (await answer.json()).code], [403, 4]);
      assert.notEqual(answer.headers.get('access-control-allow-origin'), origin);
      assert.notEqual((await preflight(guarded, origin)).headers.get('access-control-allow-origin'), origin);
      // Node's engine knows no other status than 400 for an upgrade that it refuses.
      await assert.rejects(SocketSession.open(guarded, { origin }), isReference ? /400/ : /403/);
    });
  }

  test('listed pages and programs without an origin come in', async () => {
    for (const options of [{ origin: listed }, {}]) {
      const session = await SocketSession.open(guarded, options);
      assert.match(await session.next(), /^0\{/);
      session.close();
    }
  });
});

describe('on bare TCP', () => {
  const post = (lines, body) => ['POST /health HTTP/1.1', 'Host: node', ...lines, '', body].join('\r\n');

  const refused = [
    ['no HTTP at all', 'HELO node\r\n\r\n'],
    ['a header name of 70 kB', `GET /health HTTP/1.1\r\n${'n'.repeat(70_000)}: x\r\n\r\n`],
    ['a header value of 70 kB', `GET /health HTTP/1.1\r\nHost: node\r\nX: ${'v'.repeat(70_000)}\r\n\r\n`],
    ['a target of 70 kB', `GET /${'t'.repeat(70_000)} HTTP/1.1\r\nHost: node\r\n\r\n`],
    ['a header line without a colon', 'GET /health HTTP/1.1\r\nHost: node\r\nbroken\r\n\r\n'],
    ['a header name with a space', 'GET /health HTTP/1.1\r\nHost: node\r\nContent-Length : 3\r\n\r\nabc'],
    ['a NUL in a header', 'GET /health HTTP/1.1\r\nHost: node\r\nX: a\0b\r\n\r\n'],
    ['two lengths', post(['Content-Length: 3', 'Content-Length: 4'], 'abcd')],
    ['a length beside chunks', post(['Content-Length: 3', 'Transfer-Encoding: chunked'], '0\r\n\r\n')],
    ['a length that is no number', post(['Content-Length: -1'], '')],
    ['a transfer encoding that is not chunked', post(['Transfer-Encoding: chunked, identity'], '0\r\n\r\n')],
  ];
  for (const [what, bytes] of refused) {
    test(`${what} is refused and the connection closed`, async () => {
      const received = await exchange(node, bytes);
      // Bytes on their way when the node closes may turn its answer into a reset, which says no as well.
      if (received !== '') assert.match(received, /^HTTP\/1\.[01] (400|405|414|426|431|501) /);
      assert.equal((await fetch(`${node.url}/healthz`)).status, 200);
    });
  }

  const handshake = (...lines) =>
    ['GET /socket.io/?EIO=4&transport=websocket HTTP/1.1', 'Host: node', 'Connection: Upgrade', ...lines, '', ''].join('\r\n');
  const websocket = 'Upgrade: websocket';
  const version = 'Sec-WebSocket-Version: 13';
  const key = 'Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==';
  const badHandshakes = [
    ['without a key', handshake(websocket, version)],
    ['with a key that is none', handshake(websocket, version, 'Sec-WebSocket-Key: short')],
    ['with a version from long ago', handshake(websocket, key, 'Sec-WebSocket-Version: 7')],
    ['for another protocol', handshake('Upgrade: h2c', version, key)],
  ];
  for (const [what, bytes] of badHandshakes) {
    test(`a websocket handshake ${what} is refused`, async () => {
      assert.match(await firstBytes(node, bytes), /^HTTP\/1\.1 (400|426) /);
    });
  }

  test('a head that does not come to its end is cut off', async () => {
    const received = await exchange(node, 'GET /health HTTP/1.1\r\nHost: node\r\nX-Never: ');
    if (received !== '') assert.match(received, /^HTTP\/1\.[01] 408 /);
  });

  test('two requests written at once are answered one after the other', async () => {
    const request = (path, more = '') => `GET ${path} HTTP/1.1\r\nHost: node\r\n${more}\r\n`;
    const received = await exchange(node, request('/healthz') + request('/nothing', 'Connection: close\r\n'));
    assert.deepEqual(received.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 404']);
  });
});

function preflight(someNode, origin) {
  return fetch(engineUrl(someNode, { transport: 'polling' }), {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type, authorization',
    },
  });
}
