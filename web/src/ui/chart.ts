// Small line charts.

import { html, svg, type TemplateResult } from "lit-html";
import { clockTime } from "./format";

export interface Series {
  name: string;
  /** A CSS colour. */
  color: string;
  x: ArrayLike<number>;
  /** NaN leaves a gap. */
  y: ArrayLike<number>;
  dashed?: boolean;
}

const [width, height, left, bottom] = [340, 120, 44, 18];

/** Draws series over scenario time. The unit stands at the vertical axis. */
export function chart(series: Series[], unit: string, cursor?: number): TemplateResult {
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of series)
    for (let i = 0; i < x.length; i++) {
      if (!Number.isFinite(y[i]!)) continue;
      x0 = Math.min(x0, x[i]!);
      x1 = Math.max(x1, x[i]!);
      y0 = Math.min(y0, y[i]!);
      y1 = Math.max(y1, y[i]!);
    }
  if (!(x1 > x0)) return html`<p class="sub">Nothing has been measured yet.</p>`;
  const pad = Math.max((y1 - y0) * 0.08, y1 * 1e-3, 1e-9);
  [y0, y1] = [Math.max(0, y0 - pad), y1 + pad];
  const sx = (x: number) => left + ((x - x0) / (x1 - x0)) * (width - left);
  const sy = (y: number) => (height - bottom) * (1 - (y - y0) / (y1 - y0)) + 4;
  const step = tick((y1 - y0) / 3);
  const ticks: number[] = [];
  for (let y = Math.ceil(y0 / step) * step; y <= y1; y += step) ticks.push(y);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return html`
    <div class="key">
      ${series.length > 1 ? series.map((s) => html`<span><i style="background:${s.color}"></i>${s.name}</span>`) : ""}
    </div>
    <svg class="chart" viewBox="0 -8 ${width} ${height + 10}" role="img" aria-label=${series.map((s) => s.name).join(", ")}>
      <text x="0" y="-1">${unit}</text>
      ${ticks.map(
        (y) =>
          svg`<line class="axis" x1=${left} x2=${width} y1=${sy(y)} y2=${sy(y)} /><text x=${left - 6} y=${sy(y) + 3} text-anchor="end">${y.toFixed(digits)}</text>`,
      )}
      <text x=${left} y=${height}>${clockTime(x0)}</text>
      <text x=${width} y=${height} text-anchor="end">${clockTime(x1)}</text>
      ${series.map((s) => svg`<path class="line" d=${path(s, sx, sy)} stroke=${s.color} stroke-dasharray=${s.dashed ? "4 3" : "none"} />`)}
      ${cursor !== undefined && cursor >= x0 && cursor <= x1
        ? svg`<line class="cursor" x1=${sx(cursor)} x2=${sx(cursor)} y1="4" y2=${height - bottom + 4} />`
        : ""}
    </svg>
  `;
}

/** At most two points a pixel, the extremes of each, so that no spike is lost. */
function path(s: Series, sx: (x: number) => number, sy: (y: number) => number): string {
  const out: string[] = [];
  const stride = Math.max(1, Math.ceil(s.x.length / (width * 2)));
  let pen = "M";
  for (let i = 0; i < s.x.length; i += stride) {
    let [low, high] = [-1, -1];
    for (let k = i; k < Math.min(i + stride, s.x.length); k++) {
      if (!Number.isFinite(s.y[k]!)) continue;
      if (low < 0 || s.y[k]! < s.y[low]!) low = k;
      if (high < 0 || s.y[k]! > s.y[high]!) high = k;
    }
    if (low < 0) {
      pen = "M";
      continue;
    }
    for (const k of low === high ? [low] : [Math.min(low, high), Math.max(low, high)]) {
      out.push(`${pen}${sx(s.x[k]!).toFixed(1)} ${sy(s.y[k]!).toFixed(1)}`);
      pen = "L";
    }
  }
  return out.join("");
}

function tick(rough: number): number {
  const base = 10 ** Math.floor(Math.log10(rough));
  for (const m of [1, 2, 5, 10]) if (base * m >= rough) return base * m;
  return base * 10;
}
