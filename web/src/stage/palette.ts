// Colours of the stage. They are design tokens of the style sheet, so that light,
// dark and print have one source.

import { Color } from "three";

export interface Palette {
  background: Color;
  ocean: Color;
  land: Color;
  night: Color;
  coast: Color;
  border: Color;
  grid: Color;
  ink: string;
  muted: string;
  accent: Color;
  oracle: Color;
  station: Color;
  failed: Color;
  shells: Color[];
  /** By LinkClass. */
  links: Color[];
  ramp: Color[];
  dark: boolean;
}

export function readPalette(element: Element = document.documentElement): Palette {
  const style = getComputedStyle(element);
  const text = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const color = (name: string) => new Color(text(name));
  return {
    background: color("space"),
    ocean: color("ocean"),
    land: color("land"),
    night: color("night"),
    coast: color("coast"),
    border: color("border-line"),
    grid: color("graticule"),
    ink: text("ink"),
    muted: text("muted"),
    accent: color("accent"),
    oracle: color("oracle"),
    station: color("station"),
    failed: color("bad"),
    shells: [1, 2, 3, 4, 5, 6].map((i) => color(`shell-${i}`)),
    links: ["link-intra", "link-inter", "link-inter", "link-shell", "link-ground"].map(color),
    ramp: [1, 2, 3, 4, 5].map((i) => color(`ramp-${i}`)),
    dark: text("scheme") === "dark",
  };
}

/** A colour of the ramp; u from 0 to 1. */
export function ramp(palette: Palette, u: number, out: Color): Color {
  const n = palette.ramp.length - 1;
  const x = Math.min(Math.max(u, 0), 1) * n;
  const i = Math.min(Math.floor(x), n - 1);
  return out.copy(palette.ramp[i]!).lerp(palette.ramp[i + 1]!, x - i);
}
