// Random numbers that come again from the same seed.

/** A 32-bit xorshift after a mixing of the seed, so that neighbouring seeds do not walk side by side. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x85ebca6b) >>> 0 || 1;
  }

  /** From 0 to 1, 1 excluded. */
  fraction() {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    this.#state >>>= 0;
    return this.#state / 2 ** 32;
  }
}
