// Asking the node over REST, as a back end does.

/** One request: `{status, headers, body}`, the body read as JSON. An object as `body` is sent as JSON, a string as it is. */
export async function call(node, method, path, { body, headers = {} } = {}) {
  const answer = await fetch(`${node.url}${path}`, {
    method,
    headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  const isJson = answer.headers.get('content-type')?.startsWith('application/json');
  return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : text };
}

export const post = (node, path, body, headers) => call(node, 'POST', path, { body, headers });
export const get = (node, path, headers) => call(node, 'GET', path, { headers });

/** The poll of a channel with more of a query. */
export const poll = (node, channelId, query = {}, headers) =>
  get(node, `/poll?${new URLSearchParams({ channelId, ...query })}`, headers);
