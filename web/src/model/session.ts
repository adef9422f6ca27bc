// One page's acquaintance with a server: what it shows, how the run is, and that
// the connection comes back after it was lost.

import { Code, ConnectError } from "@connectrpc/connect";
import type { Event, Failure, Status } from "../gen/orrery/v1alpha1/control_pb";
import type { Source } from "../source/source";
import { Clock } from "./clock";
import { Contacts } from "./contacts";
import { Inventory } from "./inventory";
import { Motion } from "./motion";
import { Signal } from "./signal";
import { duration, float32s, instant, seconds } from "./units";

export type Connection = { state: "connecting" | "connected" | "lost" | "refused"; problem?: string };

export type Selection =
  | { kind: "node"; name: string }
  | { kind: "link"; a: string; b: string }
  | { kind: "pair"; a: string; b: string }
  | undefined;

/** A scenario that is shown: that of the run, or one that is being written. */
export interface Shown {
  plan: string;
  inventory: Inventory;
  motion: Motion;
  contacts: Contacts;
  /** ms since 1970 */
  epoch: number;
}

/** What was measured at an instant of the past. */
export interface Past {
  /** The period that the rates are means of; undefined if nothing was measured. */
  span?: [number, number];
  /** Bits per second that each port sent, and frames per second that it dropped. */
  bits: Float32Array;
  drops: Float32Array;
  /** Those that held. */
  failures: readonly Failure[];
}

const remembered = 500;

export class Session {
  readonly clock = new Clock();
  readonly connection = new Signal<Connection>({ state: "connecting" });
  readonly shown = new Signal<Shown | undefined>(undefined);
  readonly status = new Signal<Status | undefined>(undefined);
  readonly selection = new Signal<Selection>(undefined);
  /** The last events, newest first. */
  readonly events = new Signal<readonly Event[]>([]);
  /** Bits per second by port; empty while nobody asks. */
  readonly traffic = new Signal<Float32Array>(new Float32Array(0));
  /** What there was at the instant that is shown; undefined unless that is in the run's past. */
  readonly past = new Signal<Past | undefined>(undefined);
  /** Something has come that the stage waits for. */
  loaded: () => void = () => {};
  /** The server has a scenario, and no plan: it is being written, and is not valid yet. */
  unplanned: () => void = () => {};

  #lastEvent = -1n;
  #trafficEnd: AbortController | undefined;
  #ends = new AbortController();
  #stopLooking = () => {};
  #lookedAt = { shown: NaN, at: 0 };

  constructor(readonly source: Source) {}

  get inventory(): Inventory | undefined {
    return this.shown.value?.inventory;
  }

  get running(): boolean {
    return this.inventory?.message.running ?? false;
  }

  get mayChange(): boolean {
    return this.running && !this.inventory!.message.readOnly;
  }

  /** Whether commands may be run in nodes, and frames be looked at. */
  get mayEnter(): boolean {
    return this.mayChange && !this.inventory!.message.outside;
  }

  /** Begins, and goes on until the page is closed. */
  start(): void {
    void this.#keep();
    this.#stopLooking = poll((signal) => this.#lookBack(signal), 200);
  }

  close(): void {
    this.#stopLooking();
    this.#ends.abort();
    this.#trafficEnd?.abort();
  }

  /** Shows a plan: that of the run, or a compiled one. */
  async show(plan: string): Promise<void> {
    const message = await this.source.sky.getInventory({ plan });
    const before = this.shown.value;
    const same =
      before &&
      before.plan === plan &&
      before.inventory.message.name === message.name &&
      before.epoch === instant(message.epoch) &&
      before.inventory.message.running === message.running &&
      before.inventory.message.readOnly === message.readOnly &&
      before.inventory.message.inPods === message.inPods &&
      before.inventory.message.outside === message.outside &&
      before.inventory.count === message.nodes.length &&
      before.inventory.names.every((name, i) => name === message.nodes[i]!.name);
    if (same) return;
    const inventory = new Inventory(message);
    const loaded = () => this.loaded();
    const selection = this.selection.value;
    if (selection && !known(inventory, selection)) this.selection.set(undefined);
    this.shown.set({
      plan,
      inventory,
      motion: new Motion(this.source, plan, inventory.shortestPeriod, loaded),
      contacts: new Contacts(this.source, plan, loaded),
      epoch: instant(message.epoch),
    });
  }

