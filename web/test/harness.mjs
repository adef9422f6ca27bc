// What browser tests stand on: a server of the built page, and a browser that tells
// of every error and of every request that leaves the page's own origin.

import { createServer } from "node:http";
import { readFile, mkdtemp, rm } from "node:fs/promises";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

// The same policy as package web's handler.
const policy =
  "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/** Serves the built page on a free port of the loopback. */
export async function servePage() {
  const server = createServer(async (request, response) => {
    let path = normalize(new URL(request.url, "http://page").pathname);
    if (path === "/") path = "/index.html";
    try {
      const body = await readFile(join(dist, path));
      response.writeHead(200, {
        "Content-Type": types[extname(path)] ?? "application/octet-stream",
        "Content-Security-Policy": policy,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

export const chromiumPath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Why there can be no browser here; empty if there can. */
export function whyNot() {
  if (!existsSync(chromiumPath)) return `there is no ${chromiumPath}; scripts/deps.sh browser installs it`;
  if (!existsSync(join(dist, "index.html"))) return "web/dist is not built; make web builds it";
  return "";
}

/**
 * Starts a browser with a profile of its own. Software draws: no test machine has a
 * GPU. Options are those of a context of Playwright.
 */
export async function startBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), "orrery-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    headless: true,
    timeout: 120_000,
    viewport: { width: 1280, height: 800 },
    ...options,
    args: [
      "--no-sandbox",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-dev-shm-usage",
      "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader",
      "--enable-precise-memory-info",
      "--js-flags=--expose-gc",
    ],
  });
  context.setDefaultTimeout(60_000);
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/**
 * Opens an address and waits until the network is drawn. problems collects console
 * errors, uncaught ones, failed requests and requests to other origins.
 */
export async function openPage(context, url, { ready = true, tolerate = () => false, ...options } = {}) {
  const page = await context.newPage();
  if (options.viewport) await page.setViewportSize(options.viewport);
  if (options.colorScheme) await page.emulateMedia({ colorScheme: options.colorScheme });
  const problems = [];
  const origin = new URL(url).host;
  const note = (text) => tolerate(text) || problems.push(text);
  page.on("console", (message) => message.type() === "error" && note(`console: ${message.text()}`));
  page.on("pageerror", (error) => note(`uncaught: ${error.stack ?? error}`));
  page.on("request", (request) => {
    const target = new URL(request.url());
    if (!["data:", "blob:"].includes(target.protocol) && target.host !== origin) note(`external request: ${request.url()}`);
  });
  await page.goto(url);
  if (ready) await page.waitForFunction(() => globalThis.orrery?.stage.links?.count > 0);
  return { page, problems };
}

/** Milliseconds of a clock tick of /proc; all Linux that Node.js runs on has this one. */
const tick = 10;

/**
 * Processor time in ms, user's and system's: of this process's children and theirs,
 * which here are the browser's, and of the whole machine.
 */
export function processorTime() {
  const processes = new Map();
  for (const id of readdirSync("/proc")) {
    if (!/^\d+$/.test(id)) continue;
    try {
      const stat = readFileSync(`/proc/${id}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number);
      processes.set(Number(id), { parent: fields[1], time: (fields[11] + fields[12]) * tick });
    } catch {
      // It has ended meanwhile.
    }
  }
  let browser = 0;
  for (const [id, { time }] of processes) {
    let at = id;
    while (at && at !== process.pid) at = processes.get(at)?.parent;
    if (at && id !== process.pid) browser += time;
  }
  const [, user, nice, system, , , irq, soft, stolen] = readFileSync("/proc/stat", "utf8").split("\n")[0].split(/\s+/).map(Number);
  return { browser, machine: (user + nice + system + irq + soft + stolen) * tick };
}
