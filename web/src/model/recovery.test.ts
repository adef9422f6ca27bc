import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { EventSchema, PairSchema } from "../gen/orrery/v1alpha1/control_pb";
import { recovery } from "./recovery";
import { duration } from "./units";

const event = (at: number, kind: string, a = "", b = "") => create(EventSchema, { at: duration(at), kind, a, b });
const pair = (reachable: boolean, sent = 1n) => create(PairSchema, { reachable, sent });

it("recovery is counted from the last change", () => {
  expect(recovery([], [pair(true)])).toBeUndefined();
  expect(recovery([event(3, "reachable", "a", "b")], [])).toBeUndefined();
  expect(recovery([event(9, "link-down")], [pair(true)])).toEqual({ out: 0, back: 0, after: 0 });
  const events = [
    event(14.5, "reachable", "a", "c"),
    event(13, "reachable", "a", "b"),
    event(12.5, "unreachable", "a", "c"),
    event(12.2, "unreachable", "a", "b"),
    event(12, "link-down"),
    event(8, "reachable", "b", "c"), // of the change before
    event(7, "link-up"),
  ];
  expect(recovery(events, [pair(true), pair(false), pair(false, 0n)])).toEqual({ out: 1, back: 2, after: 2.5 });
  expect(recovery([event(20, "undone"), ...events], [pair(true)])).toEqual({ out: 0, back: 0, after: 0 });
});
