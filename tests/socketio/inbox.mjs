// Events that are kept until the test asks for them, so that none can be missed, and waits that come to an end.

/** How long a test waits for what must come; reaching it is a failure, never a measurement. */
export const waitMsMax = 15_000;

/** Resolves with `promise`, or fails with `what` when that never happens. */
export async function inTime(promise, what, msMax = waitMsMax) {
  let overdue;
  const never = new Promise((_, reject) => {
    overdue = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), msMax);
  });
  try {
    return await Promise.race([promise, never]);
  } finally {
    clearTimeout(overdue);
  }
}

/** Asks `isSo` again and again until it says yes; fails with `what` when it never does. */
export async function until(what, isSo) {
  const deadline = Date.now() + waitMsMax;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise(setImmediate); // what has arrived is looked at before the next question
  }
}

export class Inbox {
  #kept = []; // {event, args}, not asked for yet
  #waiting = new Set(); // {event, matches, resolve}
  #owner;

  constructor(owner) {
    this.#owner = owner;
  }

  /** The first argument of the next `event` that `matches`, whether it is here already or still to come. */
  next(event, matches = () => true) {
    const index = this.#kept.findIndex((kept) => kept.event === event && matches(...kept.args));
    if (index !== -1) return Promise.resolve(this.#kept.splice(index, 1)[0].args[0]);
    let waiting;
    const arrival = new Promise((resolve) => {
      waiting = { event, matches, resolve };
      this.#waiting.add(waiting);
    });
    return inTime(arrival, `${event} at ${this.#owner}`).finally(() => this.#waiting.delete(waiting));
  }

  /** The next `count` events of a name, in the order of their arrival. */
  async nextOf(event, count) {
    const taken = [];
    while (taken.length < count) taken.push(await this.next(event));
    return taken;
  }

  /** All events of a name that are here and were not asked for, in the order of their arrival. */
  drain(event, matches = () => true) {
    const isTaken = (kept) => kept.event === event && matches(...kept.args);
    const taken = this.#kept.filter(isTaken);
    this.#kept = this.#kept.filter((kept) => !isTaken(kept));
    return taken.map((kept) => kept.args[0]);
  }

  /** How many events of a name are here and were not asked for. */
  unread(event) {
    return this.#kept.filter((kept) => kept.event === event).length;
  }

  /** Takes in one event as it arrives. */
  keep(event, args) {
    for (const waiting of this.#waiting) {
      if (waiting.event !== event || !waiting.matches(...args)) continue;
      this.#waiting.delete(waiting);
      return waiting.resolve(args[0]);
    }
    this.#kept.push({ event, args });
  }
}
