// Which links there are at any instant: contacts of the plan, a few minutes of
// them at a time.

import type { GetContactsResponse } from "../gen/orrery/v1alpha1/sky_pb";
import type { Source } from "../source/source";
import { duration, float64s, uint32s } from "./units";

export enum LinkClass {
  IntraPlane,
  InterPlane,
  Neighbour,
  InterShell,
  Ground,
}

/** Contacts in order of their starts. */
export interface ContactList {
  from: number;
  to: number;
  count: number;
  /** Two ports a contact. */
  ports: Uint32Array;
  /** Start and end in scenario seconds, two a contact. */
  spans: Float64Array;
  /** LinkClass, plus 128 where the end is not known. */
  flags: Uint8Array;
}

export function contactsOf(answer: GetContactsResponse, from: number, to: number): ContactList {
  return {
    from,
    to,
    count: answer.count,
    ports: uint32s(answer.ports),
    spans: float64s(answer.spans),
    flags: answer.flags,
  };
}

/** The links of one instant. The arrays are longer than count, and are used again. */
export class Links {
  count = 0;
  ports = new Uint32Array(0);
  kinds = new Uint8Array(0);
  /** They are the same from since until before until. */
  since = 0;
  until = 0;
  /** Counts the changes. */
  version = 0;

  take(list: ContactList, t: number): void {
    if (this.kinds.length < list.count) {
      this.ports = new Uint32Array(list.count * 2);
      this.kinds = new Uint8Array(list.count);
    }
    let n = 0;
    let since = list.from;
    let until = list.to;
    for (let i = 0; i < list.count; i++) {
      const start = list.spans[2 * i]!;
      const end = list.flags[i]! & 128 ? Infinity : list.spans[2 * i + 1]!;
      if (start > t) {
        if (start < until) until = start;
        break; // so do all that follow
      }
      if (start > since) since = start;
      if (end <= t) {
        if (end > since) since = end;
        continue;
      }
      if (end < until) until = end;
      this.ports[2 * n] = list.ports[2 * i]!;
      this.ports[2 * n + 1] = list.ports[2 * i + 1]!;
      this.kinds[n++] = list.flags[i]! & 127;
    }
    this.count = n;
    this.since = since;
    this.until = until;
    this.version++;
  }
}

/** Scenario seconds of contacts that are asked for at once. */
const window = 300;
const kept = 3;
/** Milliseconds after a failure in which nothing is asked. */
const patience = 1000;

export class Contacts {
  readonly links = new Links();
  #windows = new Map<number, ContactList>();
  #asked = new Map<number, AbortController>();
  #failedAt = -Infinity;

  constructor(
    private readonly source: Source,
    private readonly plan: string,
    private readonly loaded: () => void,
  ) {}

  /** Brings links to time t, or says that its contacts are not there yet. */
  at(t: number, speed: number): boolean {
    if (t >= this.links.since && t < this.links.until && this.links.version > 0) {
      this.#ahead(t, speed);
      return true;
    }
    const k = Math.floor(t / window);
    const list = this.#windows.get(k);
    if (!list) {
      for (const [other, asked] of this.#asked) if (other !== k && other !== k + 1) asked.abort();
      void this.#load(k);
      return false;
    }
    this.#windows.delete(k);
    this.#windows.set(k, list); // the last used one
    this.links.take(list, t);
    this.#ahead(t, speed);
    return true;
  }

  #ahead(t: number, speed: number): void {
    const k = Math.floor(t / window) + 1;
    if (k * window - t < Math.max(30, speed * 10) && !this.#windows.has(k)) void this.#load(k);
  }

  async #load(k: number): Promise<void> {
    if (this.#windows.has(k) || this.#asked.has(k) || performance.now() - this.#failedAt < patience) return;
    const aborter = new AbortController();
    this.#asked.set(k, aborter);
    const [from, to] = [k * window, (k + 1) * window];
    try {
      const answer = await this.source.sky.getContacts(
        { plan: this.plan, from: duration(from), to: duration(to) },
        { signal: aborter.signal },
      );
      this.#windows.set(k, contactsOf(answer, from, to));
      for (const old of this.#windows.keys()) {
        if (this.#windows.size <= kept) break;
        this.#windows.delete(old);
      }
      this.loaded();
    } catch {
      if (!aborter.signal.aborted) this.#failedAt = performance.now();
      // Whoever waits for it asks again, also while time stands. What was called off may be wanted again already.
      setTimeout(this.loaded, aborter.signal.aborted ? 0 : patience + 50);
    } finally {
      this.#asked.delete(k);
    }
  }
}
