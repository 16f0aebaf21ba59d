// server.mjs in WORKERS (2) processes behind one port: what Socket.IO's documentation does to use several cores.
//
// Connections are dealt to the processes in turn, and a message for a room goes through the first process to all others.
// Long-polling would need every request of a session to reach the same process; here are WebSockets only.

import cluster from "node:cluster";
import { setupPrimary } from "@socket.io/cluster-adapter";

const workers = Math.max(Number(process.env.WORKERS ?? 2), 2);

if (cluster.isPrimary) {
  setupPrimary();
  for (let number = 0; number < workers; number += 1) cluster.fork({ WORKERS: workers });
  const end = (code) => {
    for (const worker of Object.values(cluster.workers)) worker.process.kill("SIGKILL");
    process.exit(code);
  };
  // A process that ends takes the others with it: a cluster that is not whole is not measured.
  cluster.on("exit", () => end(1));
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => end(0));
} else {
  await import("./server.mjs");
}
