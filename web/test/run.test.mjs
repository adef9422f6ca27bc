// The page over a real run: a server, nodes in namespaces, a shell in one of them.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openPage, startBrowser } from "./harness.mjs";
import { down, freePort, root, up as start, whyNoRun } from "./runs.mjs";

const scenario = join(root, "examples/three-nodes.yaml");

/** A way to a port of the loopback that can be cut. */
async function proxy(target) {
  const open = new Set();
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => (open.delete(socket), other.destroy()));
      socket.pipe(other);
    }
  });
  const listen = (port) => new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  await listen(0);
  const { port } = server.address();
  return {
    port,
    cut: () =>
      new Promise((resolve) => {
        server.close(resolve);
        for (const socket of open) socket.destroy();
      }),
    mend: () => listen(port),
  };
}

describe("page of a run", { skip: whyNoRun(scenario) || false }, () => {
  let browser, runs, port, emulator, url;

  const up = () => start(scenario, { runs, port, name: "page-test" });

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
    await page.locator(".console .xterm-screen").waitFor();
    // The answer is not in the question: it is computed in the node, whose host name it has.
    await page.keyboard.type("echo $((6*7))-$(hostname)\n");
    await page.waitForFunction(() => (document.querySelector(".console .xterm-accessibility")?.textContent ?? "").includes("42-berlin"));
    await page.keyboard.type("exit\n");
    await page.locator(".console header", { hasText: "ended" }).waitFor();
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

  it("comes back by itself after the connection was lost", async () => {
    const way = await proxy(port);
    const { page, problems } = await openPage(browser.context, url.replace(`:${port}/`, `:${way.port}/`), {
      ready: false,
      tolerate: away,
    });
    await drawn(page);
    await way.cut();
    await page.locator("#notice", { hasText: "connection is lost" }).waitFor();
    const before = await page.evaluate(() => globalThis.orrery.session.status.value.scenarioTime.seconds.toString());
    await way.mend();
    await page.waitForFunction((was) => globalThis.orrery.session.status.value.scenarioTime.seconds > BigInt(was), before);
    await page.locator("#notice p").waitFor({ state: "detached" });
    assert.deepEqual(problems, []);
    await page.close();
    await way.cut();
  });

  it("says that a new run has a new token, and takes it", async () => {
    const { page, problems } = await openPage(browser.context, url, {
      ready: false,
      tolerate: (text) => away(text) || /\b401\b/.test(text),
    });
    await drawn(page);
    await down(emulator);
    await page.locator("#notice", { hasText: "connection is lost" }).waitFor();
    ({ child: emulator, address: url } = await up());
    await page.locator("#notice", { hasText: "ends in a token" }).waitFor();
    await page.goto(url); // only what follows the # is another
    await drawn(page);
    await page.locator("#notice p").waitFor({ state: "detached" });
    assert.deepEqual(problems, []);
    await page.close();
  });
});
