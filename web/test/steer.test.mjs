// What the page does to a run and measures in it: every button that a person has.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, it } from "node:test";
import { openPage, startBrowser } from "./harness.mjs";
import { down, freePort, up, whyNoRun } from "./runs.mjs";

const scenario = fileURLToPath(new URL("steady.yaml", import.meta.url));
const iperf = ["/usr/bin/iperf3", "/usr/local/bin/iperf3"].some((path) => existsSync(path));

/** A certificate for the loopback that this test alone trusts. */
function certificate(folder) {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const made = spawnSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=page-test",
      "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
    { encoding: "utf8" },
  );
  return made.status === 0 ? { cert, key } : undefined;
}

describe("steering a run", { skip: whyNoRun(scenario) || false }, () => {
  let browser, folder, emulator, url;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "orrery-steer-"));
    await chmod(folder, 0o755); // FRR's daemons are another user, and meet below it
    const port = await freePort();
    // By TLS, as a page that is not on the loopback should be served; by HTTP where there is no openssl.
    const tls = certificate(folder);
    const flags = tls ? ["--tls-cert", tls.cert, "--tls-key", tls.key] : [];
    ({ child: emulator, address: url } = await up(scenario, { runs: folder, port, name: "steer-test", flags }));
    assert.equal(new URL(url).protocol, tls ? "https:" : "http:");
    browser = await startBrowser({ ignoreHTTPSErrors: true });
  });
  after(async () => {
    await browser?.close();
    await down(emulator);
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens the page once both stations reach each other, runs a test, and wants no problem in the end. */
  const on = (test) => async () => {
    const { page, problems } = await openPage(browser.context, url);
    try {
      await page.waitForFunction(() => globalThis.orrery.session.status.value?.pairs.some((pair) => pair.reachable));
      await test(page);
      assert.deepEqual(problems, []);
    } finally {
      // What one test has broken is no matter of the next.
      await page.evaluate(() => globalThis.orrery.session.source.control.undo({ all: true })).catch(() => {});
      await page.close();
    }
  };
  const panel = (page, text) => page.locator("#panel", { hasText: text });
  const select = (page, selection) => page.evaluate((selection) => globalThis.orrery.select(selection), selection);
  const pair = { kind: "pair", a: "berlin", b: "madrid" };
  /** Selects the link that a station has. */
  const selectLink = (page, station) =>
    page.evaluate((station) => {
      const { stage, session } = globalThis.orrery;
      const { ports, count } = stage.links;
      for (let i = 0; i < count; i++) {
        const [a, b] = [ports[2 * i], ports[2 * i + 1]].map((port) => session.inventory.portName(port));
        if (a.startsWith(`${station}:`) || b.startsWith(`${station}:`)) {
          globalThis.orrery.select({ kind: "link", a, b });
          return a.startsWith(`${station}:`) ? a : b;
        }
      }
    }, station);
  const undo = async (page) => {
    await page.locator(".failures").getByRole("button", { name: "Undo" }).first().click();
    await page.locator(".failures").waitFor({ state: "detached" });
  };

  it(
    "pings: each answer beside geometry",
    on(async (page) => {
      await select(page, pair);
      await page.getByRole("button", { name: "Ping madrid" }).click();
      await page.getByRole("button", { name: "Stop ping" }).waitFor();
      await page.waitForFunction(() => document.querySelectorAll("#panel .pings tr").length > 3);
      await page.getByRole("button", { name: "Stop ping" }).click();
      await page.getByRole("button", { name: "Ping madrid" }).waitFor();
      const rows = await page.locator("#panel .pings tr").allInnerTexts();
      // Up to the geostationary orbit and down, twice: about half a second, and never less than light takes.
      const times = rows.slice(1).map((row) => [...row.matchAll(/([\d.]+) ms/g)].map((found) => Number(found[1])));
      const answered = times.filter((list) => list.length === 2);
      assert.ok(answered.length > 0, rows.join("\n"));
      for (const [measured, geometric] of answered) {
        assert.ok(geometric > 480 && geometric < 560, `${geometric} ms are no two ways over that orbit`);
        assert.ok(measured > geometric - 0.2, `${measured} ms are less than light takes, ${geometric} ms`);
      }
    }),
  );

  it(
    "measures throughput",
    { skip: iperf ? false : "there is no iperf3" },
    on(async (page) => {
      await select(page, pair);
      await page.getByRole("button", { name: "iperf3 for 10 s" }).click();
      await page.locator("#panel button", { hasText: "iperf3 is running" }).waitFor();
      await panel(page, "Throughput").waitFor();
      const said = await page.locator("#panel dt", { hasText: "Throughput" }).locator("xpath=following-sibling::dd[1]").innerText();
      assert.match(said, /^[\d.]+ (k|M)bit\/s/);
    }),
  );

  it(
    "shows both paths and the round trips of a pair",
    on(async (page) => {
      await select(page, pair);
      for (const way of ["Kernels", "Oracle"]) {
        const hops = page.locator("#panel .ways > div", { hasText: way }).locator("li button");
        await hops.nth(2).waitFor();
        assert.deepEqual((await hops.allInnerTexts()).map((name) => name.trim()), ["berlin", "geo-one", "madrid"]);
      }
      await page.locator("#panel svg.chart path.line").first().waitFor();
    }),
  );

  it(
    "impairs a link, shows what it loses, and undoes it",
    on(async (page) => {
      await selectLink(page, "berlin");
      const [loss, delay] = ["Loss", "Delay"].map((name) => page.getByRole("textbox", { name }));
      await loss.fill("250");
      await page.getByRole("button", { name: "Impair" }).click();
      await page.locator("#notice", { hasText: "Loss goes from 0 to 100 %" }).waitFor();
      assert.equal(await page.locator(".failures").count(), 0);
      await loss.fill("30");
      await delay.fill("40");
      await page.getByRole("button", { name: "Impair" }).click();
      await page.locator(".failures", { hasText: "30 % loss, 40 ms more" }).waitFor();
      await page.locator("#panel dd", { hasText: "30 %" }).first().waitFor();
      await undo(page);
    }),
  );

  it(
    "cuts a link: it goes from the sky and comes back",
    on(async (page) => {
      const port = await selectLink(page, "madrid");
      await page.getByRole("button", { name: "Cut this link" }).click();
      await page.locator(".failures", { hasText: "is cut" }).waitFor();
      await page.locator("#panel dd", { hasText: "not now" }).waitFor();
      await page.waitForFunction(() => !globalThis.orrery.session.status.value.pairs.some((pair) => pair.reachable));
      const cut = await page.evaluate(() => globalThis.orrery.session.clock.present);
      await page.keyboard.press("Escape");
      const cell = page.locator("#panel .matrix button");
      await cell.waitFor(); // one: there are two stations
      assert.equal((await cell.innerText()).trim(), "×");
      assert.equal(await cell.getAttribute("class"), "bad");
      await page.locator("#panel dd.recovery", { hasText: "1 of 1 pairs is cut off" }).waitFor();
      await selectLink(page, "madrid");
      await undo(page);
      await page.locator("#panel dd", { hasText: "up" }).first().waitFor();
      await page.keyboard.press("Escape");
      await page.locator("ol.events", { hasText: port.split(":")[0] }).waitFor();
      await page.waitForFunction(() => globalThis.orrery.session.status.value.pairs.some((pair) => pair.reachable));
      await page.locator("#panel dd.recovery", { hasText: "1 pair reached again, the last" }).waitFor();
      // About half a second there and back, in the cell and in the page's words.
      await page.waitForFunction(() => /^(4[89]|5[0-6])\d$/.test(document.querySelector("#panel .matrix button").textContent.trim()));
      assert.match(await cell.getAttribute("aria-label"), /, \d+ ms$/);

      // Back to when it was cut: the stage shows that, and the panel what the link carried. Traffic of the last seconds is not there yet.
      await selectLink(page, "madrid");
      await page.evaluate((t) => globalThis.orrery.show(t), cut);
      await page.locator("#panel dl.then", { hasText: "is cut" }).waitFor();
      await page.waitForFunction(() => globalThis.orrery.session.past.value?.span);
      const { span, bits, failures } = await page.evaluate(() => {
        const { span, bits, failures } = globalThis.orrery.session.past.value;
        return { span, bits: [...bits], failures: failures.map((failure) => failure.id) };
      });
      assert.ok(span[0] <= cut && cut <= span[1], `${span} does not hold ${cut}`);
      assert.equal(failures.length, 1);
      assert.ok(bits.some((rate) => rate > 100), `berlin's OSPF still says hello: ${bits}`);
      await page.locator("#panel dl.then dd", { hasText: "bit/s there" }).waitFor();
      await page.keyboard.press("n");
      await page.locator("#panel dl.then").waitFor({ state: "detached" });
      assert.equal(await page.evaluate(() => globalThis.orrery.session.past.value), undefined);
    }),
  );

  it(
    "saves a capture that has packets",
    on(async (page) => {
      const port = await selectLink(page, "berlin");
      await page.getByRole("button", { name: `Capture at ${port}` }).click();
      // OSPF says hello each second: some kilobytes come by themselves.
      await page.waitForFunction(() => /: [1-9]\d* KiB/.test(document.querySelector("#panel").textContent));
      await page.waitForTimeout(2500);
      const saved = page.waitForEvent("download");
      await page.getByRole("button", { name: "Stop and save" }).click();
      const download = await saved;
      assert.equal(download.suggestedFilename(), `${port.replace(":", "-")}.pcapng`);
      const blocks = readBlocks(await readFile(await download.path()));
      assert.equal(blocks[0], 0x0a0d0d0a, "it does not begin with a section header");
      assert.ok(blocks.includes(1), "it describes no interface");
      assert.ok(blocks.filter((type) => type === 6).length > 0, "it has no packet");
    }),
  );

  it(
    "shows a node closely: neighbours, routes, a process and its log",
    on(async (page) => {
      await select(page, { kind: "node", name: "berlin" });
      await page.locator("#panel tr", { hasText: "geo-one" }).first().waitFor();
      await page.locator("#panel summary", { hasText: /[1-9]\d* routes of the kernel/ }).click();
      await page.locator("#panel details tr td.mono").first().waitFor();
      const row = page.locator("table.processes tr", { hasText: "ospf6d" });
      await row.getByRole("button", { name: "log" }).click();
      await page.locator("#panel h3", { hasText: "Log of ospf6d" }).waitFor();
      await page.locator("#panel pre.log").waitFor();
      await page.locator("#panel h3", { hasText: "Log of ospf6d" }).getByRole("button", { name: "close" }).click();
      await page.locator("#panel pre.log").waitFor({ state: "detached" });
    }),
  );

  it(
    "asks a router in its own shell",
    on(async (page) => {
      await select(page, { kind: "node", name: "geo-one" });
      await page.getByRole("button", { name: "vtysh" }).click();
      await page.locator(".console .xterm-screen").waitFor();
      // What the screen shows, without the blanks that its width puts into it.
      const shows = (pattern) =>
        page.waitForFunction(
          (pattern) => new RegExp(pattern).test((document.querySelector(".console .xterm-accessibility")?.textContent ?? "").replace(/\s/g, "")),
          pattern,
        );
      await shows("geo-one#");
      await page.keyboard.type("show ipv6 ospf6 neighbor\n");
      await shows("Full/PointToPoint.*gnd0.*Full/PointToPoint.*gnd1");
      await page.getByRole("button", { name: "Close this terminal" }).click();
    }),
  );

  it(
    "kills a daemon, and lets it run again",
    on(async (page) => {
      await select(page, { kind: "node", name: "madrid" });
      const row = page.locator("table.processes tr", { hasText: "ospf6d" });
      await row.getByRole("button", { name: "kill" }).click();
      await page.locator(".failures", { hasText: "ospf6d in madrid is killed" }).waitFor();
      await row.getByText("running").waitFor({ state: "detached" });
      await undo(page);
      await row.getByText("running").waitFor();
      await page.waitForFunction(() => globalThis.orrery.session.status.value.pairs.some((pair) => pair.reachable));
    }),
  );

  it(
    "colours links by class, delay and load",
    on(async (page) => {
      for (const [colours, legend] of [
        ["delay", "Delay"],
        ["load", "1 Gbit/s"],
        ["state", "to the ground"],
      ]) {
        await page.getByLabel("Colour of links").selectOption(colours);
        await page.locator("#legend", { hasText: legend }).waitFor();
        if (colours === "load") await page.waitForFunction(() => globalThis.orrery.session.traffic.value.length > 0);
      }
    }),
  );
});

/** Types of the blocks of a pcapng file, in their order; a block that is cut short is an error. */
function readBlocks(file) {
  const types = [];
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt32LE(at + 4);
    assert.ok(length >= 12 && length % 4 === 0 && at + length <= file.length, `a block at ${at} has ${length} of ${file.length - at} bytes`);
    assert.equal(file.readUInt32LE(at + length - 4), length);
    types.push(file.readUInt32LE(at));
    at += length;
  }
  return types;
}
