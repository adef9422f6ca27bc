// Conversions at the edge of messages: inside, scenario times are seconds.

import { create } from "@bufbuild/protobuf";
import { DurationSchema, type Duration, type Timestamp } from "@bufbuild/protobuf/wkt";

/** Mean equatorial radius of WGS-84 in km, and the polar one. */
export const equatorialRadius = 6378.137;
export const polarRadius = 6356.7523;
/** km/s */
export const lightSpeed = 299_792.458;
/** Rotation of the Earth in rad/s (IERS Conventions 2010, table 1.1). */
export const earthRate = 7.292115e-5;

export function seconds(d: Duration | undefined): number {
  return d ? Number(d.seconds) + d.nanos * 1e-9 : 0;
}

export function milliseconds(d: Duration | undefined): number {
  return d ? Number(d.seconds) * 1e3 + d.nanos * 1e-6 : NaN;
}

export function duration(s: number): Duration {
  let whole = Math.trunc(s);
  let nanos = Math.round((s - whole) * 1e9);
  if (Math.abs(nanos) === 1e9) {
    whole += Math.sign(nanos);
    nanos = 0;
  }
  return create(DurationSchema, { seconds: BigInt(whole), nanos });
}

/** Milliseconds since 1970. */
export function instant(t: Timestamp | undefined): number {
  return t ? Number(t.seconds) * 1e3 + t.nanos * 1e-6 : 0;
}

/** Packed little-endian arrays; a copy is made where the bytes lie unaligned. */
function aligned(bytes: Uint8Array, size: number): ArrayBuffer | SharedArrayBuffer {
  return bytes.byteOffset % size === 0 && bytes.buffer.byteLength === bytes.byteLength ? bytes.buffer : bytes.slice().buffer;
}
export const float32s = (bytes: Uint8Array) => new Float32Array(aligned(bytes, 4));
export const float64s = (bytes: Uint8Array) => new Float64Array(aligned(bytes, 8));
export const uint32s = (bytes: Uint8Array) => new Uint32Array(aligned(bytes, 4));
export const packed = (array: Float32Array | Float64Array | Uint32Array) =>
  new Uint8Array(array.buffer.slice(array.byteOffset, array.byteOffset + array.byteLength) as ArrayBuffer);

/**
 * Latitude and longitude in degrees, and height above the ellipsoid of WGS-84 in km,
 * of a place in ECEF km. Bowring's formula (Survey Review 23, 1976, 323-327): below
 * 1 m up to geostationary heights.
 */
export function geodetic([x, y, z]: [number, number, number]): { latitude: number; longitude: number; height: number } {
  const [a, b] = [equatorialRadius, polarRadius];
  const e2 = 1 - (b / a) ** 2;
  const p = Math.hypot(x, y);
  const beta = Math.atan2(z * a, p * b);
  const latitude = Math.atan2(z + (a ** 2 / b ** 2 - 1) * b * Math.sin(beta) ** 3, p - e2 * a * Math.cos(beta) ** 3);
  const n = a / Math.sqrt(1 - e2 * Math.sin(latitude) ** 2);
  // The same height by either coordinate; the greater one divides better.
  const [s, c] = [Math.sin(latitude), Math.cos(latitude)];
  const height = Math.abs(c) > Math.abs(s) ? p / c - n : z / s - n * (1 - e2);
  return { latitude: (latitude * 180) / Math.PI, longitude: (Math.atan2(y, x) * 180) / Math.PI, height };
}
