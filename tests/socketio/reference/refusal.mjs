// A request that the oracle does not carry out, with the code that the client is told.

export class Refusal extends Error {
  constructor(type, code, message) {
    super(message);
    this.type = type;
    this.code = code;
  }

  toEvent() {
    return { type: this.type, code: this.code, message: this.message };
  }
}
