// The double of a server: the same services, in memory, over a constellation that
// is computed. A page on it shows what a page on a server shows, and needs none.

import { Code, ConnectError, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import {
  ControlService,
  Failure_Kind,
  type Event,
  type Failure,
  type GetNodeResponse,
  type Link,
  type Status,
  Phase,
  Verdict_Level,
  EventSchema,
  PairSchema,
  StatusSchema,
  FailureSchema,
} from "../../gen/orrery/v1alpha1/control_pb";
import { PreviewService } from "../../gen/orrery/v1alpha1/preview_pb";
import { InventoryNode_Motion, SkyService } from "../../gen/orrery/v1alpha1/sky_pb";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { duration, geodetic, lightSpeed, packed, seconds } from "../../model/units";
import { clients, type Source } from "../source";
import { Constellation, type Contact, minElevation, places, satellitePorts, stationPorts, type Shape } from "./constellation";
import { echoTerminal } from "./terminal";
import { coverage, gaps } from "./coverage";
import { shortest } from "./paths";
import { preview } from "./preview";


const epoch = Date.UTC(2026, 0, 1);

export interface WalkerOptions {
  shape?: Shape;
  /** No run: only the plan. */
  planOnly?: boolean;
  readOnly?: boolean;
}

export function walker(options: WalkerOptions = {}): Source {
  const run = new Run(options);
  const transport = createRouterTransport(({ service }) => {
    service(SkyService, run.sky());
    service(ControlService, run.control());
    service(PreviewService, preview(run.shape, (name, shape) => run.add(name, shape)));
  });
  return {
    ...clients(transport),
    openTerminal: echoTerminal,
    async capture(node, port, signal) {
      let count = 0;
      return new ReadableStream<Uint8Array>({
        async pull(controller) {
          if (signal.aborted) return controller.close();
          controller.enqueue(new TextEncoder().encode(`${node}:${port} frame ${count++}\n`));
          await sleep(100, signal);
        },
      });
    },
  };
}

class Run {
  #sky: Constellation;
  #plans = new Map<string, Constellation>();
  #at = 600;
  #since = performance.now();
  #speed = 1;
  #paused = false;
  #failures: Failure[] = [];
  #events: Event[] = [];
  #sequence = 0n;
  #wake = new Set<() => void>();

  constructor(private readonly options: WalkerOptions) {
    this.#sky = new Constellation(options.shape ?? { planes: 6, perPlane: 11, inclination: 86.4, height: 780 });
    this.#record("note", "", "", "The run has begun.");
  }

  get shape(): Shape {
    return this.#sky.shape;
  }

  /** Knows another plan by its name. */
  add(name: string, shape: Shape): void {
    this.#plans.set(name, new Constellation(shape));
  }

  get #now(): number {
    return this.#at + (this.#paused ? 0 : ((performance.now() - this.#since) / 1e3) * this.#speed);
  }

  #plan(name: string): Constellation {
    const plan = name ? this.#plans.get(name) : this.#sky;
    if (!plan) throw new ConnectError(`There is no plan ${name}; compile its scenario again.`, Code.NotFound);
    return plan;
  }

  #name(sky: Constellation, node: number): string {
    if (node >= sky.satellites) return places[node - sky.satellites]![0];
    const [p, s] = [Math.floor(node / sky.shape.perPlane) + 1, (node % sky.shape.perPlane) + 1];
    return `sat-p${String(p).padStart(2, "0")}s${String(s).padStart(2, "0")}`;
  }

  #node(name: string): number {
    for (let i = 0; i < this.#sky.count; i++) if (this.#name(this.#sky, i) === name) return i;
    throw new ConnectError(`There is no node ${name}.`, Code.NotFound);
  }

  #portName(port: number): string {
    const n = this.#sky.satellites * satellitePorts.length;
    if (port >= n) return `${this.#name(this.#sky, this.#sky.satellites + port - n)}:${stationPorts[0]}`;
    return `${this.#name(this.#sky, Math.floor(port / satellitePorts.length))}:${satellitePorts[port % satellitePorts.length]}`;
  }

  #record(kind: string, a: string, b: string, text: string): void {
    this.#events.push(
      create(EventSchema, {
        at: duration(this.#now),
        kind,
        a,
        b,
        text,
        sequence: this.#sequence++,
        hostTime: timestampFromMs(Date.now()),
      }),
    );
    for (const wake of this.#wake) wake();
  }

  #set(change: () => void, kind: string, text: string): void {
    this.#at = this.#now;
    this.#since = performance.now();
    change();
    this.#record(kind, "", "", text);
  }

  sky(): Partial<ServiceImpl<typeof SkyService>> {
    return {
      getInventory: (request) => {
        const sky = this.#plan(request.plan);
        const nodes = [];
        const ports = [];
        for (let i = 0; i < sky.count; i++) {
          const satellite = i < sky.satellites;
          nodes.push({
            name: this.#name(sky, i),
            group: satellite ? 0 : 1,
            plane: satellite ? Math.floor(i / sky.shape.perPlane) : -1,
            slot: satellite ? i % sky.shape.perPlane : 0,
            motion: satellite ? InventoryNode_Motion.ORBIT : InventoryNode_Motion.FIXED,
            firstPort: sky.port(i, satellite ? satellitePorts[0]! : stationPorts[0]!),
            ports: satellite ? satellitePorts.length : stationPorts.length,
            minElevation: satellite ? 0 : minElevation,
            ...(satellite ? { period: duration(sky.period) } : {}),
            routing: "isis/frr",
          });
          for (const name of satellite ? satellitePorts : stationPorts)
            ports.push({ node: i, name, role: satellite ? (name === "gnd0" ? "ground" : "isl") : "antenna" });
        }
        return {
          name: "walker",
          epoch: timestampFromMs(epoch),
          duration: duration(4 * 3600),
          speed: this.#speed,
          nodes,
          ports,
          groups: [
            { name: "walker", kind: "satellite", nodes: sky.satellites, planes: sky.shape.planes },
            { name: "stations", kind: "station", nodes: places.length },
          ],
          running: !this.options.planOnly && request.plan === "",
          readOnly: this.options.readOnly ?? false,
        };
      },
      getPositions: (request) => {
        const sky = this.#plan(request.plan);
        const [from, step, count] = [seconds(request.from), seconds(request.step) || 60, request.count || 2];
        const nodes = request.nodes.length ? request.nodes : Array.from({ length: sky.count }, (_, i) => i);
        const all = new Float32Array(sky.count * 3);
        const out = new Float32Array(nodes.length * 3 * count);
        for (let k = 0; k < count; k++) {
          sky.positions(from + k * step, all);
          nodes.forEach((node, j) => out.set(all.subarray(3 * node, 3 * node + 3), (k * nodes.length + j) * 3));
        }
        return { from: duration(from), step: duration(step), count, nodes: nodes.length, kilometres: packed(out) };
      },
      getContacts: (request) => {
        const [from, to] = [seconds(request.from), seconds(request.to)];
        const list = this.#plan(request.plan).contacts(from, to, new Set(request.nodes));
        const ports = new Uint32Array(list.length * 2);
        const spans = new Float64Array(list.length * 2);
        const flags = new Uint8Array(list.length);
        list.forEach((contact, i) => {
          ports.set([contact.a, contact.b], 2 * i);
          spans.set([contact.start, Math.min(contact.end, to)], 2 * i);
          flags[i] = contact.kind | (contact.end > to ? 128 : 0);
        });
        return {
          from: duration(from),
          to: duration(to),
          count: list.length,
          ports: packed(ports),
          spans: packed(spans),
          flags,
        };
      },
      getCoverage: (request) => coverage(this.#plan(request.plan), request),
      getGaps: (request) => ({ stations: gaps(this.#plan(request.plan), seconds(request.from), seconds(request.to)) }),
    };
  }

  #links(t: number): Contact[] {
    const down = this.#failures.filter((f) => f.kind === Failure_Kind.CUT || f.kind === Failure_Kind.KILL_NODE);
    return this.#sky.contacts(t, t + 1e-3).filter((link) => {
      const [a, b] = [this.#portName(link.a), this.#portName(link.b)];
      return !down.some((f) =>
        f.kind === Failure_Kind.KILL_NODE
          ? a.startsWith(`${f.a}:`) || b.startsWith(`${f.a}:`)
          : f.b
            ? (f.a === a && f.b === b) || (f.a === b && f.b === a)
            : f.a === a || f.a === b,
      );
    });
  }

  #delay(at: Float32Array, a: number, b: number): number {
    return Math.hypot(...[0, 1, 2].map((k) => at[3 * a + k]! - at[3 * b + k]!)) / lightSpeed;
  }

  #nodeOf(port: number): number {
    const n = this.#sky.satellites * satellitePorts.length;
    return port >= n ? this.#sky.satellites + port - n : Math.floor(port / satellitePorts.length);
  }

  #path(from: number, to: number) {
    const at = new Float32Array(this.#sky.count * 3);
    this.#sky.positions(this.#now, at);
    const links = this.#links(this.#now);
    const edges = links.map((l) => [this.#nodeOf(l.a), this.#nodeOf(l.b)] as [number, number]);
    const nodes = shortest(this.#sky.count, edges, (a, b) => this.#delay(at, a, b), from, to);
    if (!nodes) return { hops: [], complete: false, problem: "There is no way over the links of this moment." };
    let total = 0;
    const hops = nodes.map((node, i) => {
      const next = nodes[i + 1];
      if (next === undefined) return { node: this.#name(this.#sky, node) };
      const d = this.#delay(at, node, next);
      total += d;
      const link = links.find((l) => {
        const [p, q] = [this.#nodeOf(l.a), this.#nodeOf(l.b)];
        return (p === node && q === next) || (q === node && p === next);
      })!;
      const out = this.#portName(this.#nodeOf(link.a) === node ? link.a : link.b);
      return { node: this.#name(this.#sky, node), port: out.split(":")[1]!, delay: duration(d) };
    });
    return { hops, delay: duration(total), complete: true };
  }

  #pairs: { slot: number; list: MessageInitShape<typeof PairSchema>[] } = {
    slot: -1,
    list: [],
  };

  #status(withoutPairs: boolean): MessageInitShape<typeof StatusSchema> {
    const t = this.#now;
    const key = Math.floor(t / 30) * 1000 + this.#failures.length;
    if (!withoutPairs && this.#pairs.slot !== key) {
      const list = [];
      const n = Math.min(places.length, 6);
      for (let i = 0; i < n; i++)
        for (let j = i + 1; j < n; j++) {
          const small = this.#sky.satellites < 500;
          const path = small ? this.#path(this.#sky.satellites + i, this.#sky.satellites + j) : undefined;
          const rtt = path?.complete ? 2 * seconds(path.delay as never) : undefined;
          list.push({
            a: places[i]![0],
            b: places[j]![0],
            reachable: path ? path.complete : true,
            ...(rtt
              ? { measuredRtt: duration(rtt + 9e-5), geometricRtt: duration(rtt), oracleRtt: duration(rtt) }
              : {}),
            hops: path ? path.hops.length - 1 : 0,
            sent: BigInt(Math.floor(t)),
            lost: 1n,
            since: duration(t),
          });
        }
      this.#pairs = { slot: key, list };
    }
    const good = { level: Verdict_Level.FAITHFUL, since: timestampFromMs(Date.now() - 6e5), reasons: [], causes: [] };
    return {
      name: "walker",
      phase: Phase.RUNNING,
      epoch: timestampFromMs(epoch),
      scenarioTime: duration(t),
      duration: duration(4 * 3600),
      speed: this.#speed,
      paused: this.#paused,
      uptime: duration(t),
      satellites: this.#sky.satellites,
      stations: places.length,
      ports: this.#sky.satellites * satellitePorts.length + places.length,
      islLinks: this.#sky.satellites * 2,
      groundLinks: places.length,
      routing: ["isis/frr"],
      processes: this.#sky.count * 2,
      processesRunning: this.#sky.count * 2,
      adjacencies: this.#sky.satellites * 4,
      adjacenciesPossible: this.#sky.satellites * 4,
      hasAdjacencies: true,
      events: this.#sequence,
      totalEvents: this.#sequence,
      pairs: withoutPairs ? [] : this.#pairs.list,
      convergedAfter: duration(6.68),
      fidelity: {
        latenessP50: duration(4e-7),
        latenessP99: duration(3.4e-4),
        latenessMax: duration(2e-3),
        deliveries: BigInt(Math.floor(t * 1230)),
        realTime: true,
        workers: 1,
        verdict: good,
        worst: good,
        timeFaithful: duration(t),
      },
      framesPerSecond: 1230,
      planAhead: duration(600),
      failures: this.#failures,
    };
  }

  control(): Partial<ServiceImpl<typeof ControlService>> {
    const steered = () => {
      if (this.options.readOnly) throw new ConnectError("This token may only look.", Code.PermissionDenied);
    };
    const run = this;
    return {
      getStatus: () => ({ status: this.#status(false) as Status }),
      async *watchStatus(request, context) {
        while (!context.signal.aborted) {
          yield { status: run.#status(request.withoutPairs) as Status };
          await run.#sleepOrWake(Math.max(0.1, seconds(request.interval) || 1) * 1e3, context.signal);
        }
      },
      async *watchEvents(request, context) {
        let next = request.history ? 0 : run.#events.length;
        while (!context.signal.aborted) {
          while (next < run.#events.length) yield { event: run.#events[next++]! };
          await run.#sleepOrWake(1000, context.signal);
        }
      },
      async *watchTraffic(_request, context) {
        while (!context.signal.aborted) {
          yield { scenarioTime: duration(run.#now), ...run.#rates(run.#now) };
          await sleep(1000, context.signal);
        }
      },
      getTraffic: (request) => {
        const t = seconds(request.scenarioTime);
        const failures = this.#failures.filter((failure) => seconds(failure.since) <= t);
        const from = Math.floor(t / 5) * 5;
        if (from + 5 > this.#now) return { failures };
        return { from: duration(from), to: duration(from + 5), ...this.#rates(from), failures };
      },
      listEvents: (request) => {
        const [from, to] = [seconds(request.from), request.to ? seconds(request.to) : this.#now + 600];
        const nodes = request.node ? new Set([this.#node(request.node)]) : new Set<number>();
        const turns: Event[] = [];
        const limit = request.limit || 1000;
        if (this.#sky.satellites < 500 || nodes.size)
          for (const contact of this.#sky.contacts(from, to, nodes)) {
            const [a, b] = [this.#portName(contact.a), this.#portName(contact.b)];
            for (const [kind, at] of [
              ["link-up", contact.start],
              ["link-down", contact.end],
            ] as const)
              if (at > from && at < to)
                turns.push(create(EventSchema, { at: duration(at), kind, a, b, text: "ground", planned: at > this.#now }));
          }
        const recorded = this.#events.filter(
          (e) => (!request.node || e.a.startsWith(request.node)) && seconds(e.at) >= from && seconds(e.at) <= to,
        );
        const events = [...recorded, ...turns].sort((x, y) => seconds(x.at) - seconds(y.at));
        return { events: events.slice(0, limit), truncated: events.length > limit };
      },
      getNode: (request) => this.#getNode(request.name) as GetNodeResponse,
      getLog: (request) => ({ text: `12:00:01 ${request.process} has started\n12:00:02 ${request.process} is ready\n` }),
      getLink: (request) => {
        const t = this.#now;
        const links = this.#links(t);
        const found = links.find((l) => this.#portName(l.a) === request.port || this.#portName(l.b) === request.port);
        if (!found) return { up: false, scenarioTime: duration(t), failures: this.#about(request.port) };
        const [a, b] = [this.#nodeOf(found.a), this.#nodeOf(found.b)];
        const at = new Float32Array(this.#sky.count * 3);
        const [from, to] = [Math.max(0, found.start, t - 300), Math.min(found.end, t + 900)];
        const delays: number[] = [];
        const step = (to - from) / 16;
        for (let i = 0; i <= 16; i++) {
          this.#sky.positions(from + i * step, at);
          delays.push(this.#delay(at, a, b));
        }
        return {
          link: this.#link(found, delays[8]!) as Link,
          up: true,
          delay: delays
            .slice(0, -1)
            .map((c0, i) => ({ start: duration(from + i * step), c0, c1: (delays[i + 1]! - c0) / step })),
          rate: [{ start: duration(from), c0: 1e9 }],
          loss: [{ start: duration(from), c0: 0 }],
          knownFrom: duration(from),
          knownTo: duration(to),
          aCounters: { sentFrames: BigInt(Math.floor(t * 20)), sentBytes: BigInt(Math.floor(t * 1700)) },
          bCounters: { sentFrames: BigInt(Math.floor(t * 19)), sentBytes: BigInt(Math.floor(t * 1650)) },
          aBitsPerSecond: 13600,
          bBitsPerSecond: 13200,
          utilisation: 1.4e-5,
          failures: this.#about(request.port),
          scenarioTime: duration(t),
        };
      },
      getPath: (request) => {
        const path = this.#path(this.#node(request.from), this.#node(request.to));
        return { kernel: path, oracle: path, scenarioTime: duration(this.#now) };
      },
      getPair: (request) => {
        const path = this.#path(this.#node(request.a), this.#node(request.b));
        const t = this.#now;
        const n = 240;
        const rtt = path.complete ? 2e3 * seconds(path.delay as never) : NaN;
        const times = Float64Array.from({ length: n }, (_, i) => Math.max(0, t - n + i));
        const geometric = Float32Array.from({ length: n }, (_, i) => rtt * (1 + 0.04 * Math.sin((t - n + i) / 50)));
        const measured = geometric.map((ms, i) => (i % 97 === 50 ? NaN : ms + 0.1));
        return {
          kernel: path,
          kernelBack: path,
          oracle: path,
          scenarioTime: duration(t),
          times: packed(times),
          measuredMs: packed(measured),
          geometricMs: packed(geometric),
          oracleMs: packed(geometric),
          outages: [{ from: duration(Math.max(0, t - 120)), to: duration(Math.max(0, t - 112)), problem: "no route" }],
        };
      },
      async *ping(request, context) {
        for (let i = 1; i <= (request.count || 5) && !context.signal.aborted; i++) {
          const path = run.#path(run.#node(request.from), run.#node(request.to));
          const rtt = path.complete ? 2 * seconds(path.delay as never) : 0;
          yield { sequence: i, lost: !path.complete, measuredRtt: duration(rtt + 1e-4), geometricRtt: duration(rtt), hops: path.hops.length - 1 };
          await sleep(300, context.signal);
        }
      },
      measureThroughput: async () => {
        await sleep(1000);
        return { bitsPerSecond: 9.4e8, intervals: [{ from: duration(0), to: duration(1), bitsPerSecond: 9.4e8 }] };
      },
      pause: () => {
        steered();
        this.#set(() => (this.#paused = true), "paused", "");
        return {};
      },
      resume: () => {
        steered();
        this.#set(() => (this.#paused = false), "resumed", "");
        return {};
      },
      setSpeed: (request) => {
        steered();
        this.#set(() => (this.#speed = request.speed), "speed", `${request.speed} ×`);
        return {};
      },
      inject: (request) => {
        steered();
        const failure = create(FailureSchema, request.failure);
        const kind = Failure_Kind[failure.kind].toLowerCase().replace("_", "-");
        failure.id = `${kind}/${failure.a}${failure.b && ` ${failure.b}`}${failure.process && ` ${failure.process}`}`;
        failure.since = duration(this.#now);
        this.#failures = [...this.#failures.filter((f) => f.id !== failure.id), failure];
        this.#record("injected", failure.a, failure.b, failure.id);
        return { failure };
      },
      undo: (request) => {
        steered();
        const undone = this.#failures.filter((f) => request.all || request.ids.includes(f.id));
        this.#failures = this.#failures.filter((f) => !undone.includes(f));
        for (const failure of undone) this.#record("undone", failure.a, failure.b, failure.id);
        return { undone };
      },
      listFailures: () => ({ failures: this.#failures }),
    };
  }

  /** What ports carry at an instant: waves over all of them. */
  #rates(t: number): { bitsPerSecond: Uint8Array<ArrayBuffer>; dropsPerSecond: Uint8Array<ArrayBuffer> } {
    const n = this.#sky.satellites * satellitePorts.length + places.length;
    const bits = Float32Array.from({ length: n }, (_, i) => 10 ** (3 + 5 * (0.5 + 0.5 * Math.sin(i * 12.9898 + t / 40))));
    return { bitsPerSecond: packed(bits), dropsPerSecond: packed(new Float32Array(n)) };
  }

  #about(port: string): Failure[] {
    return this.#failures.filter((f) => f.a === port || f.b === port || f.a === port.split(":")[0]);
  }

  #link(contact: Contact, delay: number) {
    return {
      a: this.#portName(contact.a),
      b: this.#portName(contact.b),
      class: ["intra-plane", "inter-plane", "neighbour", "inter-shell", "ground"][contact.kind]!,
      start: duration(contact.start),
      ...(Number.isFinite(contact.end) ? { end: duration(contact.end) } : {}),
      delay: duration(delay),
      rate: 1e9,
    };
  }

  #getNode(name: string) {
    const node = this.#node(name);
    const t = this.#now;
    const at = new Float32Array(this.#sky.count * 3);
    this.#sky.positions(t, at);
    const place = [0, 1, 2].map((k) => at[3 * node + k]!) as [number, number, number];
    const links = this.#links(t).filter((l) => this.#nodeOf(l.a) === node || this.#nodeOf(l.b) === node);
    const names = node < this.#sky.satellites ? satellitePorts : stationPorts;
    const peer = (port: string) => {
      const link = links.find((l) => this.#portName(l.a) === port || this.#portName(l.b) === port);
      if (!link) return undefined;
      const other = this.#portName(link.a) === port ? link.b : link.a;
      return { name: this.#portName(other), delay: this.#delay(at, node, this.#nodeOf(other)) };
    };
    const dead = this.#failures.filter((f) => f.kind === Failure_Kind.KILL_PROCESS && f.a === name).map((f) => f.process);
    const whole = this.#failures.some((f) => f.kind === Failure_Kind.KILL_NODE && f.a === name);
    return {
      node: {
        index: node,
        name,
        kind: node < this.#sky.satellites ? "satellite" : "station",
        group: node < this.#sky.satellites ? "walker" : "stations",
        ...geodetic(place),
        loopback: `fd00:4f52::${(node + 1).toString(16)}:1`,
        routing: "isis/frr",
        ports: names.map((port, i) => {
          const other = peer(`${name}:${port}`);
          return {
            name: port,
            mac: `02:4f:00:00:${(node & 255).toString(16).padStart(2, "0")}:0${i}`,
            linkLocal: `fe80::${(node + 1).toString(16)}:${i}`,
            up: !!other,
            ...(other ? { peer: other.name, delay: duration(other.delay) } : {}),
            counters: { sentFrames: BigInt(Math.floor(t * 20)), receivedFrames: BigInt(Math.floor(t * 19)) },
          };
        }),
        processes: ["zebra", "isisd"].map((process, i) => ({
          node: name,
          name: process,
          state: whole || dead.includes(process) ? "killed" : "running",
          pid: whole || dead.includes(process) ? 0 : 1000 + node * 2 + i,
        })),
        adjacencies: links.length,
      },
      neighbours: links.map((l) => {
        const mine = this.#nodeOf(l.a) === node ? l.a : l.b;
        const other = mine === l.a ? l.b : l.a;
        return {
          port: this.#portName(mine).split(":")[1]!,
          name: this.#portName(other).split(":")[0]!,
          state: "Up",
          up: true,
        };
      }),
      routes: Array.from({ length: Math.min(12, this.#sky.count) }, (_, i) => ({
        prefix: `fd00:4f52::${(i + 1).toString(16)}:1/128`,
        via: "fe80::1",
        port: links[0] ? this.#portName(links[0].a).split(":")[1]! : "",
        metric: 20,
        protocol: "isis",
      })),
      links: links.map((l) => this.#link(l, this.#delay(at, this.#nodeOf(l.a), this.#nodeOf(l.b)))),
      failures: this.#failures.filter((f) => f.a.startsWith(name)),
      terminals: ["vtysh", "shell"],
      scenarioTime: duration(t),
    };
  }

  #sleepOrWake(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake.add(done);
      signal.addEventListener("abort", done);
    });
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
