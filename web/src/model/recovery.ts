// How pairs of stations fared after the last change: of the sky, or of what is broken.

import type { Event, Pair } from "../gen/orrery/v1alpha1/control_pb";
import { seconds } from "./units";

export interface Recovery {
  /** Pairs that are cut off now. */
  out: number;
  /** Those that were cut off after the change and reach each other again. */
  back: number;
  /** Seconds from the change until the last of these did; by echo requests, so to some tenths. */
  after: number;
}

const changes = new Set(["link-up", "link-down", "injected", "undone"]);

/** Takes events that have happened, newest first. Undefined if no change is among them. */
export function recovery(events: readonly Event[], pairs: readonly Pair[]): Recovery | undefined {
  const change = events.find((event) => changes.has(event.kind));
  if (!change) return undefined;
  const since = seconds(change.at);
  const back = new Set<string>();
  let last = since;
  for (const event of events) {
    if (event.kind !== "reachable" || seconds(event.at) < since) continue;
    back.add(`${event.a} ${event.b}`);
    last = Math.max(last, seconds(event.at));
  }
  return { out: pairs.filter((pair) => !pair.reachable && pair.sent > 0n).length, back: back.size, after: last - since };
}
