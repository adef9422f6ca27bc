// The stage: everything that is drawn of one instant. It asks nobody; what it
// shows is set from outside, and it draws when something has changed.

import { ColorManagement, LineBasicMaterial, LinearSRGBColorSpace, Scene, Vector3, WebGLRenderer } from "three";
import type { Links } from "../model/contacts";
import type { Inventory } from "../model/inventory";
import type { Samples } from "../model/motion";
import { sunDirection } from "../model/sun";
import { Looking, steer } from "./camera";
import { Earth } from "./earth";
import { Cone, Orbit, Way } from "./figures";
import { type Label, Labels } from "./labels";
import { type LinkColours, Lines, LinkSet } from "./lines";
import { Nodes } from "./nodes";
import { type Palette, readPalette } from "./palette";
import { contextOf, drawsInSoftware, Smoothing } from "./context";
import { asTopology, onGlobe, onMap, type ViewName } from "./placement";
import { Sharpness } from "./sharpness";

// Colours of the style sheet are taken as they are, and mixed as CSS mixes them.
ColorManagement.enabled = false;

/** What the stage asks for each frame. */
export interface Scenery {
  /** Scenario time that is shown. */
  time(): number;
  moving(): boolean;
  /** Scenario seconds per second, at which it moves. */
  speed(): number;
  /** Positions at t into kilometres; false while they are not there. */
  positions(t: number, kilometres: Float32Array): boolean;
  /** Links at t; undefined while they are not there. */
  links(t: number): Links | undefined;
}

export type Picked = { node: number } | { link: number } | undefined;

/** What the last frames took, in ms. */
export interface Timing {
  /** Script that brings the scene to an instant: positions, links, labels. */
  update: number[];
  /** From one frame to the next, while the scene moves. */
  frame: number[];
}

const labelled = 48;
/** Milliseconds between frames at most while time goes on, and from when on it goes on unseen. */
const slowest = 250;
const creeping = 200;
/** So many ms after the last motion the picture stands. */
const settled = 250;

export class Stage {
  readonly looking: Looking;
  /** Whether the machine's processors draw. */
  readonly software = drawsInSoftware();
  readonly timing: Timing = { update: [], frame: [] };
  /** Without it, every frame of the display is drawn: for measuring. */
  paced = true;
  palette: Palette;
  onPick: (picked: Picked, add: boolean) => void = () => {};

  #renderer: WebGLRenderer;
  #scene = new Scene();
  #earth = new Earth();
  #labels: Labels;
  #orbit = new Orbit(new LineBasicMaterial({ transparent: true, opacity: 0.9 }));
  #kernelWay = new Way(3.5, false);
  #oracleWay = new Way(2, true);

  #inventory: Inventory | undefined;
  #scenery: Scenery | undefined;
  #epoch = 0;
  #kilometres = new Float32Array(0);
  #placed: Float32Array = new Float32Array(0);
  #topology: Float32Array = new Float32Array(0);
  #nodes: Nodes | undefined;
  #lines: Lines | undefined;
  #links: Links | undefined;
  #linksVersion = -1;
  #cones = new Map<number, Cone>();

  #chosen: ReadonlySet<number> = new Set();
  #failed: ReadonlySet<number> = new Set();
  #impaired = new LinkSet();
  #cut = new LinkSet();
  #colours: LinkColours = "state";
  #bits: Float32Array = new Float32Array(0);
  #hovered = -1;
  #width = 0;
  #height = 0;
  #dirty = true;
  #paint = true;
  #relabel = true;
  #lastFrame = 0;
  /** When the stage was last asked whether there is something to draw, if it then drew. */
  #drewAt = 0;
  #movedAt = -Infinity;
  #pixels = 0;
  #behind = new Uint8Array(0);
  #sharpness = new Sharpness();
  /** Where software draws: multisampling for pictures that stand. */
  #smoothing: Smoothing | undefined;
  #smooth = false;
  #lastDelays = 0;
  #loaded = false;
  #positioned = false;

