// Fills the `node` column of socket_io_packets.tsv and engine_io_payloads.tsv with what Node's parsers say.
//
// Only for changing the tables: the Rust tests read the frozen result. In a folder that has
// `npm install socket.io-parser@4.2.7 engine.io-parser@5.2.3`, run `node node_verdicts.mjs <table>...` on a copy.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const require = createRequire(join(process.cwd(), "any.js"));
const { Decoder } = require("socket.io-parser");
const { decodePayload } = require("engine.io-parser");
const KINDS = ["connect", "disconnect", "event", "ack", "connect_error", "event", "ack"];

function socketIo(text, attachments) {
  const decoder = new Decoder();
  let isTaken = false;
  decoder.on("decoded", () => (isTaken = true));
  try {
    decoder.add(text);
    for (let n = 0; n < attachments; n++) decoder.add(Buffer.from([n]));
  } catch {
    return "refused";
  }
  if (!isTaken) return "waits";
  const { type, nsp, id, data } = new Decoder().decodeString(text);
  return "taken " + JSON.stringify({ kind: KINDS[type], namespace: nsp, id, data });
}

function engineIo(body) {
  const records = decodePayload(body).map(({ type, data }) => {
    if (type === "error") return "error";
    return Buffer.isBuffer(data) ? "binary " + data.toString("hex") : type + " " + (data ?? "");
  });
  return JSON.stringify(records);
}

for (const table of process.argv.slice(2)) {
  const isEngine = basename(table).startsWith("engine");
  const lines = readFileSync(table, "utf8").split("\n");
  const rows = lines.map((line) => {
    if (line === "" || line.startsWith("#")) return line;
    const row = line.split("\t");
    const text = JSON.parse(row[0]);
    const node = isEngine ? 1 : 2;
    row[node] = isEngine ? engineIo(text) : socketIo(text, Number(row[1]));
    return row.join("\t");
  });
  writeFileSync(table, rows.join("\n"));
}
