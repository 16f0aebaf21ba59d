// A permission webhook as a back end would run it: a real HTTP server that keeps what it was asked.

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

export class Doorkeeper {
  #server;
  /** Each question: `{body, text, headers}`. */
  questions = [];
  /** How to answer a question, by its body: an object is sent as JSON, a function gets the response. */
  answer = () => ({ allowed: true });

  static async start() {
    const doorkeeper = new Doorkeeper();
    doorkeeper.#server = createServer((request, response) => doorkeeper.#take(request, response)).listen(0, '127.0.0.1');
    await once(doorkeeper.#server, 'listening');
    doorkeeper.url = `http://127.0.0.1:${doorkeeper.#server.address().port}/may-they`;
    return doorkeeper;
  }

  /** Forgets the questions; answers as `answer` from now on. */
  begin(answer) {
    this.questions = [];
    this.answer = answer;
  }

  async stop() {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #take(request, response) {
    let text = '';
    for await (const piece of request.setEncoding('utf8')) text += piece;
    const question = { body: JSON.parse(text), text, headers: request.headers, method: request.method, path: request.url };
    this.questions.push(question);
    const answer = await this.answer(question.body);
    if (typeof answer === 'function') return answer(response);
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
  }
}

/** The signature that a question over `text` must carry. */
export function signatureOf(text, secret) {
  return `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`;
}
