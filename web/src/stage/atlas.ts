// Coastlines and borders, from Natural Earth by way of world-atlas.

import { feature, mesh } from "topojson-client";
import type { MultiLineString, MultiPolygon, Polygon, Position } from "geojson";
import type { GeometryCollection, Topology } from "topojson-specification";
import topology from "world-atlas/countries-110m.json";

const atlas = topology as unknown as Topology<{ countries: GeometryCollection; land: GeometryCollection }>;

export const coasts = (): MultiLineString => mesh(atlas, atlas.objects.land as never);
export const borders = (): MultiLineString => mesh(atlas, atlas.objects.countries as never, (a, b) => a !== b);

/** Segments of lines as pairs of longitude and latitude in degrees. */
export function segments(lines: MultiLineString): number[] {
  const out: number[] = [];
  for (const line of lines.coordinates)
    for (let i = 1; i < line.length; i++) {
      const [a, b] = [line[i - 1]!, line[i]!];
      out.push(a[0]!, a[1]!, b[0]!, b[1]!);
    }
  return out;
}

/** Lines of longitude and latitude every so many degrees, in the same form. */
export function graticule(every: number): number[] {
  const out: number[] = [];
  const fine = 3;
  for (let lon = -180; lon < 180; lon += every)
    for (let lat = -90; lat < 90; lat += fine) out.push(lon, lat, lon, lat + fine);
  for (let lat = -90 + every; lat < 90; lat += every)
    for (let lon = -180; lon < 180; lon += fine) out.push(lon, lat, lon + fine, lat);
  return out;
}

/** Land in white on black, equirectangular, from 180° W and 90° N. */
export function landMask(width: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = width / 2;
  const pen = canvas.getContext("2d")!;
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, width, width / 2);
  pen.fillStyle = "#fff";
  pen.beginPath();
  const land = feature(atlas, atlas.objects.land as never) as unknown as
    | { type: "FeatureCollection"; features: { geometry: Polygon | MultiPolygon }[] }
    | { type: "Feature"; geometry: Polygon | MultiPolygon };
  const geometries = "features" in land ? land.features.map((f) => f.geometry) : [land.geometry];
  for (const geometry of geometries) {
    const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
    for (const rings of polygons) for (const ring of rings) trace(pen, ring, width / 360);
  }
  pen.fill("evenodd");
  return canvas;
}

/**
 * A ring may cross the antimeridian, or go round a pole: its longitudes are made
 * continuous, it is closed by way of the pole, and drawn where it shows.
 */
function trace(pen: CanvasRenderingContext2D, ring: Position[], scale: number): void {
  const points: [number, number][] = [];
  let turn = 0;
  ring.forEach(([lon, lat], i) => {
    if (i > 0) {
      const step = lon! - ring[i - 1]![0]!;
      if (step > 180) turn -= 360;
      else if (step < -180) turn += 360;
    }
    points.push([lon! + turn, lat!]);
  });
  if (Math.abs(turn) === 360) {
    const pole = points[0]![1] < 0 ? -90 : 90;
    points.push([points[points.length - 1]![0], pole], [points[0]![0], pole]);
  }
  for (const shift of [-360, 0, 360]) {
    points.forEach(([lon, lat], i) => {
      const [x, y] = [(lon + shift + 180) * scale, (90 - lat) * scale];
      if (i) pen.lineTo(x, y);
      else pen.moveTo(x, y);
    });
    pen.closePath();
  }
}
