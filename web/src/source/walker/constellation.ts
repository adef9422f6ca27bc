// A Walker constellation on circular orbits and some stations, computed in the
// browser: as plain as can be, and the same at every call.

import { equatorialRadius, polarRadius } from "../../model/units";

/** km³/s², WGS-84. */
const mu = 398600.4418;
const earthRate = 7.292115e-5;
const rad = Math.PI / 180;

export interface Shape {
  planes: number;
  perPlane: number;
  /** Degrees, km. */
  inclination: number;
  height: number;
}

export const places: [string, number, number][] = [
  ["tempe", 33.43, -111.94],
  ["fucino", 42.0, 13.6],
  ["svalbard", 78.23, 15.4],
  ["hawaii", 21.3, -157.86],
  ["izhevsk", 56.85, 53.2],
  ["punta-arenas", -53.16, -70.91],
  ["nairobi", -1.29, 36.82],
  ["perth", -31.95, 115.86],
  ["tokyo", 35.68, 139.69],
  ["mumbai", 19.08, 72.88],
];

export const minElevation = 10;
/** Stations choose anew every so many seconds. */
export const slot = 60;
/** Ports of a satellite, then those of a station. */
export const satellitePorts = ["fore", "aft", "left", "right", "gnd0"];
export const stationPorts = ["ant1"];

/** A contact between two ports, by number. */
export interface Contact {
  a: number;
  b: number;
  start: number;
  end: number;
  kind: number;
}

export class Constellation {
  readonly satellites: number;
  readonly period: number;
  #serving = new Map<number, Int32Array>();
  #scratch: Float32Array;

  constructor(readonly shape: Shape) {
    this.satellites = shape.planes * shape.perPlane;
    this.period = 2 * Math.PI * Math.sqrt((equatorialRadius + shape.height) ** 3 / mu);
    this.#scratch = new Float32Array(this.count * 3);
  }

  get count(): number {
    return this.satellites + places.length;
  }

  /** A port's number. */
  port(node: number, name: string): number {
    return node < this.satellites
      ? node * satellitePorts.length + satellitePorts.indexOf(name)
      : this.satellites * satellitePorts.length + (node - this.satellites);
  }

  /** Writes all positions at t seconds, in km, ECEF. */
  positions(t: number, out: Float32Array): void {
    const { planes, perPlane, inclination, height } = this.shape;
    const a = equatorialRadius + height;
    const [ci, si] = [Math.cos(inclination * rad), Math.sin(inclination * rad)];
    let k = 0;
    for (let p = 0; p < planes; p++) {
      const node = (2 * Math.PI * p) / planes - earthRate * t;
      const [cn, sn] = [Math.cos(node), Math.sin(node)];
      for (let s = 0; s < perPlane; s++) {
        const u = 2 * Math.PI * (s / perPlane + p / this.satellites + t / this.period);
        const [x, y] = [a * Math.cos(u), a * Math.sin(u)];
        out[k++] = cn * x - sn * ci * y;
        out[k++] = sn * x + cn * ci * y;
        out[k++] = si * y;
      }
    }
    for (const [, lat, lon] of places) {
      const e2 = 1 - (polarRadius / equatorialRadius) ** 2;
      const n = equatorialRadius / Math.sqrt(1 - e2 * Math.sin(lat * rad) ** 2);
      out[k++] = n * Math.cos(lat * rad) * Math.cos(lon * rad);
      out[k++] = n * Math.cos(lat * rad) * Math.sin(lon * rad);
      out[k++] = n * (1 - e2) * Math.sin(lat * rad);
    }
  }

  /** Satellite that serves each station in a slot, the highest that is free; -1 for none. */
  serving(index: number): Int32Array {
    let found = this.#serving.get(index);
    if (found) return found;
    found = new Int32Array(places.length).fill(-1);
    const at = this.#scratch;
    this.positions((index + 0.5) * slot, at);
    const taken = new Set<number>();
    for (let g = 0; g < places.length; g++) {
      const o = 3 * (this.satellites + g);
      const [x, y, z] = [at[o]!, at[o + 1]!, at[o + 2]!];
      const r = Math.hypot(x, y, z);
      let best = Math.sin(minElevation * rad);
      for (let i = 0; i < this.satellites; i++) {
        const [dx, dy, dz] = [at[3 * i]! - x, at[3 * i + 1]! - y, at[3 * i + 2]! - z];
        const up = (dx * x + dy * y + dz * z) / r;
        if (up <= 0 || up / Math.hypot(dx, dy, dz) <= best || taken.has(i)) continue;
        best = up / Math.hypot(dx, dy, dz);
        found[g] = i;
      }
      if (found[g]! >= 0) taken.add(found[g]!);
    }
    if (this.#serving.size > 3000) this.#serving.clear();
    this.#serving.set(index, found);
    return found;
  }

  /** Contacts with a part in an interval, in order of their starts; of some nodes only, if given. */
  contacts(from: number, to: number, nodes: ReadonlySet<number> = new Set()): Contact[] {
    const wanted = (a: number, b: number) => nodes.size === 0 || nodes.has(a) || nodes.has(b);
    const out: Contact[] = [];
    const { planes, perPlane } = this.shape;
    for (let p = 0; p < planes; p++)
      for (let s = 0; s < perPlane; s++) {
        const me = p * perPlane + s;
        const ahead = p * perPlane + ((s + 1) % perPlane);
        const beside = ((p + 1) % planes) * perPlane + s;
        const forever = { start: 0, end: Infinity };
        if (perPlane > 2 && wanted(me, ahead))
          out.push({ a: this.port(me, "fore"), b: this.port(ahead, "aft"), kind: 0, ...forever });
        if (planes > 2 && wanted(me, beside))
          out.push({ a: this.port(me, "right"), b: this.port(beside, "left"), kind: 1, ...forever });
      }
    const [first, last] = [Math.floor(from / slot), Math.ceil(to / slot)];
    const ground: Contact[] = [];
    for (let g = 0; g < places.length; g++) {
      const node = this.satellites + g;
      for (let i = first; i < last; ) {
        const satellite = this.serving(i)[g]!;
        let [start, end] = [i, i + 1];
        while (start > 0 && i - start < 15 && this.serving(start - 1)[g] === satellite) start--;
        while (end - i < 15 && this.serving(end)[g] === satellite) end++;
        i = end;
        if (satellite >= 0 && wanted(node, satellite))
          ground.push({
            a: this.port(node, "ant1"),
            b: this.port(satellite, "gnd0"),
            start: start * slot,
            end: end * slot,
            kind: 4,
          });
      }
    }
    ground.sort((x, y) => x.start - y.start);
    return out.concat(ground);
  }
}
