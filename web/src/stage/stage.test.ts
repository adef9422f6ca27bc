import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { GetInventoryResponseSchema } from "../gen/orrery/v1alpha1/sky_pb";
import { Inventory } from "../model/inventory";
import { curve } from "../panels/link";
import { PieceSchema } from "../gen/orrery/v1alpha1/control_pb";
import { duration } from "../model/units";
import { Cone, footprint } from "./figures";
import { LinkSet } from "./lines";
import { asTopology, onMap } from "./placement";

it("a footprint's points stand at the elevation and in the distance that were asked", () => {
  for (const station of [
    [6378, 0, 0],
    [0, 0, 6357],
    [-3000, 4000, -3900],
  ] as [number, number, number][])
    for (const elevation of [0, 10, 40]) {
      const r = Math.hypot(...station);
      for (const point of footprint(station, elevation, 7158)) {
        const d = point.map((v, k) => v - station[k]!) as [number, number, number];
        const up = d.reduce((sum, v, k) => sum + v * station[k]!, 0) / r;
        expect((Math.asin(up / Math.hypot(...d)) * 180) / Math.PI).toBeCloseTo(elevation, 6);
        expect(Math.hypot(...point)).toBeCloseTo(7158, 6);
      }
    }
});

it("the map has Greenwich in its middle and the poles at its edges", () => {
  const out = new Float32Array(12);
  onMap(Float32Array.of(7000, 0, 0, 0, 0, 7000, 0, 7000, 0, NaN, NaN, NaN), out);
  expect([...out.slice(0, 2)]).toEqual([0, 0]);
  expect(out[4]).toBeCloseTo(1);
  expect(out[6]).toBeCloseTo(1); // 90° E is half way to the right
  expect(out[11]).toBeNaN();
});

it("in the topology no two nodes stand at the same place, and all within the view", () => {
  const inventory = new Inventory(
    create(GetInventoryResponseSchema, {
      groups: [
        { name: "planes", kind: "satellite", nodes: 21, planes: 3 },
        { name: "loose", kind: "satellite", nodes: 10 },
        { name: "stations", kind: "station", nodes: 30 },
      ],
      nodes: Array.from({ length: 61 }, (_, i) =>
        i < 21
          ? { name: `a${i}`, group: 0, plane: i % 3, slot: Math.floor(i / 3) }
          : i < 31
            ? { name: `b${i}`, group: 1, plane: -1 }
            : { name: `c${i}`, group: 2, plane: -1 },
      ),
    }),
  );
  const out = asTopology(inventory);
  const places = new Set<string>();
  for (let i = 0; i < inventory.count; i++) {
    places.add(`${out[3 * i]!.toFixed(4)} ${out[3 * i + 1]!.toFixed(4)}`);
    expect(Math.abs(out[3 * i]!)).toBeLessThanOrEqual(2);
    expect(Math.abs(out[3 * i + 1]!)).toBeLessThanOrEqual(1);
  }
  expect(places.size).toBe(61);
});

it("a failure of one link is none of the port's others", () => {
  const links = new LinkSet();
  links.add(1, 2);
  links.add(7);
  expect(links.has(1, 2) && links.has(2, 1) && links.has(7, 1) && links.has(3, 7)).toBe(true);
  expect(links.has(1, 3) || links.has(3, 2) || links.has(12, 1)).toBe(false);
  expect(links.key).not.toBe(new LinkSet().key);
});

it("a cone knows when its station has moved", () => {
  const cone = new Cone(1);
  expect(cone.standsAt([6378, 0, 0])).toBe(false);
  cone.shape([6378, 0, 0], 10, 7158, "globe");
  expect(cone.standsAt([6378, 0.5, 0])).toBe(true);
  expect(cone.standsAt([6378, 20, 0])).toBe(false);
});

it("a curve goes through its pieces", () => {
  const pieces = [
    create(PieceSchema, { start: duration(10), c0: 1, c1: 0.5 }),
    create(PieceSchema, { start: duration(12), c0: 2, c3: 1 }),
  ];
  const { x, y } = curve(pieces, 14, 1000);
  expect(x[0]).toBe(10);
  expect(x[x.length - 1]).toBe(14);
  expect(y[0]).toBe(1000);
  expect(y[y.length - 1]).toBe(10_000);
});
