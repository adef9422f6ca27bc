// How finely the stage is drawn. A picture that stands may take its time; one that
// moves must follow, on machines without a graphics processor, too.

/** Pixels drawn for one pixel of the display, along an edge; each step draws 0.7 times as many as the one before. */
const steps = [1, 0.84, 0.71, 0.6, 0.5];
/** Frames that are judged together. */
const judged = 10;
/** Milliseconds from frame to frame: above the first it is too slow, below the second there is room. */
const slow = 42;
const smooth = 36;
/** Milliseconds of smoothness before a finer step is tried, at first and at most. */
const soonest = 2_000;
const latest = 64_000;
/** Whether a step can be held shows within so many milliseconds. */
const trial = 6_000;

/** What the picture does: it stands, it creeps (nothing visible happens within 200 ms), or it moves. */
export type Pace = "still" | "creeping" | "moving";

export class Sharpness {
  #step = 0;
  #intervals: number[] = [];
  #smoothSince = NaN;
  #raisedAt = -Infinity;
  #patience = soonest;

  /** Pixels to draw for a pixel of the style sheet, where the display has ratio. */
  pixels(pace: Pace, ratio: number): number {
    return pace === "moving" ? ratio * steps[this.#step]! : ratio;
  }

  /**
   * Takes the time between two frames of a moving picture of which the second was
   * wanted as soon as the first was there. In ms, as now.
   */
  hear(interval: number, now: number): void {
    if (interval > 2_000) return; // the page was hidden, or the machine asleep
    this.#intervals.push(interval);
    if (this.#intervals.length < judged) return;
    const mean = this.#intervals.reduce((sum, each) => sum + each, 0) / judged;
    this.#intervals.length = 0;
    if (mean > slow) {
      this.#smoothSince = NaN;
      if (this.#step === steps.length - 1) return;
      // What could not be held is not tried again soon.
      if (now - this.#raisedAt < trial) this.#patience = Math.min(this.#patience * 2, latest);
      this.#step = Math.min(this.#step + (mean > 2 * slow ? 2 : 1), steps.length - 1);
    } else if (mean > smooth || this.#step === 0) {
      this.#smoothSince = NaN;
    } else {
      if (Number.isNaN(this.#smoothSince)) this.#smoothSince = now;
      if (now - this.#smoothSince < this.#patience) return;
      this.#smoothSince = NaN;
      if (now - this.#raisedAt > 4 * trial) this.#patience = soonest;
      this.#raisedAt = now;
      this.#step--;
    }
  }

  /** The picture stands: the next motion is judged by itself. */
  rest(): void {
    this.#intervals.length = 0;
  }
}
