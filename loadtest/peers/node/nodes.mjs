// Runs a program once for each port of PORTS (comma-separated), as the nodes of one server: node nodes.mjs PROGRAM [ARGUMENT...]
//
// PORT and REALTIME_PORT are the node's port. A node that ends takes the others with it: a server that is not whole is
// not measured.

import { spawn } from "node:child_process";

const [program, ...args] = process.argv.slice(2);
const nodes = process.env.PORTS.split(",").map((port) =>
  spawn(program, args, { stdio: "inherit", env: { ...process.env, PORT: port, REALTIME_PORT: port } }),
);
const end = (code) => {
  for (const node of nodes) node.kill("SIGKILL");
  process.exit(code);
};
for (const node of nodes) node.on("exit", () => end(1)).on("error", () => end(1));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => end(0));
