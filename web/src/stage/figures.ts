// What is drawn for few nodes only: orbits, cones of sight, paths, rings around
// what is chosen.

import {
  BufferAttribute,
  BufferGeometry,
  DoubleSide,
  Group,
  LineBasicMaterial,
  LineSegments,
  Mesh,
  MeshBasicMaterial,
  type Color,
} from "three";
import { LineMaterial } from "three/addons/lines/LineMaterial.js";
import { LineSegments2 } from "three/addons/lines/LineSegments2.js";
import { LineSegmentsGeometry } from "three/addons/lines/LineSegmentsGeometry.js";
import { earthRate, equatorialRadius } from "../model/units";
import type { Samples } from "../model/motion";
import { flatWidth, type ViewName } from "./placement";

/**
 * The orbit of a node over one revolution, as it lies among the stars at the time
 * of its samples; on a map, its ground track.
 */
export class Orbit {
  readonly object: LineSegments;
  #samples: Samples | undefined;
  #view: ViewName | undefined;

  constructor(private readonly material: LineBasicMaterial) {
    this.object = new LineSegments(new BufferGeometry(), material);
    this.object.frustumCulled = false;
    this.object.renderOrder = 1;
  }

  set samples(samples: Samples | undefined) {
    this.#samples = samples;
    this.#view = undefined;
  }

  update(t: number, view: ViewName): void {
    const samples = this.#samples;
    this.object.visible = samples !== undefined && view !== "topology";
    if (!samples) return;
    // The frame turns below the stars: as time goes on, the orbit turns back.
    this.object.rotation.z = view === "globe" ? -earthRate * (t - samples.from) : 0;
    if (this.#view === view) return;
    this.#view = view;
    const at: number[] = [];
    let last: number[] | undefined;
    for (let i = 0; i < samples.count; i++) {
      const [x, y, z] = [0, 1, 2].map((k) => samples.kilometres[i * 3 + k]!) as [number, number, number];
      let point: number[];
      if (view === "globe") {
        const turned = earthRate * i * samples.step;
        const [c, s] = [Math.cos(turned), Math.sin(turned)];
        point = [c * x - s * y, s * x + c * y, z].map((v) => v / equatorialRadius);
      } else {
        point = [
          (Math.atan2(y, x) / Math.PI) * flatWidth,
          Math.atan2(z, Math.hypot(x, y)) / (Math.PI / 2),
          0.01,
        ];
      }
      if (last && !(view === "map" && Math.abs(last[0]! - point[0]!) > flatWidth)) at.push(...last, ...point);
      last = point;
    }
    this.object.geometry.dispose();
    this.object.geometry = new BufferGeometry().setAttribute("position", new BufferAttribute(Float32Array.from(at), 3));
  }

  set color(color: Color) {
    this.material.color = color;
  }
}

const spokes = 48;

/**
 * What a station sees above its least elevation, up to the height of its
 * satellites: a cone on the globe, its footprint on the map.
 */
export class Cone {
  readonly object = new Group();
  #fill = new MeshBasicMaterial({ transparent: true, opacity: 0.1, side: DoubleSide, depthWrite: false, forceSinglePass: true });
  #edge = new LineBasicMaterial({ transparent: true, opacity: 0.7 });
  #mesh = new Mesh(new BufferGeometry(), this.#fill);
  #rim = new LineSegments(new BufferGeometry(), this.#edge);

