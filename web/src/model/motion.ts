// Where everything is at any instant: samples of the plan, and the cubic through
// the nearest four. The samples come in chunks of a few minutes, so that nothing
// is sent per frame.

import type { Source } from "../source/source";
import { duration, float32s, seconds } from "./units";

/** Samples between two instants. */
export interface Samples {
  /** Scenario time of the first, and between two, in seconds. */
  from: number;
  step: number;
  count: number;
  nodes: number;
  /** Instant by instant, node by node: x, y, z in km, ECEF. */
  kilometres: Float32Array;
}

/**
 * Writes the positions at time t. Lagrange's cubic through four samples, two on
 * either side; at the ends those that there are. Its error is below
 * 3/128 (2π step/period)⁴ of the orbit's radius between the inner two.
 */
export function interpolate(samples: Samples, t: number, out: Float32Array): void {
  const { from, step, count, nodes, kilometres } = samples;
  const width = nodes * 3;
  if (count < 4) {
    const u = Math.min(Math.max((t - from) / step, 0), count - 1);
    const i = Math.min(Math.floor(u), Math.max(count - 2, 0));
    const a = kilometres.subarray(i * width, (i + 1) * width);
    const b = count > 1 ? kilometres.subarray((i + 1) * width, (i + 2) * width) : a;
    const w = u - i;
    for (let k = 0; k < width; k++) out[k] = a[k]! * (1 - w) + b[k]! * w;
    return;
  }
  const base = Math.min(Math.max(Math.floor((t - from) / step) - 1, 0), count - 4);
  const u = Math.min(Math.max((t - from) / step - base, 0), 3);
  const w0 = -((u - 1) * (u - 2) * (u - 3)) / 6;
  const w1 = (u * (u - 2) * (u - 3)) / 2;
  const w2 = -(u * (u - 1) * (u - 3)) / 2;
  const w3 = (u * (u - 1) * (u - 2)) / 6;
  const p = base * width;
  for (let k = 0; k < width; k++) {
    const q = p + k;
    out[k] =
      w0 * kilometres[q]! + w1 * kilometres[q + width]! + w2 * kilometres[q + 2 * width]! + w3 * kilometres[q + 3 * width]!;
  }
}

/** Intervals in a chunk; it has one sample more on the left and two on the right. */
const intervals = 6;
const kept = 4;
/** Milliseconds after a failure in which nothing is asked. */
const patience = 1000;

export class Motion {
  /** Seconds between samples. */
  readonly step: number;
  #chunks = new Map<number, Samples>();
  #asked = new Map<number, AbortController>();
  #failedAt = -Infinity;

  /**
   * Loaded is called when samples have come. Constellations of low orbits need a
   * sample a minute; shortest is the shortest period in seconds.
   */
  constructor(
    private readonly source: Source,
    private readonly plan: string,
    shortest: number,
    private readonly loaded: () => void,
  ) {
    this.step = Math.max(1, Math.min(60, Math.round(shortest / 90)));
  }

  /** Writes the positions at t, or says that its samples are not there yet. */
  at(t: number, speed: number, out: Float32Array): boolean {
    const k = Math.floor(t / (this.step * intervals));
    const chunk = this.#chunks.get(k);
    if (!chunk) {
      for (const [other, asked] of this.#asked) if (other !== k && other !== k + 1) asked.abort();
      void this.#load(k);
      return false;
    }
    this.#chunks.delete(k);
    this.#chunks.set(k, chunk); // the last used one
    interpolate(chunk, t, out);
    const left = (k + 1) * this.step * intervals - t;
    if (left < Math.max(this.step, speed * 8)) void this.#load(k + 1);
    return true;
  }

  async #load(k: number): Promise<void> {
    if (this.#chunks.has(k) || this.#asked.has(k) || performance.now() - this.#failedAt < patience) return;
    const aborter = new AbortController();
    this.#asked.set(k, aborter);
    const first = Math.max(k * intervals - 1, 0);
    const count = (k + 1) * intervals + 2 - first;
    try {
      const answer = await this.source.sky.getPositions(
        { plan: this.plan, from: duration(first * this.step), step: duration(this.step), count },
        { signal: aborter.signal },
      );
      this.#chunks.set(k, samplesOf(answer));
      for (const old of this.#chunks.keys()) {
        if (this.#chunks.size <= kept) break;
        this.#chunks.delete(old);
      }
      this.loaded();
    } catch {
      if (!aborter.signal.aborted) this.#failedAt = performance.now();
      // Whoever waits for it asks again, also while time stands. What was called off may be wanted again already.
      setTimeout(this.loaded, aborter.signal.aborted ? 0 : patience + 50);
    } finally {
      this.#asked.delete(k);
    }
  }
}

export function samplesOf(answer: {
  from?: { seconds: bigint; nanos: number } | undefined;
  step?: { seconds: bigint; nanos: number } | undefined;
  count: number;
  nodes: number;
  kilometres: Uint8Array;
}): Samples {
  return {
    from: seconds(answer.from as never),
    step: seconds(answer.step as never),
    count: answer.count,
    nodes: answer.nodes,
    kilometres: float32s(answer.kilometres),
  };
}
