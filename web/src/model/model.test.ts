import { describe, expect, it } from "vitest";
import { Clock } from "./clock";
import { type ContactList, Links } from "./contacts";
import { interpolate } from "./motion";
import { sunDirection } from "./sun";
import { duration, geodetic, equatorialRadius, float32s, float64s, packed, polarRadius, seconds } from "./units";
import { Constellation } from "../source/walker/constellation";

/** Numbers from 0 to 1 that a seed gives (mulberry32). */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describe("interpolate", () => {
  const sky = new Constellation({ planes: 3, perPlane: 4, inclination: 86.4, height: 780 });
  const [step, count] = [60, 9];
  const kilometres = new Float32Array(sky.count * 3 * count);
  for (let k = 0; k < count; k++) sky.positions(k * step, kilometres.subarray(k * sky.count * 3, (k + 1) * sky.count * 3));
  const samples = { from: 0, step, count, nodes: sky.count, kilometres };

  it("keeps to the bound that the schema promises, between the inner samples", () => {
    const next = random(1);
    const [truth, found] = [new Float32Array(sky.count * 3), new Float32Array(sky.count * 3)];
    const bound = (3 / 128) * ((2 * Math.PI * step) / sky.period) ** 4 * (equatorialRadius + 780) + 1e-3;
    for (let i = 0; i < 300; i++) {
      const t = step + next() * step * (count - 3);
      sky.positions(t, truth);
      interpolate(samples, t, found);
      for (let k = 0; k < truth.length; k++) expect(Math.abs(truth[k]! - found[k]!), `at ${t}`).toBeLessThan(bound * 1.5);
    }
  });

  it("gives the samples themselves", () => {
    const found = new Float32Array(sky.count * 3);
    for (let k = 0; k < count; k++) {
      interpolate(samples, k * step, found);
      const there = kilometres.subarray(k * sky.count * 3, (k + 1) * sky.count * 3);
      for (let i = 0; i < found.length; i++) expect(Math.abs(found[i]! - there[i]!)).toBeLessThan(2e-3);
    }
  });
});

describe("Links", () => {
  it("has the contacts of an instant, and says how long they stay", () => {
    for (let seed = 0; seed < 200; seed++) {
      const next = random(seed);
      const n = Math.floor(next() * 30);
      const spans = Array.from({ length: n }, () => {
        const start = next() * 100 - 20;
        return [start, start + next() * 60] as const;
      }).sort((a, b) => a[0] - b[0]);
      const list: ContactList = {
        from: 0,
        to: 80,
        count: n,
        ports: Uint32Array.from({ length: 2 * n }, (_, i) => i),
        spans: Float64Array.from(spans.flat()),
        flags: Uint8Array.from(spans, () => (next() < 0.2 ? 132 : 4)),
      };
      const ends = (i: number) => (list.flags[i]! & 128 ? Infinity : spans[i]![1]);
      const at = (t: number) => spans.flatMap(([start], i) => (start <= t && t < ends(i) ? [2 * i] : []));
      const links = new Links();
      const t = next() * 80;
      links.take(list, t);
      const found = Array.from({ length: links.count }, (_, i) => links.ports[2 * i]!);
      expect(found, `seed ${seed}`).toEqual(at(t));
      expect(links.since).toBeLessThanOrEqual(t);
      expect(links.until).toBeGreaterThan(t);
      // Throughout that time nothing changes, and at its end something does.
      for (const u of [links.since, (links.since + links.until) / 2]) expect(at(u), `seed ${seed} at ${u}`).toEqual(found);
      if (links.until < list.to) expect(at(links.until), `seed ${seed}`).not.toEqual(found);
    }
  });
});

