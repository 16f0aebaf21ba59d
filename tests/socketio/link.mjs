// A piece of network between clients and a node that a test can cut, take down, and bring to a standstill.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** A TCP forwarder: clients that are given the link instead of the node reach the node through it. */
export class Link {
  #node;
  #server;
  #wires = new Set(); // {client, node}: the two ends of each connection
  #isDown = false;
  #isHeld = false;

  static async to(node) {
    const link = new Link();
    link.#node = node;
    link.#server = createServer((client) => link.#carry(client)).listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    link.url = `http://127.0.0.1:${link.#server.address().port}`;
    return link;
  }

  /** Breaks every connection without a word and says whether there was one; the next ones are let through. */
  cut() {
    const isCutting = this.#wires.size > 0;
    for (const { client, node } of this.#wires) {
      client.resetAndDestroy();
      node.resetAndDestroy();
    }
    return isCutting;
  }

  /** Breaks every connection, and each new one, until `restore`. */
  takeDown() {
    this.#isDown = true;
    this.cut();
  }

  restore() {
    this.#isDown = false;
  }

  /** Nothing that the node writes arrives any more, while the connections stay: a client that does not read. */
  hold() {
    this.#isHeld = true;
    for (const { node } of this.#wires) node.pause();
  }

  /** What was held back arrives, in order. */
  release() {
    this.#isHeld = false;
    for (const { node } of this.#wires) node.resume();
  }

  async close() {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #carry(client) {
    if (this.#isDown) return client.resetAndDestroy();
    const node = connect(this.#node.port, '127.0.0.1');
    const wire = { client, node };
    this.#wires.add(wire);
    if (this.#isHeld) node.pause();
    for (const [end, other] of [[client, node], [node, client]]) {
      end.on('error', () => {}); // a reset is an end, too
      end.on('data', (bytes) => other.write(bytes));
      end.once('end', () => other.end());
      end.once('close', () => {
        this.#wires.delete(wire);
        other.destroySoon();
      });
    }
  }
}

/** Runs `scenario` with a link to `node` and takes it away afterwards. */
export async function withLink(node, scenario) {
  const link = await Link.to(node);
  try {
    return await scenario(link);
  } finally {
    await link.close();
  }
}
