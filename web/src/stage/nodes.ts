// All nodes as points of one buffer.

import { BufferAttribute, BufferGeometry, Color, DynamicDrawUsage, Points, ShaderMaterial } from "three";
import type { Inventory } from "../model/inventory";
import type { Palette } from "./palette";
import { upload } from "./upload";

const vertex = /* glsl */ `
  attribute vec4 tint;
  attribute float kind;   // 0 a satellite, 1 a station
  uniform float scale;
  flat varying vec4 colour;
  flat varying float shape;
  void main() {
    colour = tint;
    shape = kind;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
    gl_PointSize = (kind > 0.5 ? 9.0 : 4.6 + 3.0 * tint.a) * scale;
  }`;

// A satellite is a disc, a station a diamond.
const fragment = /* glsl */ `
  flat varying vec4 colour;
  flat varying float shape;
  void main() {
    vec2 p = abs(gl_PointCoord - 0.5) * 2.0;
    float r = shape > 0.5 ? p.x + p.y : length(p);
    if (r > 1.0) discard;
    gl_FragColor = vec4(colour.rgb, 1.0 - smoothstep(0.7, 1.0, r));
  }`;

export class Nodes {
  readonly points: Points;
  readonly position: BufferAttribute;
  #tint: BufferAttribute;
  #index: BufferAttribute;
  #material: ShaderMaterial;

  constructor(private readonly inventory: Inventory) {
    const n = inventory.count;
    const made = new BufferGeometry();
    this.position = new BufferAttribute(new Float32Array(n * 3), 3).setUsage(DynamicDrawUsage);
    this.#tint = new BufferAttribute(new Uint8Array(n * 4), 4, true);
    const kind = new Float32Array(n);
    for (let i = 0; i < n; i++) kind[i] = inventory.isStation(i) ? 1 : 0;
    made.setAttribute("position", this.position);
    made.setAttribute("tint", this.#tint);
    made.setAttribute("kind", new BufferAttribute(kind, 1));
    this.#index = new BufferAttribute(new Uint32Array(n), 1).setUsage(DynamicDrawUsage);
    made.setIndex(this.#index);
    this.#material = new ShaderMaterial({
      vertexShader: vertex,
      fragmentShader: fragment,
      uniforms: { scale: { value: 1 } },
      transparent: true,
      depthWrite: false,
    });
    this.points = new Points(made, this.#material);
    this.points.frustumCulled = false;
    this.points.renderOrder = 3;
  }

  set scale(value: number) {
    this.#material.uniforms.scale!.value = value;
  }

  /** Draws the nodes where they stand now, without those that are behind the Earth. */
  place(behind: Uint8Array): void {
    this.position.needsUpdate = true;
    const index = this.#index.array as Uint32Array;
    let n = 0;
    for (let i = 0; i < behind.length; i++) if (!behind[i]) index[n++] = i;
    this.points.geometry.setDrawRange(0, n);
    upload(this.#index, n);
  }

  /** Colours by shell; those that have failed stand out, the chosen ones are larger. */
  paint(palette: Palette, chosen: ReadonlySet<number>, failed: ReadonlySet<number>): void {
    const colour = new Color();
    for (let i = 0; i < this.inventory.count; i++) {
      const shell = palette.shells[this.inventory.group(i) % palette.shells.length]!;
      colour.copy(this.inventory.isStation(i) ? palette.station : shell);
      if (failed.has(i)) colour.copy(palette.failed);
      else if (chosen.has(i)) colour.copy(palette.accent);
      this.#tint.setXYZW(i, colour.r, colour.g, colour.b, chosen.has(i) || failed.has(i) ? 1 : 0);
    }
    this.#tint.needsUpdate = true;
  }

  dispose(): void {
    this.points.geometry.dispose();
    this.#material.dispose();
  }
}
