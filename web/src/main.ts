import "./style.css";
import { Page } from "./page";
import { server, takeToken } from "./source/server";
import type { Source } from "./source/source";

/**
 * The server that the page came from; with ?demo in the address, a constellation
 * that the browser computes: ?demo=72x70 has so many planes and satellites in each,
 * ?demo=6x11&plan shows a plan without a run.
 */
async function source(): Promise<Source> {
  const token = takeToken();
  const query = new URLSearchParams(location.search);
  const demo = query.get("demo");
  if (demo === null) return server(token);
  const { walker } = await import("./source/walker/services");
  const [planes, perPlane] = demo.split("x").map(Number);
  return walker({
    ...(planes && perPlane && planes * perPlane <= 20_000
      ? { shape: { planes, perPlane, inclination: planes * perPlane > 500 ? 53 : 86.4, height: planes * perPlane > 500 ? 550 : 780 } }
      : {}),
    planOnly: query.has("plan"),
    readOnly: query.has("readonly"),
  });
}

const page = new Page(await source());
// For the console, and for tests that measure.
Object.assign(globalThis, { orrery: page });
