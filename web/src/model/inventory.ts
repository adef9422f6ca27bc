// The numbers of nodes and ports, and what can be said of them.

import type { GetInventoryResponse } from "../gen/orrery/v1alpha1/sky_pb";
import { seconds } from "./units";

export class Inventory {
  readonly names: string[];
  /** Node of each port. */
  readonly portNode: Uint32Array;
  readonly satellites: number;
  readonly #byName = new Map<string, number>();
  readonly #ports = new Map<string, number>();

  constructor(readonly message: GetInventoryResponse) {
    this.names = message.nodes.map((node) => node.name);
    this.portNode = Uint32Array.from(message.ports, (port) => port.node);
    this.names.forEach((name, i) => this.#byName.set(name, i));
    message.ports.forEach((port, i) => this.#ports.set(`${this.names[port.node]}:${port.name}`, i));
    this.satellites = message.nodes.findIndex((node) => message.groups[node.group]?.kind === "station");
    if (this.satellites < 0) this.satellites = message.nodes.length;
  }

  get count(): number {
    return this.names.length;
  }

  node(name: string): number | undefined {
    return this.#byName.get(name);
  }

  /** A port by NODE:PORT. */
  port(name: string): number | undefined {
    return this.#ports.get(name);
  }

  portName(port: number): string {
    const p = this.message.ports[port]!;
    return `${this.names[p.node]}:${p.name}`;
  }

  isStation(node: number): boolean {
    return node >= this.satellites;
  }

  /** Index of the node's group. */
  group(node: number): number {
    return this.message.nodes[node]!.group;
  }

  /** One revolution in seconds; 0 of what is in no orbit. */
  period(node: number): number {
    return seconds(this.message.nodes[node]?.period);
  }

  get shortestPeriod(): number {
    let shortest = Infinity;
    for (const node of this.message.nodes) {
      const period = seconds(node.period);
      if (period > 0 && period < shortest) shortest = period;
    }
    return Number.isFinite(shortest) ? shortest : 5400;
  }

  /** Length of the run in scenario seconds; undefined if it has no end. */
  get duration(): number | undefined {
    return this.message.duration ? seconds(this.message.duration) : undefined;
  }

  stations(): string[] {
    return this.names.slice(this.satellites);
  }
}
