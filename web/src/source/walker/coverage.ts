// What stations and places see of a constellation.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  GetCoverageRequest,
  GetCoverageResponseSchema,
  StationGapsSchema,
} from "../../gen/orrery/v1alpha1/sky_pb";
import { duration, equatorialRadius, packed, seconds } from "../../model/units";
import { type Constellation, minElevation, places } from "./constellation";

/** Instants that are looked at, at most: a browser shall not stand still for it. */
const instantsAtMost = 40;

export function coverage(sky: Constellation, request: GetCoverageRequest): MessageInitShape<typeof GetCoverageResponseSchema> {
  const [rows, columns] = [request.rows || 45, request.columns || 90];
  const [from, to] = [seconds(request.from), seconds(request.to) || seconds(request.from) + 6000];
  const step = Math.max(seconds(request.step) || 60, (to - from) / instantsAtMost);
  const elevation = request.minElevation ?? minElevation;
  const share = new Float32Array(rows * columns);
  const mean = new Float32Array(rows * columns);
  const gap = new Float32Array(rows * columns);
  const current = new Float32Array(rows * columns);
  const at = new Float32Array(sky.count * 3);
  // Half the angle at the Earth's centre under which a satellite is seen.
  const [r, a, e] = [6371, 6371 + sky.shape.height, (elevation * Math.PI) / 180];
  const bound = Math.cos(Math.acos((r / a) * Math.cos(e)) - e) * (equatorialRadius + sky.shape.height);
  let instants = 0;
  for (let t = from; t < to; t += step, instants++) {
    sky.positions(t, at);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const [lat, lon] = [((row + 0.5) / rows - 0.5) * Math.PI, ((column + 0.5) / columns - 0.5) * 2 * Math.PI];
        const [x, y, z] = [Math.cos(lat) * Math.cos(lon), Math.cos(lat) * Math.sin(lon), Math.sin(lat)];
        let seen = 0;
        for (let i = 0; i < sky.satellites; i++)
          if (at[3 * i]! * x + at[3 * i + 1]! * y + at[3 * i + 2]! * z > bound) seen++;
        const cell = row * columns + column;
        mean[cell]! += seen;
        current[cell] = seen ? 0 : current[cell]! + step;
        gap[cell] = Math.max(gap[cell]!, current[cell]!);
        if (seen) share[cell]!++;
      }
  }
  for (let i = 0; i < share.length; i++) {
    share[i]! /= instants;
    mean[i]! /= instants;
  }
  return {
    rows,
    columns,
    minElevation: elevation,
    share: packed(share),
    mean: packed(mean),
    longestGap: packed(gap),
    instants,
  };
}

export function gaps(sky: Constellation, from: number, to: number): MessageInitShape<typeof StationGapsSchema>[] {
  return places.map(([station], g) => {
    const list = sky.contacts(from, to, new Set([sky.satellites + g]));
    const found: [number, number][] = [];
    let end = from;
    for (const contact of list) {
      if (contact.start > end) found.push([end, contact.start]);
      end = Math.max(end, contact.end);
    }
    if (end < to) found.push([end, to]);
    const lost = found.reduce((sum, [a, b]) => sum + b - a, 0);
    return {
      station,
      covered: 1 - lost / (to - from),
      longest: duration(Math.max(0, ...found.map(([a, b]) => b - a))),
      contacts: list.length,
      meanContacts: 1 - lost / (to - from),
      gaps: found.map(([a, b]) => ({ from: duration(a), to: duration(b) })),
    };
  });
}
