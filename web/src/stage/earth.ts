// The Earth, round and flat: land, water, day and night, coastlines, borders, and
// a layer of coverage over them.

import {
  BufferGeometry,
  CanvasTexture,
  DataTexture,
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

const flattened = polarRadius / equatorialRadius;

/** From degrees into the scene, on an Earth that is a little larger by rise. */
export function onEarth(lon: number, lat: number, rise = 0): [number, number, number] {
  const [l, b] = [(lon * Math.PI) / 180, (lat * Math.PI) / 180];
  const r = 1 + rise;
  return [r * Math.cos(b) * Math.cos(l), r * Math.cos(b) * Math.sin(l), r * flattened * Math.sin(b)];
}

const vertex = /* glsl */ `
  varying vec2 place;   // longitude and latitude in radians
  varying vec3 facing;
  uniform float flatness;
  void main() {
    place = (uv - 0.5) * vec2(6.2831853, 3.1415927);
    facing = normalize(normalMatrix * normal);
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }`;

const fragment = /* glsl */ `
  varying vec2 place;
  varying vec3 facing;
  uniform sampler2D mask;
  uniform sampler2D coverage;
  uniform float covered;
  uniform float flatness;
  uniform vec3 sun;
  uniform vec3 ocean;
  uniform vec3 land;
  uniform vec3 night;
  uniform vec3 rim;
  void main() {
    vec2 at = place / vec2(6.2831853, 3.1415927) + 0.5;
    vec3 ground = mix(ocean, land, texture2D(mask, at).r);
    vec4 layer = texture2D(coverage, at);
    ground = mix(ground, layer.rgb, layer.a * covered);
    vec3 up = vec3(cos(place.y) * cos(place.x), cos(place.y) * sin(place.x), sin(place.y));
    float day = smoothstep(-0.12, 0.08, dot(up, sun));
    ground = mix(mix(ground, night, covered > 0.5 ? 0.25 : 0.55), ground, day);
    float edge = pow(1.0 - clamp(facing.z, 0.0, 1.0), 3.0) * (1.0 - flatness);
    gl_FragColor = vec4(mix(ground, rim, edge * 0.55), 1.0);
  }`;

export class Earth {
  readonly globe = new Group();
  readonly map = new Group();
  #material: ShaderMaterial;
  #flatMaterial: ShaderMaterial;
  #coast = new LineBasicMaterial();
  #border = new LineBasicMaterial({ transparent: true, opacity: 0.7 });
  #grid = new LineBasicMaterial({ transparent: true, opacity: 0.5 });

  constructor() {
    const mask = new CanvasTexture(landMask(2048));
    mask.minFilter = LinearFilter;
    mask.generateMipmaps = false;
    const uniforms = {
      mask: { value: mask },
      coverage: { value: blank() },
      covered: { value: 0 },
      flatness: { value: 0 },
      sun: { value: new Vector3(1, 0, 0) },
      ocean: { value: null },
      land: { value: null },
      night: { value: null },
      rim: { value: null },
    };
    this.#material = new ShaderMaterial({ vertexShader: vertex, fragmentShader: fragment, uniforms });
    this.#flatMaterial = new ShaderMaterial({
      vertexShader: vertex,
      fragmentShader: fragment,
      uniforms: { ...uniforms, flatness: { value: 1 } }, // all others are shared
    });

    this.globe.add(new Mesh(sphere(128, 64), this.#material));
    this.map.add(new Mesh(plane(), this.#flatMaterial));
    const lines: [number[], LineBasicMaterial, number][] = [
      [graticule(30), this.#grid, 0.0005],
      [segments(borders()), this.#border, 0.001],
      [segments(coasts()), this.#coast, 0.0015],
    ];
    for (const [pairs, material, rise] of lines) {
      this.globe.add(new LineSegments(roundLines(pairs, rise), material));
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
    const flat = this.#flatMaterial.uniforms;
    for (const name of ["ocean", "land", "night", "rim"]) flat[name]!.value = u[name]!.value;
    this.#coast.color = p.coast;
    this.#border.color = p.border;
    this.#grid.color = p.grid;
  }

  /** Direction to the Sun, ECEF. */
  set sun(direction: [number, number, number]) {
    this.#material.uniforms.sun!.value.set(...direction);
  }

  /** Lays colours (RGBA, from 90° S and 180° W) over the ground; undefined takes them off. */
  set coverage(layer: { columns: number; rows: number; rgba: Uint8Array<ArrayBuffer> } | undefined) {
    (this.#material.uniforms.coverage!.value as Texture).dispose();
    let texture = blank();
    if (layer) {
      texture = new DataTexture(layer.rgba, layer.columns, layer.rows, RGBAFormat, UnsignedByteType);
      texture.magFilter = LinearFilter;
      texture.needsUpdate = true;
    }
    for (const material of [this.#material, this.#flatMaterial]) {
      material.uniforms.coverage!.value = texture;
      material.uniforms.covered!.value = layer ? 1 : 0;
    }
  }
}

function blank(): DataTexture {
  const texture = new DataTexture(new Uint8Array(1), 1, 1, RedFormat);
  texture.needsUpdate = true;
  return texture;
}

function sphere(columns: number, rows: number): BufferGeometry {
  const position: number[] = [];
  const normal: number[] = [];
  const uv: number[] = [];
  const index: number[] = [];
  for (let j = 0; j <= rows; j++)
    for (let i = 0; i <= columns; i++) {
      const at = onEarth((i / columns) * 360 - 180, (j / rows) * 180 - 90);
      position.push(...at);
      normal.push(at[0], at[1], at[2] / flattened);
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

function plane(): BufferGeometry {
  const [w, h] = [flatWidth, 1];
  return geometry(
    [-w, -h, 0, w, -h, 0, w, h, 0, -w, h, 0],
    [0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1],
    [0, 0, 1, 0, 1, 1, 0, 1],
    [0, 1, 2, 0, 2, 3],
  );
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
