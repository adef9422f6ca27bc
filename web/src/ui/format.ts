// Figures as people read them.

import { seconds } from "../model/units";
import type { Duration } from "@bufbuild/protobuf/wkt";

const two = (n: number) => String(n).padStart(2, "0");

/** Scenario time: 01:02:03, with days before it where there are any. */
export function clockTime(s: number, fine = false): string {
  if (!Number.isFinite(s)) return "–";
  const sign = s < 0 ? "−" : "";
  const t = Math.abs(s);
  const whole = Math.floor(t);
  const days = Math.floor(whole / 86400);
  const text = `${two(Math.floor(whole / 3600) % 24)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  const fraction = fine ? `.${String(Math.floor((t - whole) * 1000)).padStart(3, "0")}` : "";
  return `${sign}${days ? `${days}d ` : ""}${text}${fraction}`;
}

export function utc(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "";
  return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A length of time with the unit that fits. */
export function span(s: number): string {
  if (!Number.isFinite(s)) return "–";
  const t = Math.abs(s);
  if (t === 0) return "0 s";
  if (t < 1e-3) return `${(s * 1e6).toFixed(t < 1e-5 ? 1 : 0)} µs`;
  if (t < 1) return `${(s * 1e3).toFixed(t < 0.1 ? 2 : 0)} ms`;
  if (t < 120) return `${s.toFixed(t < 10 ? 1 : 0)} s`;
  if (t < 7200) return `${Math.floor(s / 60)} min ${two(Math.floor(s % 60))} s`;
  return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
}

export const spanOf = (d: Duration | undefined) => (d ? span(seconds(d)) : "–");

/** One digit after the point would hide what Orrery is exact about. */
export const ms = (value: number) => (Number.isFinite(value) ? `${value.toFixed(3)} ms` : "–");
export const msOf = (d: Duration | undefined) => (d ? ms(seconds(d) * 1e3) : "–");

export function bits(perSecond: number): string {
  if (!Number.isFinite(perSecond)) return "–";
  const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
  let [value, i] = [perSecond, 0];
  while (value >= 1000 && i < units.length - 1) {
    value /= 1000;
    i++;
  }
  return `${value.toFixed(value >= 100 || i === 0 ? 0 : value >= 10 ? 1 : 2)} ${units[i]}`;
}

export function count(n: bigint | number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, " ");
}

export function place(latitude: number, longitude: number): string {
  const side = (value: number, plus: string, minus: string) => `${Math.abs(value).toFixed(2)}° ${value < 0 ? minus : plus}`;
  return `${side(latitude, "N", "S")}, ${side(longitude, "E", "W")}`;
}
