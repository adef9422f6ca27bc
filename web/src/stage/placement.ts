// Three ways to see the same positions: on the globe, on a map, and as a plan of
// the topology in which nothing moves.

import type { Inventory } from "../model/inventory";
import { equatorialRadius } from "../model/units";

export type ViewName = "globe" | "map" | "topology";

/** Half the width of the flat views; the map is two by one. */
export const flatWidth = 2;

/** Puts ECEF kilometres into the scene, where the Earth's radius is 1. */
export function onGlobe(km: Float32Array, out: Float32Array): void {
  for (let i = 0; i < km.length; i++) out[i] = km[i]! / equatorialRadius;
}

/** Equirectangular: x is the longitude, from -2 to 2; y the latitude, from -1 to 1. */
export function onMap(km: Float32Array, out: Float32Array): void {
  for (let i = 0; i < km.length; i += 3) {
    const [x, y, z] = [km[i]!, km[i + 1]!, km[i + 2]!];
    out[i] = (Math.atan2(y, x) / Math.PI) * flatWidth;
    out[i + 1] = Math.atan2(z, Math.hypot(x, y)) / (Math.PI / 2);
    out[i + 2] = x === x ? 0 : NaN;
  }
}

/**
 * One column a plane, one row a slot, constellations side by side with a gap as
 * wide as a column; stations in rows below. Satellites without planes fill a
 * rectangle in their order.
 */
export function asTopology(inventory: Inventory): Float32Array {
  const out = new Float32Array(inventory.count * 3);
  const groups = inventory.message.groups;
  const blocks = groups.map((group, g) => {
    if (group.kind === "station") return { columns: 0, rows: 0, planes: false };
    const planes = group.planes > 1;
    const columns = planes ? group.planes : Math.max(1, Math.ceil(Math.sqrt(group.nodes * 2)));
    let rows = Math.ceil(group.nodes / columns);
    if (planes)
      for (const node of inventory.message.nodes) if (node.group === g) rows = Math.max(rows, node.slot + 1);
    return { columns, rows, planes };
  });
  const width = blocks.reduce((sum, block) => sum + (block.columns ? block.columns + 1 : 0), 0) || 1;
  const height = Math.max(1, ...blocks.map((block) => block.rows));
  const stations = inventory.count - inventory.satellites;
  const perRow = Math.max(1, Math.min(stations, 24));
  const stationRows = Math.ceil(stations / perRow);
  const bottom = stations ? 0.16 * Math.min(stationRows, 4) + 0.1 : 0;

  const left: number[] = [];
  let x = 0;
  for (const block of blocks) {
    left.push(x);
    if (block.columns) x += block.columns + 1;
  }
  const seen = groups.map(() => 0);
  inventory.message.nodes.forEach((node, i) => {
    const block = blocks[node.group]!;
    const nth = seen[node.group]!++;
    if (block.columns) {
      const column = block.planes && node.plane >= 0 ? node.plane : nth % block.columns;
      const row = block.planes && node.plane >= 0 ? node.slot : Math.floor(nth / block.columns);
      out[3 * i] = ((left[node.group]! + column + 1) / width) * 2 * flatWidth - flatWidth;
      out[3 * i + 1] = 1 - ((row + 0.5) / height) * (2 - bottom);
    } else {
      const k = i - inventory.satellites;
      const row = Math.floor(k / perRow);
      const inRow = Math.min(perRow, stations - row * perRow);
      out[3 * i] = (((k % perRow) + 0.5) / inRow) * 2 * flatWidth - flatWidth;
      out[3 * i + 1] = -1 + (bottom - 0.1) * (1 - (row + 0.5) / stationRows);
    }
  });
  return out;
}
