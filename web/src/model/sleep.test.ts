// A browser that sleeps: a frozen tab, a closed notebook. When it wakes, an hour has
// passed at once; the page must be in the present soon, with little work and memory.

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EventSchema, type Event } from "../gen/orrery/v1alpha1/control_pb";
import { walker } from "../source/walker/services";
import type { Source } from "../source/source";
import { Clock } from "./clock";
import { Contacts } from "./contacts";
import { Motion } from "./motion";
import { Session } from "./session";
import { duration } from "./units";

const hour = 3600;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const event = (sequence: number): Event =>
  create(EventSchema, { sequence: BigInt(sequence), kind: "note", text: `${sequence}`, at: duration(sequence), hostTime: timestampFromMs(sequence) });

/** A source whose streams are those that a test gives, one for each time that it is asked. */
function streams(events: ((signal: AbortSignal) => AsyncIterable<{ event: Event }>)[]) {
  const real = walker({});
  const asked = { inventory: 0, status: 0, events: 0 };
  const silent = async function* (signal: AbortSignal) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  const source = {
    ...real,
    sky: { ...real.sky, getInventory: (...args: Parameters<typeof real.sky.getInventory>) => (asked.inventory++, real.sky.getInventory(...args)) },
    control: {
      ...real.control,
      watchStatus: (_: unknown, { signal }: { signal: AbortSignal }) => (asked.status++, silent(signal)),
      watchEvents: (_: unknown, { signal }: { signal: AbortSignal }) => (asked.events++, (events.shift() ?? silent)(signal)),
    },
  };
  return { source: source as unknown as Source, asked };
}

describe("after an hour of sleep", () => {
  it("a burst of events is one change, and what is kept has a bound", async () => {
    const burst = 100_000;
    const { source } = streams([
      async function* (signal) {
        yield { event: event(0) };
        await new Promise((resolve) => setTimeout(resolve, hour * 1e3));
        for (let i = 1; i <= burst; i++) yield { event: event(i) };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    ]);
    const session = new Session(source);
    let changes = 0;
    session.events.watch(() => changes++);
    session.start();
    await vi.advanceTimersByTimeAsync(1000);
    expect(session.events.value).toHaveLength(1);
    const before = changes;
    await vi.advanceTimersByTimeAsync(hour * 1e3 + 1000);
    session.close();
    expect(session.events.value[0]?.sequence).toBe(BigInt(burst));
    expect(session.events.value.length).toBeLessThanOrEqual(500);
    expect(changes - before).toBeLessThanOrEqual(2);
  });

  it("a stream that has died meanwhile is asked for once more, not once a second that was missed", async () => {
    const { source, asked } = streams([
      async function* () {
        yield { event: event(0) };
        await new Promise((resolve) => setTimeout(resolve, hour * 1e3));
        throw new Error("the connection was reset");
      },
    ]);
    const session = new Session(source);
    session.start();
    await vi.advanceTimersByTimeAsync(hour * 1e3 + 5000);
    expect(asked).toEqual({ inventory: 2, status: 2, events: 2 });
    expect(session.connection.value.state).toBe("connected");
    session.close();
  });

  it("the clock is in the present with the first word of the server", () => {
    // The clock of a page may have stood while the machine slept, or not.
    for (const passed of [0, hour]) {
      let now = 10;
      const clock = new Clock(() => now);
      clock.hear(100, 1, false);
      now += passed;
      clock.hear(100 + hour, 1, false);
      expect(clock.shown).toBeCloseTo(100 + hour, 1);
    }
  });

  const kinds = {
    positions: (source: Source) => {
      const motion = new Motion(source, "", 6000, () => {});
      const out = new Float32Array(76 * 3);
      return (t: number) => motion.at(t, 1, out);
    },
    contacts: (source: Source) => {
      const contacts = new Contacts(source, "", () => {});
      return (t: number) => contacts.at(t, 1);
    },
  };
  for (const [name, make] of Object.entries(kinds)) {
    it(`what was missed is not asked for: ${name}`, async () => {
      const real = walker({});
      let asked = 0;
      const counting = <T extends (...args: never[]) => unknown>(ask: T) => ((...args: Parameters<T>) => (asked++, ask(...args))) as T;
      const at = make({
        ...real,
        sky: { ...real.sky, getPositions: counting(real.sky.getPositions), getContacts: counting(real.sky.getContacts) },
      });
      const wake = async (t: number) => {
        const before = asked;
        at(t);
        await vi.advanceTimersByTimeAsync(100);
        expect(at(t)).toBe(true);
        return asked - before;
      };
      // It sleeps ten times: each time the piece of now, and the next one at most.
      for (let i = 0; i < 10; i++) expect(await wake(60 + i * hour)).toBeLessThanOrEqual(2);
      // What was shown ten hours ago is no longer kept.
      expect(await wake(60)).toBeGreaterThanOrEqual(1);
    });
  }
});
