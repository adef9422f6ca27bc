import { describe, expect, it } from "vitest";
import { Sharpness } from "./sharpness";

/**
 * Draws for so many ms on a machine that takes fixed ms a frame and full ms more
 * where all pixels are drawn; gives the finenesses in their order.
 */
function run(sharpness: Sharpness, clock: { now: number }, ms: number, full: number, fixed = 8): number[] {
  const seen: number[] = [];
  for (const end = clock.now + ms; clock.now < end; ) {
    const at = sharpness.pixels("moving", 1);
    if (seen.at(-1) !== at) seen.push(at);
    const interval = Math.max(1000 / 60, fixed + full * at * at);
    clock.now += interval;
    sharpness.hear(interval, clock.now);
  }
  return seen;
}

describe("sharpness", () => {
  it("is full on a machine that keeps up", () => {
    expect(run(new Sharpness(), { now: 0 }, 60_000, 12)).toEqual([1]);
  });

  it("falls until frames come in time, and stays", () => {
    const seen = run(new Sharpness(), { now: 0 }, 3_000, 60);
    expect(seen[0]).toBe(1);
    expect(8 + 60 * seen.at(-1)! ** 2).toBeLessThan(42);
  });

  it("tries less and less often what the machine cannot hold", () => {
    const sharpness = new Sharpness();
    const clock = { now: 0 };
    const early = run(sharpness, clock, 60_000, 40).length;
    run(sharpness, clock, 300_000, 40);
    const late = run(sharpness, clock, 60_000, 40).length;
    expect(late).toBeLessThan(early);
    expect(late).toBeLessThanOrEqual(4);
  });

  it("is full again when the machine is free again", () => {
    const sharpness = new Sharpness();
    const clock = { now: 0 };
    expect(run(sharpness, clock, 10_000, 300).at(-1)).toBe(0.5);
    run(sharpness, clock, 90_000, 10);
    expect(sharpness.pixels("moving", 1)).toBe(1);
  });

  it("is never below half, and not moved by a sleep", () => {
    const sharpness = new Sharpness();
    for (let i = 0; i < 40; i++) sharpness.hear(3_600_000, i);
    expect(sharpness.pixels("moving", 2)).toBe(2);
    for (let i = 0; i < 400; i++) sharpness.hear(500, i * 500);
    expect(sharpness.pixels("moving", 2)).toBe(1);
  });

  it("takes its time where nothing moves", () => {
    const sharpness = new Sharpness();
    for (let i = 0; i < 400; i++) sharpness.hear(500, i * 500);
    expect(sharpness.pixels("creeping", 1)).toBe(1);
    expect(sharpness.pixels("still", 2)).toBe(2);
  });
});