describe("Clock", () => {
  it("never jumps while the server's word is off by the network only", () => {
    let host = 100;
    const clock = new Clock(() => host);
    clock.hear(1000, 2, false);
    const next = random(7);
    let last = clock.shown;
    for (let i = 1; i < 300; i++) {
      host += 0.1;
      if (i % 10 === 0) clock.hear(1000 + (host - 100 - next() * 0.2) * 2, 2, false);
      expect(clock.shown).toBeGreaterThan(last - 0.05);
      expect(Math.abs(clock.shown - last - 0.2)).toBeLessThan(0.15);
      last = clock.shown;
    }
  });

  it("stands while paused, elsewhere, and comes back", () => {
    let host = 0;
    const clock = new Clock(() => host);
    clock.hear(50, 1, true);
    host = 10;
    expect(clock.shown).toBe(50);
    clock.hear(50, 1, false);
    clock.show(20);
    host = 15;
    expect(clock.shown).toBe(20);
    expect(clock.moving).toBe(false);
    clock.replay(-2);
    host = 18;
    expect(clock.shown).toBe(14);
    host = 100;
    expect(clock.shown).toBe(0);
    clock.follow();
    expect(clock.shown).toBe(140);
  });
});

describe("units", () => {
  it("packs and unpacks at any alignment", () => {
    const values = Float64Array.from([1.5, NaN, -2e300]);
    const bytes = packed(values);
    for (let shift = 0; shift < 9; shift++) {
      const buffer = new Uint8Array(bytes.length + shift);
      buffer.set(bytes, shift);
      expect([...float64s(buffer.subarray(shift))]).toEqual([...values]);
    }
    expect([...float32s(packed(Float32Array.of(1, 2)))]).toEqual([1, 2]);
  });

  it("turns seconds into durations and back", () => {
    const next = random(3);
    for (let i = 0; i < 1000; i++) {
      const s = (next() - 0.5) * 10 ** (next() * 7);
      const d = duration(s);
      expect(Math.abs(seconds(d) - s)).toBeLessThan(1e-9);
      expect(Math.abs(d.nanos)).toBeLessThan(1e9);
      expect(d.nanos === 0 || d.seconds === 0n || Math.sign(d.nanos) === Math.sign(Number(d.seconds))).toBe(true);
    }
  });

  it("finds latitude, longitude and height again", () => {
    const next = random(5);
    const e2 = 1 - (polarRadius / equatorialRadius) ** 2;
    for (let i = 0; i < 500; i++) {
      const [lat, lon, h] = [(next() - 0.5) * Math.PI, (next() - 0.5) * 2 * Math.PI, next() * 36_000];
      const n = equatorialRadius / Math.sqrt(1 - e2 * Math.sin(lat) ** 2);
      const found = geodetic([
        (n + h) * Math.cos(lat) * Math.cos(lon),
        (n + h) * Math.cos(lat) * Math.sin(lon),
        (n * (1 - e2) + h) * Math.sin(lat),
      ]);
      expect(Math.abs(found.height - h)).toBeLessThan(0.02);
      expect(Math.abs((found.latitude * Math.PI) / 180 - lat)).toBeLessThan(1e-4);
    }
  });
});

describe("sunDirection", () => {
  it("stands over the equator at the equinox, and over Greenwich about noon", () => {
    // March equinox of 2024: 20 March, 03:06 UTC.
    expect(Math.abs(Math.asin(sunDirection(Date.UTC(2024, 2, 20, 3, 6))[2])) * (180 / Math.PI)).toBeLessThan(0.02);
    // 15 April: the equation of time is next to nothing.
    const [x, y] = sunDirection(Date.UTC(2026, 3, 15, 12));
    expect(Math.abs(Math.atan2(y, x)) * (180 / Math.PI)).toBeLessThan(0.1);
    // June solstice of 2024: 20 June, 20:51 UTC; the obliquity is 23.44°.
    expect(Math.asin(sunDirection(Date.UTC(2024, 5, 20, 20, 51))[2]) * (180 / Math.PI)).toBeCloseTo(23.436, 2);
  });
});