  constructor(
    readonly canvas: HTMLCanvasElement,
    labels: HTMLElement,
  ) {
    const context = contextOf(canvas, !this.software);
    this.#renderer = new WebGLRenderer(context ? { canvas, context } : { canvas });
    if (this.software) this.#smoothing = new Smoothing(this.#renderer);
    this.#renderer.outputColorSpace = LinearSRGBColorSpace;
    this.#labels = new Labels(labels);
    this.#labels.font = getComputedStyle(document.body).fontFamily;
    this.looking = new Looking(() => {
      this.#movedAt = performance.now();
      this.invalidate();
    });
    this.palette = readPalette();
    this.#scene.add(
      this.#earth.globe,
      this.#earth.map,
      this.#orbit.object,
      this.#kernelWay.object,
      this.#oracleWay.object,
    );
    steer(
      canvas,
      this.looking,
      (x, y, add) => this.onPick(this.pick(x, y, true), add),
      (x, y) => this.#hover(x, y),
    );
    canvas.addEventListener("pointerleave", () => this.#hover(-1e4, -1e4));
    this.view = "globe";
    this.retint();
    requestAnimationFrame(this.#frame);
  }

  /** Shows another scenario. Epoch in ms since 1970. */
  load(inventory: Inventory, scenery: Scenery, epoch: number): void {
    this.clear();
    this.#inventory = inventory;
    this.#scenery = scenery;
    this.#epoch = epoch;
    this.#kilometres = new Float32Array(inventory.count * 3);
    this.#behind = new Uint8Array(inventory.count);
    this.#topology = asTopology(inventory);
    this.#nodes = new Nodes(inventory);
    this.#placed = this.#nodes.position.array as Float32Array;
    this.#lines = new Lines(inventory);
    this.#scene.add(this.#nodes.points, this.#lines.segments);
    this.#linksVersion = -1;
    this.#positioned = false;
    if (!this.#loaded) {
      this.#loaded = true;
      const [x, y] = sunDirection(epoch + scenery.time() * 1e3);
      this.looking.turnTo((Math.atan2(y, x) * 180) / Math.PI + 40); // evening: day, dusk and night in sight
    }
    this.#bits = new Float32Array(inventory.message.ports.length);
    this.repaint();
  }

  clear(): void {
    if (this.#nodes) this.#scene.remove(this.#nodes.points);
    if (this.#lines) this.#scene.remove(this.#lines.segments);
    this.#nodes?.dispose();
    this.#lines?.dispose();
    for (const cone of this.#cones.values()) {
      this.#scene.remove(cone.object);
      cone.dispose();
    }
    this.#cones.clear();
    this.#nodes = undefined;
    this.#lines = undefined;
    this.#links = undefined;
    this.#inventory = undefined;
    this.#scenery = undefined;
    this.#orbit.samples = undefined;
    this.#kernelWay.nodes = [];
    this.#oracleWay.nodes = [];
    this.invalidate();
  }

  get view(): ViewName {
    return this.looking.view;
  }

  set view(view: ViewName) {
    this.looking.view = view;
    this.#earth.globe.visible = view === "globe";
    this.#earth.map.visible = view === "map";
    this.repaint();
  }

  set colours(colours: LinkColours) {
    this.#colours = colours;
    this.repaint();
  }

  /** Nodes that are chosen; the first one's orbit is shown. */
  choose(nodes: ReadonlySet<number>): void {
    this.#chosen = nodes;
    for (const [node, cone] of this.#cones) {
      this.#scene.remove(cone.object);
      cone.dispose();
      this.#cones.delete(node);
    }
    this.repaint();
  }

  set orbit(samples: Samples | undefined) {
    this.#orbit.samples = samples;
    this.invalidate();
  }

  /** Ways by node: what the kernels would take, and the best that there is. */
  ways(kernel: number[], oracle: number[]): void {
    this.#kernelWay.nodes = kernel;
    this.#oracleWay.nodes = oracle;
    this.invalidate();
  }

  failures(nodes: ReadonlySet<number>, cut: LinkSet, impaired: LinkSet): void {
    this.#failed = nodes;
    this.#cut = cut;
    this.#impaired = impaired;
    this.repaint();
  }

  set bitsPerSecond(bits: Float32Array) {
    this.#bits = bits;
    if (this.#colours === "load") this.repaint();
  }

  set coverage(layer: { columns: number; rows: number; rgba: Uint8Array<ArrayBuffer> } | undefined) {
    this.#earth.coverage = layer;
    this.invalidate();
  }

  /** Reads the design tokens again, after the scheme has changed. */
  retint(): void {
    this.palette = readPalette();
    this.#renderer.setClearColor(this.palette.background, 1);
    this.#earth.palette = this.palette;
    this.#orbit.color = this.palette.accent;
    this.#kernelWay.color = this.palette.accent;
    this.#oracleWay.color = this.palette.oracle;
    for (const cone of this.#cones.values()) cone.color = this.palette.station;
    this.repaint();
  }

  resize(width: number, height: number, insets: { right: number; bottom: number; top: number }): void {
    this.#width = Math.max(1, Math.round(width));
    this.#height = Math.max(1, Math.round(height));
    this.#pixels = 0;
    this.#kernelWay.resize(this.#width, this.#height);
    this.#oracleWay.resize(this.#width, this.#height);
    this.looking.resize(this.#width, this.#height, insets);
    this.repaint();
  }

  invalidate(): void {
    this.#dirty = true;
  }

  repaint(): void {
    this.#paint = true;
    this.#dirty = true;
  }

  /** Flies to a node. */
  lookAt(node: number): void {
    const [x, y, z] = this.position(node);
    if (!Number.isFinite(x)) return;
    const flat = new Float32Array([x, y, z]);
    onMap(flat, flat);
    const at = this.view === "topology" ? this.#topology.subarray(3 * node, 3 * node + 2) : flat;
    this.looking.flyTo(
      (Math.atan2(y, x) * 180) / Math.PI,
      (Math.atan2(z, Math.hypot(x, y)) * 180) / Math.PI,
      at[0]!,
      at[1]!,
    );
  }

  /** ECEF km at the instant that is shown. */
  position(node: number): [number, number, number] {
    return [0, 1, 2].map((k) => this.#kilometres[3 * node + k]!) as [number, number, number];
  }

  get kilometres(): Float32Array {
    return this.#kilometres;
  }

  get links(): Links | undefined {
    return this.#links;
  }

  /** Where a node is on the screen, in pixels; undefined behind the Earth. */
  project(node: number): { x: number; y: number } | undefined {
    const at = this.#point.fromArray(this.#placed, 3 * node);
    if (this.#hidden(at)) return undefined;
    at.project(this.looking.camera);
    if (!(Math.abs(at.x) <= 1 && Math.abs(at.y) <= 1)) return undefined;
    return { x: ((at.x + 1) / 2) * this.#width, y: ((1 - at.y) / 2) * this.#height };
  }

  #point = new Vector3();

  /** Whether the Earth (as a sphere that is a little smaller) stands before a point. */
  #hidden(at: Vector3): boolean {
    if (this.view !== "globe") return false;
    const eye = this.looking.globe.position;
    const [dx, dy, dz] = [at.x - eye.x, at.y - eye.y, at.z - eye.z];
    const d2 = dx * dx + dy * dy + dz * dz;
    const along = -(dx * eye.x + dy * eye.y + dz * eye.z) / d2;
    if (along >= 1 || along <= 0) return false;
    const [x, y, z] = [eye.x + along * dx, eye.y + along * dy, eye.z + along * dz];
    return x * x + y * y + z * z < 0.985;
  }

  /** The node under a place of the screen, or else the link there. */
  pick(x: number, y: number, links: boolean): Picked {
    const inventory = this.#inventory;
    if (!inventory || !this.#positioned) return undefined;
    let best = 13 ** 2;
    let picked: Picked;
    for (let i = 0; i < inventory.count; i++) {
      const at = this.project(i);
      if (!at) continue;
      // Stations are few and matter more: they may be a little further away.
      const far = (at.x - x) ** 2 + (at.y - y) ** 2 - (inventory.isStation(i) ? 30 : 0);
      if (far < best) {
        best = far;
        picked = { node: i };
      }
    }
    if (picked || !links || !this.#links) return picked;
    best = 6 ** 2;
    for (let i = 0; i < this.#links.count; i++) {
      const a = this.project(inventory.portNode[this.#links.ports[2 * i]!]!);
      const b = this.project(inventory.portNode[this.#links.ports[2 * i + 1]!]!);
      if (!a || !b) continue;
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      if (Math.hypot(dx, dy) > this.#width) continue; // over the edge of the map
      const u = Math.min(Math.max(((x - a.x) * dx + (y - a.y) * dy) / (dx * dx + dy * dy || 1), 0), 1);
      const far = (a.x + u * dx - x) ** 2 + (a.y + u * dy - y) ** 2;
      if (far < best) {
        best = far;
        picked = { link: i };
      }
    }
    return picked;
  }

  #hoverAt = 0;
  #hover(x: number, y: number): void {
    const now = performance.now();
    if (now - this.#hoverAt < 50 && x > -1e3) return;
    this.#hoverAt = now;
    const picked = this.pick(x, y, false);
    const node = picked && "node" in picked ? picked.node : -1;
    if (node === this.#hovered) return;
    this.#hovered = node;
    this.canvas.style.cursor = node >= 0 ? "pointer" : "";
    this.#relabel = true;
  }

  #frame = (now: number): void => {
    requestAnimationFrame(this.#frame);
    if (this.#width === 0) return;
    const drewAt = this.#drewAt;
    this.#drewAt = 0;
    const scenery = this.#scenery;
    const moving = scenery?.moving() ?? false;
    const steered = this.looking.flying || now - this.#movedAt < settled;
    const wait = this.#wait(scenery);
    const pace = steered || (moving && wait < creeping) ? "moving" : moving ? "creeping" : "still";
    if (!moving && !this.#dirty && !this.looking.flying) this.#lastFrame = 0;
    const due = this.#dirty || this.looking.flying || (moving && now - this.#lastFrame >= wait);
    const smooth = pace === "still" && this.#smoothing !== undefined && displayed() < 1.5;
    const pixels = this.#sharpness.pixels(pace, displayed());
    if (pace !== "moving") this.#sharpness.rest();
    // What has come to rest is drawn once more, as finely as can be.
    const rough = pace === "still" && (smooth !== this.#smooth || pixels !== this.#pixels);
    if (!due && !rough) {
      if (this.#relabel && this.#inventory && this.#positioned) this.#label(this.#inventory);
      return;
    }
    this.#dirty = false;
    const begun = performance.now();
    this.looking.step(now);
    if (scenery) this.#update(scenery, begun);
    note(this.timing.update, performance.now() - begun);
    if (this.#lastFrame > 0 && moving) note(this.timing.frame, now - this.#lastFrame);
    if (drewAt > 0 && pace === "moving") this.#sharpness.hear(now - drewAt, now);
    this.#lastFrame = this.#drewAt = now;
    this.#fine(pixels);
    this.#smooth = smooth;
    this.draw();
  };

  /** Sets how many pixels are drawn for one of the style sheet; what is drawn keeps its size. */
  #fine(pixels: number): void {
    const { count } = this.#inventory ?? { count: 0 };
    if (this.#nodes) this.#nodes.scale = pixels * (count > 2500 ? 0.72 : count > 500 ? 0.86 : 1.15);
    if (this.#lines) this.#lines.opacity = Math.min(pixels / displayed(), 1);
    if (this.#pixels === pixels) return;
    this.#pixels = pixels;
    this.#renderer.setPixelRatio(pixels);
    this.#renderer.setSize(this.#width, this.#height);
  }

  /** Draws once more what was drawn last; its pixels can be read until the task ends. */
  draw(): void {
    if (this.#smooth) this.#smoothing!.render(this.#scene, this.looking.camera);
    else this.#renderer.render(this.#scene, this.looking.camera);
  }

  /**
   * Milliseconds between frames that only time makes necessary: in so long nothing
   * moves by more than a quarter of a pixel. A page that shows a run at its own speed
   * leaves the machine, which may be the one that carries the run, almost alone.
   */
  #wait(scenery: Scenery | undefined): number {
    if (!this.paced || !scenery) return 0;
    const radiansPerSecond = 1.25e-3 * Math.abs(scenery.speed()); // lowest orbits, seen from the Earth's centre
    const { distance, zoom } = this.looking.look;
    const pixelsPerRadian = this.view === "globe" ? (1.45 * this.#height) / (distance - 1) : (this.#width / 6) * zoom;
    return Math.min(250 / (radiansPerSecond * pixelsPerRadian * displayed()), slowest);
  }

  #update(scenery: Scenery, now: number): void {
    const inventory = this.#inventory!;
    const t = scenery.time();
    this.#earth.sun = sunDirection(this.#epoch + t * 1e3);
    if (scenery.positions(t, this.#kilometres)) this.#positioned = true;
    const view = this.view;
    if (view === "globe") onGlobe(this.#kilometres, this.#placed);
    else if (view === "map") onMap(this.#kilometres, this.#placed);
    else this.#placed.set(this.#topology);
    if (view === "globe") this.#earth.seenFrom(this.looking.globe.position);
    for (let i = 0; i < inventory.count; i++) this.#behind[i] = this.#hidden(this.#point.fromArray(this.#placed, 3 * i)) ? 1 : 0;
    this.#nodes!.place(this.#behind);
    this.#nodes!.points.visible = this.#lines!.segments.visible = this.#positioned;

    const links = scenery.links(t);
    if (links) this.#links = links;
    if (this.#links) {
      if (this.#colours === "delay" && now - this.#lastDelays > 1000) {
        this.#lastDelays = now;
        this.#paint = true;
      }
      if (this.#paint || this.#links.version !== this.#linksVersion) {
        this.#linksVersion = this.#links.version;
        this.#lines!.paint(this.#links, {
          colours: this.#colours,
          palette: this.palette,
          kilometres: this.#kilometres,
          bitsPerSecond: this.#bits,
          impaired: this.#impaired,
          cut: this.#cut,
        });
      }
      this.#lines!.place(this.#links, this.#placed, this.#behind, view === "map");
    }
    if (this.#paint) {
      this.#paint = false;
      this.#nodes!.paint(this.palette, this.#chosen, this.#failed);
    }
    this.#orbit.update(t, view);
    this.#kernelWay.update(this.#placed, view);
    this.#oracleWay.update(this.#placed, view);
    if (this.#positioned) {
      this.#shapeCones(inventory, view);
      this.#label(inventory);
    }
  }

  #conesView: ViewName | undefined;
  #shapeCones(inventory: Inventory, view: ViewName): void {
    const stations = inventory.count - inventory.satellites;
    if (this.#conesView !== view) {
      for (const cone of this.#cones.values()) {
        this.#scene.remove(cone.object);
        cone.dispose();
      }
      this.#cones.clear();
      this.#conesView = view;
    }
    if (inventory.satellites === 0) return;
    for (let i = inventory.satellites; i < inventory.count; i++) {
      const chosen = this.#chosen.has(i);
      const at = this.position(i);
      let cone = this.#cones.get(i);
      if (cone ? cone.standsAt(at) : !chosen && stations > 40) continue;
      const served = this.#servedBy(inventory, i);
      if (!served || !Number.isFinite(at[0])) continue;
      if (!cone) {
        cone = new Cone(chosen ? 1.6 : 0.42);
        cone.color = this.palette.station;
        this.#cones.set(i, cone);
        this.#scene.add(cone.object);
      }
      cone.shape(at, inventory.message.nodes[i]!.minElevation, served, view);
    }
  }

  /** Distance from the Earth's centre of the satellites that a station talks to, else of the lowest. */
  #servedBy(inventory: Inventory, station: number): number | undefined {
    const radius = (i: number) => Math.hypot(...this.position(i));
    const links = this.#links;
    for (let i = 0; links && i < links.count; i++) {
      const [a, b] = [inventory.portNode[links.ports[2 * i]!]!, inventory.portNode[links.ports[2 * i + 1]!]!];
      if (a === station && !inventory.isStation(b)) return radius(b);
      if (b === station && !inventory.isStation(a)) return radius(a);
    }
    let lowest = Infinity;
    for (let i = 0; i < inventory.satellites; i += Math.ceil(inventory.satellites / 50)) lowest = Math.min(lowest, radius(i));
    return Number.isFinite(lowest) ? lowest : undefined;
  }

  #label(inventory: Inventory): void {
    this.#relabel = false;
    const labels: Label[] = [];
    const seen = new Set<number>();
    const add = (node: number, strong: boolean, color: string) => {
      if (node < 0 || seen.has(node) || labels.length >= labelled * 3) return;
      seen.add(node);
      const at = this.project(node);
      if (at) labels.push({ text: inventory.names[node]!, ...at, strong, color });
    };
    for (const node of this.#chosen) add(node, true, this.palette.ink);
    add(this.#hovered, true, this.palette.ink);
    for (const node of this.#kernelWay.nodes) add(node, false, this.palette.ink);
    for (let i = inventory.satellites; i < inventory.count && labels.length < labelled * 2; i++)
      add(i, false, this.palette.ink);
    // Satellites get names when few of them are in sight.
    const near = this.view === "globe" ? this.looking.look.distance < 2 : this.looking.look.zoom > 3;
    if (near || inventory.satellites <= 12)
      for (let i = 0; i < inventory.satellites && labels.length < labelled * 2; i++) add(i, false, this.palette.muted);
    this.#labels.draw(labels);
  }
}

/** Pixels of the display for one of the style sheet; more than two are not seen. */
const displayed = () => Math.min(devicePixelRatio, 2);

function note(list: number[], value: number): void {
  list.push(value);
  if (list.length > 600) list.shift();
}
