// Looking around: a globe that is turned and approached, and flat views that are
// moved and enlarged. Both follow the pointer, the wheel, two fingers and keys.

import { OrthographicCamera, PerspectiveCamera, Vector3, type Camera } from "three";
import type { ViewName } from "./placement";

const rad = Math.PI / 180;

interface Look {
  /** Degrees; distance from the centre in Earth radii. */
  lon: number;
  lat: number;
  distance: number;
  /** Centre of the flat views, and how much they are enlarged. */
  x: number;
  y: number;
  zoom: number;
}

export class Looking {
  view: ViewName = "globe";
  readonly globe = new PerspectiveCamera(38, 1, 0.05, 60);
  readonly flat = new OrthographicCamera(-2, 2, 1, -1, -10, 10);
  #look: Look = { lon: 10, lat: 28, distance: 4.1, x: 0, y: 0, zoom: 1 };
  #target: Look | undefined;
  #flightFrom = 0;
  #start: Look | undefined;
  #width = 1;
  #height = 1;
  /** What covers the stage: pixels on the right and at the bottom. */
  #insets = { right: 0, bottom: 0, top: 0 };

  constructor(private readonly changed: () => void) {
    this.globe.up.set(0, 0, 1);
    this.#apply();
  }

  get camera(): Camera {
    return this.view === "globe" ? this.globe : this.flat;
  }

  get look(): Readonly<Look> {
    return this.#look;
  }

  get flying(): boolean {
    return this.#target !== undefined;
  }

  resize(width: number, height: number, insets: { right: number; bottom: number; top: number }): void {
    this.#width = Math.max(1, width);
    this.#height = Math.max(1, height);
    this.#insets = insets;
    this.#apply();
  }

  /** Turns by pixels. */
  drag(dx: number, dy: number): void {
    this.#target = undefined;
    const look = this.#look;
    if (this.view === "globe") {
      const perPixel = ((look.distance - 1) * 62) / this.#height;
      look.lon -= dx * Math.min(perPixel, 0.35) / Math.max(0.35, Math.cos(look.lat * rad));
      look.lat += dy * Math.min(perPixel, 0.35);
    } else {
      const perPixel = (this.flat.right - this.flat.left) / this.#width / this.flat.zoom;
      look.x -= dx * perPixel;
      look.y += dy * perPixel;
    }
    this.#apply();
  }

  /** Shows a longitude at once. */
  turnTo(lon: number): void {
    this.#look.lon = lon;
    this.#apply();
  }

  /** Comes nearer by a factor above 1. */
  approach(factor: number): void {
    this.#target = undefined;
    const look = this.#look;
    if (this.view === "globe") look.distance = 1 + (look.distance - 1) / factor;
    else look.zoom *= factor;
    this.#apply();
  }

