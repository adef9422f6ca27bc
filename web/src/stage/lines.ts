// All links as line segments of one buffer.

import { BufferAttribute, BufferGeometry, Color, DynamicDrawUsage, LineSegments, ShaderMaterial } from "three";
import { LinkClass, type Links } from "../model/contacts";
import type { Inventory } from "../model/inventory";
import { lightSpeed } from "../model/units";
import { type Palette, ramp } from "./palette";
import { flatWidth } from "./placement";
import { define, upload } from "./upload";

export type LinkColours = "state" | "delay" | "load";

// Flat: a link has one colour, and software need not interpolate it.
const vertex = /* glsl */ `
  attribute vec4 tint;
  uniform float opacity;
  flat varying vec4 colour;
  #ifdef MAP
    varying float across;
  #endif
  void main() {
    colour = vec4(tint.rgb, tint.a * opacity);
    #ifdef MAP
      across = position.x;
    #endif
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }`;
const fragment = /* glsl */ `
  flat varying vec4 colour;
  #ifdef MAP
    varying float across;
    uniform float edge;   // what is beyond comes in on the other side
  #endif
  void main() {
    #ifdef MAP
      if (abs(across) > edge) discard;
    #endif
    gl_FragColor = colour;
  }`;

/** Ends of the scales: 30 ms, and from 1 kbit/s to 1 Gbit/s. */
export const fullDelay = 30;
export const loadDecades: [number, number] = [3, 9];

export interface LinkPaint {
  colours: LinkColours;
  palette: Palette;
  /** Positions in km, of which delays are made. */
  kilometres: Float32Array;
  /** Bits per second that each port sends. */
  bitsPerSecond: Float32Array;
  impaired: LinkSet;
  /** The sky would have these links, and the network has not. */
  cut: LinkSet;
}

/** Links by their ports: all of a port, or that of one port with another. */
export class LinkSet {
  #ports = new Set<number>();
  #pairs = new Set<string>();

  add(a: number, b?: number): void {
    if (b === undefined) this.#ports.add(a);
    else this.#pairs.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  has(a: number, b: number): boolean {
    return this.#ports.has(a) || this.#ports.has(b) || (this.#pairs.size > 0 && this.#pairs.has(`${a} ${b}`));
  }