  /** Whether the colours of links are their load. */
  set watchesTraffic(wanted: boolean) {
    this.#trafficEnd?.abort();
    this.#trafficEnd = undefined;
    if (!wanted || !this.running) {
      this.traffic.set(new Float32Array(0));
      return;
    }
    const end = (this.#trafficEnd = new AbortController());
    void this.#again(end.signal, async () => {
      for await (const { bitsPerSecond } of this.source.control.watchTraffic({}, { signal: end.signal }))
        this.traffic.set(float32s(bitsPerSecond));
    });
  }

  /** Whether the page shows what is still to come. */
  get ahead(): boolean {
    return !this.clock.following && this.clock.shown > this.clock.present;
  }

  /** Asks what there was at the instant that is shown, when that has changed. */
  async #lookBack(signal: AbortSignal): Promise<void> {
    const { shown } = this.clock;
    if (this.clock.following || !this.running || this.ahead) {
      this.#lookedAt.shown = NaN;
      if (this.past.value) this.past.set(undefined);
      return;
    }
    const fresh = performance.now() - this.#lookedAt.at < 1000;
    if (shown === this.#lookedAt.shown && (fresh || this.past.value?.span)) return; // the last seconds are measured later
    this.#lookedAt = { shown, at: performance.now() };
    const answer = await this.source.control.getTraffic({ scenarioTime: duration(shown) }, { signal });
    if (this.clock.following) return;
    this.past.set({
      span: answer.to && [seconds(answer.from), seconds(answer.to)],
      bits: float32s(answer.bitsPerSecond),
      drops: float32s(answer.dropsPerSecond),
      failures: answer.failures,
    });
  }

  async #keep(): Promise<void> {
    let pause = 300;
    for (;;) {
      if (this.#ends.signal.aborted) return;
      try {
        await this.show(this.shown.value?.plan ?? "");
        this.connection.set({ state: "connected" });
        pause = 300;
        if (!this.running) return; // a plan does not change by itself
        await this.#follow();
      } catch (error) {
        if (this.#ends.signal.aborted) return;
        const problem = ConnectError.from(error);
        if (problem.code === Code.FailedPrecondition) {
          this.connection.set({ state: "connected" });
          this.unplanned();
          return;
        }
        const refused = problem.code === Code.Unauthenticated || problem.code === Code.PermissionDenied;
        this.connection.set({ state: refused ? "refused" : "lost", problem: problem.rawMessage });
      }
      await sleep(pause, this.#ends.signal);
      pause = Math.min(pause * 1.7, 5000);
    }
  }

  /** Follows the run until its streams end. */
  async #follow(): Promise<void> {
    const end = new AbortController();
    const stop = () => end.abort();
    this.#ends.signal.addEventListener("abort", stop);
    const status = async () => {
      for await (const { status } of this.source.control.watchStatus({}, { signal: end.signal })) {
        if (!status) continue;
        this.clock.hear(seconds(status.scenarioTime), status.speed, status.paused);
        this.connection.set({ state: "connected" });
        this.status.set(status);
      }
    };
    const events = async () => {
      this.#lastEvent = -1n; // events are numbered from 0
      let fresh: Event[] = [];
      let first = true;
      const publish = () => {
        const known = first ? [] : this.events.value;
        first = false;
        this.events.set([...fresh.reverse(), ...known].slice(0, remembered));
        fresh = [];
        timer = undefined;
      };
      let timer: ReturnType<typeof setTimeout> | undefined;
      try {
        for await (const { event } of this.source.control.watchEvents({ history: true }, { signal: end.signal })) {
          if (!event || event.sequence <= this.#lastEvent) continue;
          this.#lastEvent = event.sequence;
          fresh.push(event);
          if (fresh.length > 4 * remembered) fresh.splice(0, fresh.length - remembered);
          timer ??= setTimeout(publish, 120); // many at once are one change
        }
      } finally {
        clearTimeout(timer);
      }
    };
    try {
      await Promise.race([status(), events()]);
      this.connection.set({ state: "lost", problem: "The server has ended the connection." });
    } finally {
      end.abort();
      this.#ends.signal.removeEventListener("abort", stop);
    }
  }

  async #again(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      await work().catch(() => {});
      await sleep(1000, signal);
    }
  }
}

function known(inventory: Inventory, selection: NonNullable<Selection>): boolean {
  switch (selection.kind) {
    case "node":
      return inventory.node(selection.name) !== undefined;
    case "pair":
      return inventory.node(selection.a) !== undefined && inventory.node(selection.b) !== undefined;
    case "link":
      return inventory.port(selection.a) !== undefined && inventory.port(selection.b) !== undefined;
  }
}

export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end); // a signal may see many sleeps
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/** Asks at once and then every so many ms, one request at a time, until stopped. */
export function poll(work: (signal: AbortSignal) => Promise<void>, ms: number): () => void {
  const end = new AbortController();
  void (async () => {
    while (!end.signal.aborted) {
      if (!globalThis.document?.hidden) await work(end.signal).catch(() => {});
      await sleep(ms, end.signal);
    }
  })();
  return () => end.abort();
}
