// The Earth, round and flat: land, water, day and night, coastlines, borders, and
// a layer of coverage over them.

import {
  BufferAttribute,
  BufferGeometry,
  CanvasTexture,
  DataTexture,
  DynamicDrawUsage,
  Float32BufferAttribute,
  Group,
  LineBasicMaterial,
  LineSegments,
  LinearFilter,
  Mesh,
  RedFormat,
  RGBAFormat,
  ShaderMaterial,
  type Texture,
  UnsignedByteType,
  Vector3,
} from "three";
import { equatorialRadius, polarRadius } from "../model/units";
import { borders, coasts, graticule, landMask, segments } from "./atlas";
import type { Palette } from "./palette";
import { flatWidth } from "./placement";
import { define, upload } from "./upload";

const flattened = polarRadius / equatorialRadius;

/** From degrees into the scene, on an Earth that is a little larger by rise. */
export function onEarth(lon: number, lat: number, rise = 0): [number, number, number] {
  const [l, b] = [(lon * Math.PI) / 180, (lat * Math.PI) / 180];
  const r = 1 + rise;
  return [r * Math.cos(b) * Math.cos(l), r * Math.cos(b) * Math.sin(l), r * flattened * Math.sin(b)];
}

// What is linear, or nearly so, over a triangle is computed at its corners: where
// software draws, a globe has half a million pixels and some thousand corners.
const vertex = /* glsl */ `
  varying vec2 at;        // place in the textures
  varying float height;   // of the Sun: sine of its elevation
  varying float facing;   // 1 towards the eye, 0 at the rim
  uniform vec3 sun;
  void main() {
    at = uv;
    vec2 place = (uv - 0.5) * vec2(6.2831853, 3.1415927);   // longitude and latitude
    height = dot(vec3(cos(place.y) * cos(place.x), cos(place.y) * sin(place.x), sin(place.y)), sun);
    facing = normalize(normalMatrix * normal).z;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }`;

const fragment = /* glsl */ `
  varying vec2 at;
  varying float height;
  varying float facing;
  uniform sampler2D mask;
  uniform vec3 ocean;
  uniform vec3 land;
  uniform vec3 night;
  uniform vec3 rim;
  #ifdef COVERED
    uniform sampler2D coverage;
    const float dark = 0.75;
  #else
    const float dark = 0.45;
  #endif
  void main() {
    vec3 ground = mix(ocean, land, texture2D(mask, at).r);
    #ifdef COVERED
      vec4 layer = texture2D(coverage, at);
      ground = mix(ground, layer.rgb, layer.a);
    #endif
    ground = mix(night, ground, mix(dark, 1.0, smoothstep(-0.12, 0.08, height)));
    #ifdef ROUND
      float edge = 1.0 - clamp(facing, 0.0, 1.0);
      ground = mix(ground, rim, edge * edge * edge * 0.55);
    #endif
    gl_FragColor = vec4(ground, 1.0);
  }`;

export class Earth {
  readonly globe = new Group();
  readonly map = new Group();
  #material: ShaderMaterial;
  #flatMaterial: ShaderMaterial;
  #coast = new LineBasicMaterial();
  #border = new LineBasicMaterial({ transparent: true, opacity: 0.7 });
  #grid = new LineBasicMaterial({ transparent: true, opacity: 0.5 });
  #faces: NearSide[] = [];
  #eye = new Vector3(NaN);