  /** Flies over a place; in the flat views to a point of the scene. */
  flyTo(lon: number, lat: number, x: number, y: number): void {
    const look = this.#look;
    const turn = ((((lon - look.lon) % 360) + 540) % 360) - 180;
    this.#start = { ...look };
    this.#target = {
      lon: look.lon + turn,
      lat: Math.min(Math.max(lat, -75), 75),
      distance: Math.min(look.distance, 3.6),
      x: this.view === "globe" || look.zoom > 1.2 ? x : look.x,
      y: this.view === "globe" || look.zoom > 1.2 ? y : look.y,
      zoom: look.zoom,
    };
    this.#flightFrom = performance.now();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.#flightFrom -= 1e6;
    this.changed();
  }

  reset(): void {
    this.#target = undefined;
    Object.assign(this.#look, { lat: 28, distance: 4.1, x: 0, y: 0, zoom: 1 });
    this.#apply();
  }

  /** Goes on with a flight. */
  step(now: number): void {
    if (!this.#target || !this.#start) return;
    const u = Math.min(Math.max((now - this.#flightFrom) / 700, 0), 1);
    const eased = 1 - (1 - u) ** 3;
    for (const key of Object.keys(this.#look) as (keyof Look)[])
      this.#look[key] = this.#start[key] + (this.#target[key] - this.#start[key]) * eased;
    if (u === 1) this.#target = undefined;
    this.#apply();
  }

  #apply(): void {
    const look = this.#look;
    look.lat = Math.min(Math.max(look.lat, -89), 89);
    look.distance = Math.min(Math.max(look.distance, 1.08), 14);
    look.zoom = Math.min(Math.max(look.zoom, 0.8), 40);
    look.x = Math.min(Math.max(look.x, -2.2), 2.2);
    look.y = Math.min(Math.max(look.y, -1.2), 1.2);

    const { right, bottom, top } = this.#insets;
    const [freeWidth, freeHeight] = [Math.max(60, this.#width - right), Math.max(60, this.#height - bottom - top)];
    const [shiftX, shiftY] = [right / 2, (bottom - top) / 2];

    // The globe fits into what is free, also where that is narrow.
    const narrow = Math.max(1, 1 / (freeWidth / freeHeight)) * (this.#height / freeHeight);
    const direction = new Vector3(
      Math.cos(look.lat * rad) * Math.cos(look.lon * rad),
      Math.cos(look.lat * rad) * Math.sin(look.lon * rad),
      Math.sin(look.lat * rad),
    );
    this.globe.position.copy(direction).multiplyScalar(1 + (look.distance - 1) * narrow);
    this.globe.lookAt(0, 0, 0);
    this.globe.aspect = this.#width / this.#height;
    this.globe.setViewOffset(this.#width, this.#height, shiftX, shiftY, this.#width, this.#height);
    this.globe.updateMatrixWorld();

    const margin = 1.06;
    const perPixel = Math.max((4 * margin) / freeWidth, (2 * margin) / freeHeight);
    this.flat.left = (-this.#width / 2 + shiftX) * perPixel;
    this.flat.right = (this.#width / 2 + shiftX) * perPixel;
    this.flat.top = (this.#height / 2 - shiftY) * perPixel;
    this.flat.bottom = (-this.#height / 2 - shiftY) * perPixel;
    this.flat.position.set(look.x, look.y, 5);
    this.flat.zoom = look.zoom;
    // Enlarging must not move the centre of what is free.
    const z = (1 - 1 / look.zoom) * perPixel;
    this.flat.position.x -= z * shiftX;
    this.flat.position.y += z * shiftY;
    this.flat.updateProjectionMatrix();
    this.flat.updateMatrixWorld();
    this.changed();
  }
}

/** Lets pointer, wheel and keys move the camera; tap is called for what was no drag. */
export function steer(
  element: HTMLElement,
  looking: Looking,
  tap: (x: number, y: number, add: boolean) => void,
  hover: (x: number, y: number) => void,
): void {
  const pointers = new Map<number, { x: number; y: number }>();
  let travelled = 0;
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    if (pointers.size === 0) travelled = 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  element.addEventListener("pointermove", (event) => {
    const was = pointers.get(event.pointerId);
    if (!was) {
      hover(event.offsetX, event.offsetY);
      return;
    }
    const [dx, dy] = [event.clientX - was.x, event.clientY - was.y];
    if (pointers.size === 2) {
      const [p, q] = [...pointers.values()] as [typeof was, typeof was];
      const before = Math.hypot(p.x - q.x, p.y - q.y);
      was.x = event.clientX;
      was.y = event.clientY;
      looking.approach(Math.hypot(p.x - q.x, p.y - q.y) / Math.max(before, 1));
      looking.drag(dx / 2, dy / 2);
      travelled += 10;
      return;
    }
    was.x = event.clientX;
    was.y = event.clientY;
    travelled += Math.abs(dx) + Math.abs(dy);
    if (travelled > 4) looking.drag(dx, dy);
  });
  const end = (event: PointerEvent) => {
    // What went down elsewhere, as on a found name that is gone now, is no tap here.
    if (!pointers.delete(event.pointerId)) return;
    if (event.type === "pointerup" && travelled <= 4 && pointers.size === 0)
      tap(event.offsetX, event.offsetY, event.shiftKey || event.ctrlKey || event.metaKey);
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      looking.approach(Math.exp(-event.deltaY * lines * 0.0015));
    },
    { passive: false },
  );
  element.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? 120 : 40;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => looking.drag(far, 0),
      ArrowRight: () => looking.drag(-far, 0),
      ArrowUp: () => looking.drag(0, far),
      ArrowDown: () => looking.drag(0, -far),
      "+": () => looking.approach(1.2),
      "=": () => looking.approach(1.2),
      "-": () => looking.approach(1 / 1.2),
      "0": () => looking.reset(),
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move();
  });
}
