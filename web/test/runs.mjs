// Runs and plans that tests of the page stand on: the programs that serve it.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { whyNot } from "./harness.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const orrery = join(root, "bin/orrery");

/** Why no page can be served by the program itself; empty if it can. */
export function whyNoServer() {
  if (whyNot()) return whyNot();
  return existsSync(orrery) ? "" : "there is no bin/orrery; make build makes it";
}

/** Why a scenario cannot run here; empty if it can. */
export function whyNoRun(scenario) {
  if (whyNoServer()) return whyNoServer();
  if (process.getuid() !== 0) return "runs of this test are made by root";
  const doctor = spawnSync(orrery, ["doctor", scenario], { encoding: "utf8" });
  if (doctor.status !== 0) return `this host cannot run ${scenario}: ${doctor.stdout.trim().split("\n").pop()}`;
  return "";
}

export const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Starts the program with a page, and gives its process and the address that it prints. */
async function serve(args, env) {
  const child = spawn(orrery, args, { env: { ...process.env, ...env } });
  let said = "";
  const address = await new Promise((resolve, reject) => {
    const hear = (data) => {
      said += data;
      const found = /https?:\/\/127\.0\.0\.1:\d+\/#token=[\w-]+/.exec(said);
      if (found) resolve(found[0]);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("exit", (code) => reject(new Error(`orrery ${args.join(" ")} ended with ${code}:\n${said}`)));
  });
  return { child, address };
}

/** Starts a run below the folder runs that serves its page on a port of the loopback. */
export const up = (scenario, { runs, port, name, flags = [] }) =>
  serve(["up", scenario, "--name", name, "--listen", `127.0.0.1:${port}`, "--plain", ...flags], { ORRERY_RUNTIME_DIR: runs });

/** Serves a plan that is being written. */
export const plan = (scenario, port) => serve(["plan", scenario, "--web", "--listen", `127.0.0.1:${port}`], {});

/** Ends what up or plan has started, by its own process. */
export async function down(child) {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.on("exit", resolve));
  child.kill("SIGINT");
  await ended;
}