  constructor() {
    const mask = new CanvasTexture(landMask(2048));
    mask.format = RedFormat;
    mask.minFilter = LinearFilter;
    mask.generateMipmaps = false;
    const uniforms = {
      mask: { value: mask },
      coverage: { value: null as Texture | null },
      sun: { value: new Vector3(1, 0, 0) },
      ocean: { value: null },
      land: { value: null },
      night: { value: null },
      rim: { value: null },
    };
    const shaders = { vertexShader: vertex, fragmentShader: fragment, uniforms };
    this.#material = new ShaderMaterial({ ...shaders, defines: { ROUND: "" } });
    this.#flatMaterial = new ShaderMaterial(shaders); // with the same uniforms

    const round = sphere(96, 48);
    this.#faces.push(new NearSide(round, 3));
    this.globe.add(new Mesh(round, this.#material));
    this.map.add(new Mesh(plane(96, 48), this.#flatMaterial));
    const lines: [number[], LineBasicMaterial, number][] = [
      [graticule(30), this.#grid, 0.0005],
      [segments(borders()), this.#border, 0.001],
      [segments(coasts()), this.#coast, 0.0015],
    ];
    for (const [pairs, material, rise] of lines) {
      const lines = roundLines(pairs, rise);
      this.#faces.push(new NearSide(lines, 2));
      this.globe.add(new LineSegments(lines, material));
      const flat = new LineSegments(flatLines(pairs), material);
      flat.position.z = rise;
      this.map.add(flat);
    }
  }

  set palette(p: Palette) {
    const u = this.#material.uniforms;
    u.ocean!.value = p.ocean;
    u.land!.value = p.land;
    u.night!.value = p.night;
    u.rim!.value = p.coast;
    this.#coast.color = p.coast;
    this.#border.color = p.border;
    this.#grid.color = p.grid;
  }

  /** Leaves out of the globe what is beyond the horizon of an eye. */
  seenFrom(eye: Vector3): void {
    if (this.#eye.equals(eye)) return;
    this.#eye.copy(eye);
    for (const face of this.#faces) face.seenFrom(eye);
  }

  /** Direction to the Sun, ECEF. */
  set sun(direction: [number, number, number]) {
    this.#material.uniforms.sun!.value.set(...direction);
  }

  /** Lays colours (RGBA, from 90° S and 180° W) over the ground; undefined takes them off. */
  set coverage(layer: { columns: number; rows: number; rgba: Uint8Array<ArrayBuffer> } | undefined) {
    const { coverage } = this.#material.uniforms;
    (coverage!.value as Texture | null)?.dispose();
    let texture: DataTexture | null = null;
    if (layer) {
      texture = new DataTexture(layer.rgba, layer.columns, layer.rows, RGBAFormat, UnsignedByteType);
      texture.magFilter = LinearFilter;
      texture.needsUpdate = true;
    }
    coverage!.value = texture;
    for (const material of [this.#material, this.#flatMaterial]) define(material, "COVERED", texture !== null);
  }
}

/** Of a surface that is about a unit sphere, the part that an eye can see. */
class NearSide {
  #all: ArrayLike<number>;
  #index: BufferAttribute;

  /** Pieces are triangles (3 corners) or lines (2). */
  constructor(
    private readonly geometry: BufferGeometry,
    private readonly corners: 2 | 3,
  ) {
    const n = geometry.getAttribute("position").count;
    this.#all = geometry.index ? geometry.index.array.slice() : Uint32Array.from({ length: n }, (_, i) => i);
    this.#index = new BufferAttribute(Uint32Array.from(this.#all), 1).setUsage(DynamicDrawUsage);
    geometry.setIndex(this.#index);
  }

  seenFrom(eye: Vector3): void {
    const at = this.geometry.getAttribute("position").array;
    const out = this.#index.array as Uint32Array;
    const seen = (vertex: number) =>
      at[3 * vertex]! * eye.x + at[3 * vertex + 1]! * eye.y + at[3 * vertex + 2]! * eye.z > horizon;
    let n = 0;
    for (let i = 0; i < this.#all.length; i += this.corners) {
      let any = false;
      for (let k = 0; k < this.corners; k++) any ||= seen(this.#all[i + k]!);
      for (let k = 0; any && k < this.corners; k++) out[n++] = this.#all[i + k]!;
    }
    this.geometry.setDrawRange(0, n);
    upload(this.#index, n);
  }
}

/** A point of a unit sphere is seen where its product with the eye is above 1; the poles are a little lower. */
const horizon = 0.97;

function sphere(columns: number, rows: number): BufferGeometry {
  return grid(
    columns,
    rows,
    (u, v) => onEarth(u * 360 - 180, v * 180 - 90),
    ([x, y, z]) => [x, y, z / flattened],
  );
}

type Point = [number, number, number];

/** A surface over the unit square, which is also its place in the textures. */
function grid(columns: number, rows: number, place: (u: number, v: number) => Point, upright: (at: Point) => Point): BufferGeometry {
  const position: number[] = [];
  const normal: number[] = [];
  const uv: number[] = [];
  const index: number[] = [];
  for (let j = 0; j <= rows; j++)
    for (let i = 0; i <= columns; i++) {
      const at = place(i / columns, j / rows);
      position.push(...at);
      normal.push(...upright(at));
      uv.push(i / columns, j / rows);
    }
  const wide = columns + 1;
  for (let j = 0; j < rows; j++)
    for (let i = 0; i < columns; i++) {
      const a = j * wide + i;
      index.push(a, a + 1, a + wide, a + 1, a + wide + 1, a + wide);
    }
  return geometry(position, normal, uv, index);
}

/** Flat, and yet with corners: day and night are computed there. */
function plane(columns: number, rows: number): BufferGeometry {
  return grid(columns, rows, (u, v) => [(2 * u - 1) * flatWidth, 2 * v - 1, 0], () => [0, 0, 1]);
}

function geometry(position: number[], normal: number[], uv: number[], index: number[]): BufferGeometry {
  const made = new BufferGeometry();
  made.setAttribute("position", new Float32BufferAttribute(position, 3));
  made.setAttribute("normal", new Float32BufferAttribute(normal, 3));
  made.setAttribute("uv", new Float32BufferAttribute(uv, 2));
  made.setIndex(index);
  return made;
}

function roundLines(pairs: number[], rise: number): BufferGeometry {
  const at: number[] = [];
  for (let i = 0; i < pairs.length; i += 2) at.push(...onEarth(pairs[i]!, pairs[i + 1]!, rise));
  return new BufferGeometry().setAttribute("position", new Float32BufferAttribute(at, 3));
}

function flatLines(pairs: number[]): BufferGeometry {
  const at: number[] = [];
  for (let i = 0; i < pairs.length; i += 4) {
    if (Math.abs(pairs[i]! - pairs[i + 2]!) > 180) continue;
    for (const k of [i, i + 2]) at.push((pairs[k]! / 180) * flatWidth, pairs[k + 1]! / 90, 0);
  }
  return new BufferGeometry().setAttribute("position", new Float32BufferAttribute(at, 3));
}