  /** Equal for equal sets that were made in the same order. */
  get key(): string {
    return JSON.stringify([[...this.#ports], [...this.#pairs]]);
  }
}

export class Lines {
  readonly segments: LineSegments;
  #geometry = new BufferGeometry();
  #position = new BufferAttribute(new Float32Array(0), 3);
  #tint = new BufferAttribute(new Uint8Array(0), 4, true);
  /** Colour of each link, four bytes in one number. */
  #colours = new Uint32Array(0);
  #material = new ShaderMaterial({
    vertexShader: vertex,
    fragmentShader: fragment,
    uniforms: { edge: { value: flatWidth }, opacity: { value: 1 } },
    transparent: true,
    depthWrite: false,
  });

  constructor(private readonly inventory: Inventory) {
    this.segments = new LineSegments(this.#geometry, this.#material);
    this.segments.frustumCulled = false;
    this.segments.renderOrder = 2;
  }

  /** A line is one pixel wide: where pixels are large it must not be brighter for that. */
  set opacity(value: number) {
    this.#material.uniforms.opacity!.value = value;
  }

  /**
   * Draws links between nodes that stand at placed, without those that are behind
   * the Earth. On a map a link over the edge is drawn twice, once from either side.
   */
  place(links: Links, placed: Float32Array, behind: Uint8Array, map: boolean): void {
    define(this.#material, "MAP", map);
    this.#reserve(links.count * (map ? 2 : 1));
    const out = this.#position.array as Float32Array;
    const tint = new Uint32Array(this.#tint.array.buffer);
    const node = this.inventory.portNode;
    let n = 0; // vertices
    for (let i = 0; i < links.count; i++) {
      const p = node[links.ports[2 * i]!]!;
      const q = node[links.ports[2 * i + 1]!]!;
      // The Earth's shadow, seen from the eye, is convex: a line between two of its points is in it.
      if (behind[p] && behind[q]) continue;
      const [a, b] = [3 * p, 3 * q];
      const d = map ? placed[a]! - placed[b]! : 0;
      const over = d > flatWidth ? 2 * flatWidth : d < -flatWidth ? -2 * flatWidth : 0;
      for (let side = 0; side < (over ? 2 : 1); side++) {
        const k = 3 * n;
        out[k] = placed[a]! - (side ? over : 0);
        out[k + 1] = placed[a + 1]!;
        out[k + 2] = placed[a + 2]!;
        out[k + 3] = placed[b]! + (side ? 0 : over);
        out[k + 4] = placed[b + 1]!;
        out[k + 5] = placed[b + 2]!;
        tint[n] = tint[n + 1] = this.#colours[i]!;
        n += 2;
      }
    }
    this.#geometry.setDrawRange(0, n);
    upload(this.#position, 3 * n);
    upload(this.#tint, 4 * n);
  }

  /** Gives links their colours; place shows them. */
  paint(links: Links, paint: LinkPaint): void {
    if (this.#colours.length < links.count) this.#colours = new Uint32Array(Math.ceil(links.count * 1.2));
    const bytes = new Uint8Array(this.#colours.buffer);
    const colour = new Color();
    for (let i = 0; i < links.count; i++) {
      const alpha = this.#colour(links, i, paint, colour);
      bytes[4 * i] = colour.r * 255;
      bytes[4 * i + 1] = colour.g * 255;
      bytes[4 * i + 2] = colour.b * 255;
      bytes[4 * i + 3] = alpha * 255;
    }
  }

  #colour(links: Links, i: number, paint: LinkPaint, out: Color): number {
    const [a, b] = [links.ports[2 * i]!, links.ports[2 * i + 1]!];
    const { palette } = paint;
    const ground = links.kinds[i] === LinkClass.Ground;
    if (paint.cut.has(a, b)) {
      out.copy(palette.failed);
      return 0.9;
    }
    switch (paint.colours) {
      case "delay": {
        ramp(palette, (distance(paint.kilometres, this.inventory, a, b) / lightSpeed / fullDelay) * 1e3, out);
        return 0.75;
      }
      case "load": {
        const bits = Math.max(paint.bitsPerSecond[a] ?? 0, paint.bitsPerSecond[b] ?? 0);
        const [low, high] = loadDecades;
        const u = bits > 0 ? (Math.log10(bits) - low) / (high - low) : 0;
        ramp(palette, u, out);
        return bits > 0 ? 0.35 + 0.6 * Math.min(Math.max(u, 0), 1) : 0.15;
      }
      default:
        out.copy(paint.impaired.has(a, b) ? palette.failed : palette.links[links.kinds[i]!]!);
        return ground ? 0.95 : 0.5;
    }
  }

  #reserve(count: number): void {
    if (this.#position.count >= count * 2) return;
    const room = Math.ceil(count * 1.2) * 2;
    this.#geometry.dispose();
    this.#position = new BufferAttribute(new Float32Array(room * 3), 3).setUsage(DynamicDrawUsage);
    this.#tint = new BufferAttribute(new Uint8Array(room * 4), 4, true).setUsage(DynamicDrawUsage);
    this.#geometry.setAttribute("position", this.#position);
    this.#geometry.setAttribute("tint", this.#tint);
  }

  dispose(): void {
    this.#geometry.dispose();
    this.#material.dispose();
  }
}

/** Length of the line between two ports' nodes, in km. */
export function distance(kilometres: Float32Array, inventory: Inventory, a: number, b: number): number {
  const i = 3 * inventory.portNode[a]!;
  const j = 3 * inventory.portNode[b]!;
  return Math.hypot(
    kilometres[i]! - kilometres[j]!,
    kilometres[i + 1]! - kilometres[j + 1]!,
    kilometres[i + 2]! - kilometres[j + 2]!,
  );
}
