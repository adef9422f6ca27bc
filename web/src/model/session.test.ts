import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Source } from "../source/source";
import { walker } from "../source/walker/services";
import { Contacts } from "./contacts";
import { Motion } from "./motion";
import { Session, sleep } from "./session";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("a session shows a run's first event, too", async () => {
  const session = new Session(walker({}));
  session.start();
  for (let i = 0; i < 50 && !session.events.value.length; i++) await vi.advanceTimersByTimeAsync(100);
  session.close();
  expect(session.events.value.at(-1)?.text).toBe("The run has begun.");
});

it("a session that shows the past of a run asks what was measured then, once", async () => {
  const source = walker({});
  const ask = vi.spyOn(source.control, "getTraffic");
  const session = new Session(source);
  session.start();
  for (let i = 0; i < 50 && !session.status.value; i++) await vi.advanceTimersByTimeAsync(100);
  session.clock.show(session.clock.present - 100);
  await vi.advanceTimersByTimeAsync(1000);
  const past = session.past.value!;
  expect(past.span![0]).toBeLessThanOrEqual(session.clock.shown);
  expect(past.span![1]).toBeGreaterThanOrEqual(session.clock.shown);
  expect(past.bits.length).toBe(session.inventory!.message.ports.length);
  await vi.advanceTimersByTimeAsync(5000);
  expect(ask).toHaveBeenCalledTimes(1);
  // The future has not been measured, and the present is what the other streams tell.
  session.clock.show(session.clock.present + 100);
  await vi.advanceTimersByTimeAsync(500);
  expect(session.past.value).toBeUndefined();
  expect(session.ahead).toBe(true);
  session.clock.show(session.clock.present - 50);
  await vi.advanceTimersByTimeAsync(500);
  expect(session.past.value).toBeDefined();
  session.clock.follow();
  await vi.advanceTimersByTimeAsync(500);
  expect(session.past.value).toBeUndefined();
  session.close();
});

it("many sleeps leave nothing at their signal", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
  signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
  const slept = sleep(10, signal);
  await vi.advanceTimersByTimeAsync(10);
  await slept;
  expect(listeners).toBe(0);
});

describe("what cannot be loaded", () => {
  /** Answers by turns of the list; undefined: never, until it is called off. */
  const source = (answers: unknown[]) => {
    const ask = vi.fn((_: unknown, { signal }: { signal: AbortSignal }) => {
      const answer = answers.shift();
      if (answer instanceof Error) return Promise.reject(answer);
      if (answer) return Promise.resolve(answer);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("called off"))));
    });
    return { sky: { getContacts: ask, getPositions: ask } as unknown, ask } as unknown as Source & { ask: typeof ask };
  };
  const none = { count: 0, nodes: 0, ports: new Uint8Array(), spans: new Uint8Array(), flags: new Uint8Array(), kilometres: new Uint8Array() };
  const kinds = {
    contacts: (from: Source, loaded: () => void) => {
      const contacts = new Contacts(from, "", loaded);
      return (t: number) => contacts.at(t, 1);
    },
    motion: (from: Source, loaded: () => void) => {
      const motion = new Motion(from, "", 5400, loaded);
      return (t: number) => motion.at(t, 1, new Float32Array(0));
    },
  };
  for (const [name, make] of Object.entries(kinds)) {
    it(`is asked for again while time stands: ${name}`, async () => {
      const from = source([new Error("no"), none]);
      const at = make(from, () => at(0));
      expect(at(0)).toBe(false);
      await vi.advanceTimersByTimeAsync(900);
      expect(from.ask).toHaveBeenCalledTimes(1);
      await vi.advanceTimersByTimeAsync(300);
      expect(at(0)).toBe(true);
    });
    it(`is asked for again if it was called off: ${name}`, async () => {
      const from = source([undefined, undefined, none]);
      let t = 0;
      const at = make(from, () => at(t));
      at(t);
      at((t = 5000)); // calls the first off
      at((t = 0)); // before it has heard of that
      await vi.advanceTimersByTimeAsync(100);
      expect(at(0)).toBe(true);
    });
  }
});
