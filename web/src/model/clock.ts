// Two times: that of the run, which its server tells now and then, and that which
// the page shows. The page follows the run, or has been moved elsewhere.

export class Clock {
  /** Scenario seconds per second, of the run; of the plan where there is no run. */
  speed = 1;
  paused = false;
  /** Whether the page shows the present of the run. */
  following = true;
  /** Playback of an instant elsewhere: scenario seconds per second. */
  replaySpeed = 0;

  #base = 0;
  #baseAt: number;
  #shown = 0;
  #shownAt: number;
  #heard = false;

  /** now gives seconds that never go back. */
  constructor(private readonly now: () => number = () => performance.now() / 1e3) {
    this.#baseAt = this.#shownAt = now();
  }

  /** The run's time, as the last word of the server lets expect. */
  get present(): number {
    return this.#base + (this.paused ? 0 : (this.now() - this.#baseAt) * this.speed);
  }

  /** The time that the page shows. */
  get shown(): number {
    if (this.following) return this.present;
    return Math.max(0, this.#shown + (this.now() - this.#shownAt) * this.replaySpeed);
  }

  get moving(): boolean {
    return this.following ? !this.paused && this.speed > 0 : this.replaySpeed !== 0;
  }

  /**
   * Takes the server's word. What is off by the time that a message takes is
   * closed gently, so that nothing jumps; what is off by more, at once.
   */
  hear(time: number, speed: number, paused: boolean): void {
    const expected = this.present;
    const off = time - expected;
    const steady = this.#heard && speed === this.speed && paused === this.paused;
    this.#heard = true;
    this.#base = steady && !paused && Math.abs(off) < 1.5 * speed ? expected + off * 0.1 : time;
    this.#baseAt = this.now();
    this.speed = speed;
    this.paused = paused;
  }

  /** Shows another instant. A playback goes on from there. */
  show(time: number): void {
    this.following = false;
    this.#shown = Math.max(0, time);
    this.#shownAt = this.now();
  }

  replay(speed: number): void {
    this.show(this.shown);
    this.replaySpeed = speed;
  }

  follow(): void {
    this.following = true;
    this.replaySpeed = 0;
  }
}