  constructor(private readonly strength: number) {
    this.object.add(this.#mesh, this.#rim);
    this.#mesh.frustumCulled = this.#rim.frustumCulled = false;
    this.#mesh.renderOrder = 1;
    this.#fill.opacity = 0.055 * strength;
    this.#edge.opacity = 0.75 * strength;
  }

  set color(color: Color) {
    this.#fill.color = color;
    this.#edge.color = color;
  }

  #station: [number, number, number] = [NaN, NaN, NaN];

  /** Whether it has its shape from about there: ships and aircraft take theirs along. */
  standsAt(station: [number, number, number]): boolean {
    return Math.hypot(...station.map((v, k) => v - this.#station[k]!)) < 1;
  }

  /** Station in ECEF km, least elevation in degrees, radius of the shell in km. */
  shape(station: [number, number, number], minElevation: number, radius: number, view: ViewName): void {
    this.#station = station;
    this.object.visible = view !== "topology" && this.strength > 0;
    const rim = footprint(station, minElevation, radius);
    const apex = view === "globe" ? station.map((v) => v / equatorialRadius) : [];
    const points = rim.map(([x, y, z]) =>
      view === "globe"
        ? [x / equatorialRadius, y / equatorialRadius, z / equatorialRadius]
        : [(Math.atan2(y, x) / Math.PI) * flatWidth, Math.atan2(z, Math.hypot(x, y)) / (Math.PI / 2), 0.008],
    );
    const faces: number[] = [];
    const edges: number[] = [];
    points.forEach((p, i) => {
      const q = points[(i + 1) % points.length]!;
      if (view === "globe") faces.push(...apex, ...p, ...q);
      if (view === "globe" || Math.abs(p[0]! - q[0]!) < flatWidth) edges.push(...p, ...q);
    });
    for (const [object, at] of [
      [this.#mesh, faces],
      [this.#rim, edges],
    ] as const) {
      object.geometry.dispose();
      object.geometry = new BufferGeometry().setAttribute("position", new BufferAttribute(Float32Array.from(at), 3));
    }
  }

  dispose(): void {
    this.#mesh.geometry.dispose();
    this.#rim.geometry.dispose();
    this.#fill.dispose();
    this.#edge.dispose();
  }
}

/** Points at a least elevation in a given distance from the Earth's centre; zenith along the radius. */
export function footprint(station: [number, number, number], minElevation: number, radius: number): [number, number, number][] {
  const r = Math.hypot(...station);
  const up = station.map((v) => v / r) as [number, number, number];
  const flat = Math.hypot(up[0], up[1]);
  const east: [number, number, number] = flat > 1e-9 ? [-up[1] / flat, up[0] / flat, 0] : [0, 1, 0];
  const north: [number, number, number] = [
    up[1] * east[2] - up[2] * east[1],
    up[2] * east[0] - up[0] * east[2],
    up[0] * east[1] - up[1] * east[0],
  ];
  const e = (minElevation * Math.PI) / 180;
  // From the law of cosines in the triangle centre, station, satellite.
  const range = Math.sqrt(Math.max(radius ** 2 - (r * Math.cos(e)) ** 2, 0)) - r * Math.sin(e);
  const points: [number, number, number][] = [];
  for (let i = 0; i < spokes; i++) {
    const azimuth = (i / spokes) * 2 * Math.PI;
    points.push(
      [0, 1, 2].map(
        (k) =>
          station[k]! +
          range *
            (Math.sin(e) * up[k]! + Math.cos(e) * (Math.cos(azimuth) * north[k]! + Math.sin(azimuth) * east[k]!)),
      ) as [number, number, number],
    );
  }
  return points;
}

/** A way over several nodes, as a line that can be seen. */
export class Way {
  readonly object: LineSegments2;
  #geometry = new LineSegmentsGeometry();
  #material: LineMaterial;
  nodes: number[] = [];

  constructor(width: number, dashed: boolean) {
    this.#material = new LineMaterial({ linewidth: width, transparent: true, dashed, dashSize: 0.03, gapSize: 0.022 });
    this.object = new LineSegments2(this.#geometry, this.#material);
    this.object.frustumCulled = false;
    this.object.renderOrder = 4;
    this.object.visible = false;
    this.dashed = dashed;
  }

  private readonly dashed: boolean;

  set color(color: Color) {
    this.#material.color = color;
  }

  resize(width: number, height: number): void {
    this.#material.resolution.set(width, height);
  }

  update(placed: Float32Array, view: ViewName): void {
    this.object.visible = this.nodes.length > 1;
    if (!this.object.visible) return;
    const at: number[] = [];
    for (let i = 1; i < this.nodes.length; i++) {
      const [a, b] = [3 * this.nodes[i - 1]!, 3 * this.nodes[i]!];
      const p = [placed[a]!, placed[a + 1]!, placed[a + 2]!];
      const q = [placed[b]!, placed[b + 1]!, placed[b + 2]!];
      const over = view === "map" ? Math.sign(p[0]! - q[0]!) * (Math.abs(p[0]! - q[0]!) > flatWidth ? 2 * flatWidth : 0) : 0;
      at.push(...p, q[0]! + over, q[1]!, q[2]!);
      if (over) at.push(p[0]! - over, p[1]!, p[2]!, ...q);
    }
    this.#geometry.dispose();
    this.#geometry = new LineSegmentsGeometry();
    this.#geometry.setPositions(at);
    this.object.geometry = this.#geometry;
    if (this.dashed) this.object.computeLineDistances();
  }
}
