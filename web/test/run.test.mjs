// The page over a real run: a server, nodes in namespaces, a shell in one of them.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, it } from "node:test";
import { openPage, startBrowser, whyNot } from "./harness.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const orrery = join(root, "bin/orrery");
const scenario = join(root, "examples/three-nodes.yaml");

function whyNoRun() {
  if (whyNot()) return whyNot();
  if (!existsSync(orrery)) return "there is no bin/orrery; make build makes it";
  if (process.getuid() !== 0) return "runs of this test are made by root";
  const doctor = spawnSync(orrery, ["doctor", scenario], { encoding: "utf8" });
  if (doctor.status !== 0) return `this host cannot run ${scenario}: ${doctor.stdout.trim().split("\n").pop()}`;
  return "";
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

describe("page of a run", { skip: whyNoRun() || false }, () => {
  let browser, runs, port, emulator, url;

  /** Starts the run, and gives the address that it prints. */
  async function up() {
    const child = spawn(orrery, ["up", scenario, "--name", "page-test", "--listen", `127.0.0.1:${port}`, "--plain"], {
      env: { ...process.env, ORRERY_RUNTIME_DIR: runs },
    });
    let said = "";
    const address = await new Promise((resolve, reject) => {
      const hear = (data) => {
        said += data;
        const found = /http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]+/.exec(said);
        if (found) resolve(found[0]);
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.on("exit", (code) => reject(new Error(`orrery up ended with ${code}:\n${said}`)));
    });
    return { child, address };
  }

  /** Ends the run that this test has started, by its own process. */
  async function down(child) {
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGINT");
    await ended;
  }

  before(async () => {
    runs = await mkdtemp(join(tmpdir(), "orrery-page-"));
    port = await freePort();
    ({ child: emulator, address: url } = await up());
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await down(emulator);
    await rm(runs, { recursive: true, force: true });
  });

  // What a browser writes to the console about a server that is away, and that alone.
  const away = (text) => /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_NETWORK/.test(text);

  /** The first link shows up within seconds, since the run is ten times faster than life. */
  const drawn = (page) => page.waitForFunction(() => globalThis.orrery?.session.status.value && globalThis.orrery.stage.position(1)[0]);

  it("shows the run, hides the token, and keeps quiet on the console", async () => {
    const { page, problems } = await openPage(browser.context, url, { ready: false });
    await drawn(page);
    await page.locator("#panel h2", { hasText: "page-test" }).waitFor();
    assert.doesNotMatch(page.url(), /token/);
    await page.reload(); // the token stays with the tab
    await drawn(page);
    assert.deepEqual(problems, []);
    await page.close();
  });

  it("says what to do without a token", async () => {
    const { page } = await openPage(browser.context, url.replace(/#.*/, ""), { ready: false, tolerate: () => true });
    await page.locator("#notice", { hasText: "token" }).waitFor();
    await page.close();
  });

  it("types into a shell of a node, and reads its answer", async () => {
    const { page, problems } = await openPage(browser.context, url, { ready: false });
    await drawn(page);
    await page.evaluate(() => globalThis.orrery.select({ kind: "node", name: "berlin" }));
    await page.getByRole("button", { name: "shell" }).click();
    await page.locator(".terminal .xterm-screen").waitFor();
    // The answer is not in the question: it is computed in the node, whose host name it has.
    await page.keyboard.type("echo $((6*7))-$(hostname)\n");
    await page.waitForFunction(() => (document.querySelector(".terminal .xterm-accessibility")?.textContent ?? "").includes("42-berlin"));
    await page.keyboard.type("exit\n");
    await page.locator(".terminal header", { hasText: "ended" }).waitFor();
    assert.deepEqual(problems, []);
    await page.close();
  });

  it("kills a node, sees it in the events, and takes it back", async () => {
    const { page, problems } = await openPage(browser.context, url, { ready: false });
    await drawn(page);
    await page.evaluate(() => globalThis.orrery.select({ kind: "node", name: "madrid" }));
    await page.getByRole("button", { name: "Kill this node" }).click();
    await page.locator(".failures", { hasText: "madrid is killed" }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator("ol.events", { hasText: "injected" }).waitFor();
    await page.locator(".failures").getByRole("button", { name: "Undo" }).click();
    await page.locator("ol.events", { hasText: "undone" }).waitFor();
    await page.locator(".failures").waitFor({ state: "detached" });
    assert.deepEqual(problems, []);
    await page.close();
  });

  it("pauses the run, and looks at the future meanwhile", async () => {
    const { page, problems } = await openPage(browser.context, url, { ready: false });
    await drawn(page);
    await page.locator('#timeline button[aria-label="Pause"]').click();
    await page.waitForFunction(() => globalThis.orrery.session.status.value.paused);
    const strip = await page.locator("#timeline .strip").boundingBox();
    await page.mouse.click(strip.x + strip.width * 0.8, strip.y + 20);
    await page.locator("#timeline .away").waitFor();
    const t = await page.evaluate(() => globalThis.orrery.session.clock.shown);
    await page.waitForFunction(async (t) => {
      const { stage, session } = globalThis.orrery;
      const answer = await session.source.sky.getPositions({ from: { seconds: BigInt(Math.round(t)), nanos: 0 }, count: 1, nodes: [0] });
      const there = new Float32Array(answer.kilometres.slice().buffer);
      return Math.hypot(...stage.position(0).map((v, i) => v - there[i])) < 8;
    }, t);
    await page.keyboard.press("n");
    await page.locator('#timeline button[aria-label="Resume"]').click();
    await page.waitForFunction(() => !globalThis.orrery.session.status.value.paused);
    assert.deepEqual(problems, []);
    await page.close();
  });

  it("comes back after the server was away", async () => {
    const { page, problems } = await openPage(browser.context, url, { ready: false, tolerate: away });
    await drawn(page);
    await down(emulator);
    await page.locator("#notice", { hasText: "connection is lost" }).waitFor();
    ({ child: emulator, address: url } = await up());
    // A new run has a new token: the page says so, and goes on with the new address.
    await page.locator("#notice", { hasText: "token" }).or(page.locator("#notice:empty")).waitFor({ state: "attached" });
    await page.goto("about:blank");
    await page.goto(url);
    await drawn(page);
    assert.deepEqual(problems.filter((text) => !/401|403/.test(text)), []);
    await page.close();
  });
});
