// A plan without a run: coverage and gaps.

import { html, type TemplateResult } from "lit-html";
import { Code, ConnectError } from "@connectrpc/connect";
import { Color } from "three";
import type { GetCoverageResponse, StationGaps } from "../gen/orrery/v1alpha1/sky_pb";
import { sleep } from "../model/session";
import { duration, float32s, seconds } from "../model/units";
import { ramp } from "../stage/palette";
import { clockTime, count, span } from "../ui/format";
import { attempt, type Desk, nodeLink, type Panel } from "./panel";

type Measure = "share" | "mean" | "longestGap";

export class PlanPanel implements Panel {
  #coverage: GetCoverageResponse | undefined;
  #measure: Measure = "share";
  #shown = false;
  #busy = false;
  #gaps: StationGaps[] = [];
  #open = "";
  #end = new AbortController();

  constructor(
    private readonly desk: Desk,
    private readonly plan: string,
  ) {
    void this.#loadGaps();
  }

  close(): void {
    this.#end.abort();
    this.desk.stage.coverage = undefined;
  }

  template(): TemplateResult {
    const { desk } = this;
    const inventory = desk.session.inventory!;
    const { message } = inventory;
    return html`
      <h2>${message.name}</h2>
      <div class="sub">
        ${count(inventory.satellites)} satellites, ${count(inventory.count - inventory.satellites)} stations. A plan: nothing runs.
      </div>
      ${message.warnings.map((warning) => html`<p class="note">${warning}</p>`)}
      <dl class="facts">
        ${message.groups.map(
          (group) =>
            html`<dt>${group.name}</dt>
              <dd>${count(group.nodes)} ${group.kind === "station" ? "stations" : `satellites${group.planes > 1 ? ` in ${group.planes} planes` : ""}`}</dd>`,
        )}
        <dt>Ports</dt>
        <dd>${count(message.ports.length)}</dd>
        <dt>Links now</dt>
        <dd>${count(desk.stage.links?.count ?? 0)}</dd>
      </dl>
      <h3>Coverage</h3>
      <div class="row">
        <button ?disabled=${this.#busy} aria-pressed=${this.#shown} @click=${() => this.#toggle()}>
          ${this.#busy ? "Computing …" : this.#shown ? "Hide coverage" : "Show coverage"}
        </button>
        <select
          aria-label="What coverage shows"
          @change=${(e: Event) => {
            this.#measure = (e.target as HTMLSelectElement).value as Measure;
            this.#paint();
          }}
        >
          <option value="share">Share of time</option>
          <option value="mean">Satellites in view</option>
          <option value="longestGap">Longest gap</option>
        </select>
      </div>
      ${this.#shown && this.#coverage ? this.#key(this.#coverage) : ""}
      <h3>Stations <small>first two hours</small></h3>
      <table>
        <tr>
          <th>Station</th>
          <th class="n">Served</th>
          <th class="n">Longest gap</th>
          <th class="n">Contacts</th>
        </tr>
        ${this.#gaps.map(
          (station) =>
            html`<tr>
                <td>${nodeLink(desk, station.station)}</td>
                <td class="n">${(station.covered * 100).toFixed(2)} %</td>
                <td class="n">
                  ${station.gaps.length
                    ? html`<button
                        class="link"
                        aria-expanded=${this.#open === station.station}
                        @click=${() => {
                          this.#open = this.#open === station.station ? "" : station.station;
                          desk.redraw();
                        }}
                      >
                        ${span(seconds(station.longest))}
                      </button>`
                    : "none"}
                </td>
                <td class="n">${count(station.contacts)}</td>
              </tr>
              ${this.#open === station.station
                ? station.gaps.slice(0, 40).map(
                    (gap) =>
                      html`<tr>
                        <td></td>
                        <td class="n" colspan="3">
                          <button class="link" @click=${() => desk.show(seconds(gap.from))}>
                            ${clockTime(seconds(gap.from))} – ${clockTime(seconds(gap.to))}
                          </button>
                        </td>
                      </tr>`,
                  )
                : ""}`,
        )}
      </table>
    `;
  }

  #key(coverage: GetCoverageResponse): TemplateResult {
    const [low, high] = this.#range(coverage);
    const text = (value: number) =>
      this.#measure === "share" ? `${Math.round(value * 100)} %` : this.#measure === "mean" ? value.toFixed(1) : span(value);
    return html`<div style="max-width:220px">
        <div
          style="height:6px;border-radius:3px;background:linear-gradient(90deg,var(--ramp-1),var(--ramp-2),var(--ramp-3),var(--ramp-4),var(--ramp-5))"
        ></div>
        <div style="display:flex;justify-content:space-between" class="sub"><span>${text(low)}</span><span>${text(high)}</span></div>
      </div>
      <p class="sub">Above ${coverage.minElevation}°, over ${coverage.instants} instants.</p>`;
  }

  #range(coverage: GetCoverageResponse): [number, number] {
    if (this.#measure === "share") return [0, 1];
    const values = float32s(coverage[this.#measure]);
    let high = 0;
    for (const value of values) high = Math.max(high, value);
    return [0, high || 1];
  }

  async #toggle(): Promise<void> {
    if (this.#shown) {
      this.#shown = false;
      this.desk.stage.coverage = undefined;
      this.desk.redraw();
      return;
    }
    this.#busy = true;
    this.desk.redraw();
    await attempt(this.desk, async () => {
      try {
        this.#coverage ??= await this.desk.session.source.sky.getCoverage(
          { plan: this.plan, from: duration(0), rows: 60, columns: 120 },
          { signal: this.#end.signal },
        );
        this.#shown = true;
        this.#paint();
      } catch (error) {
        if (!this.#end.signal.aborted) throw error;
      } finally {
        this.#busy = false;
      }
    });
  }

  #paint(): void {
    const coverage = this.#coverage;
    if (!coverage || !this.#shown) return;
    const values = float32s(coverage[this.#measure]);
    const [low, high] = this.#range(coverage);
    const rgba = new Uint8Array(values.length * 4);
    const colour = new Color();
    values.forEach((value, i) => {
      ramp(this.desk.stage.palette, (value - low) / (high - low), colour);
      rgba.set([colour.r * 255, colour.g * 255, colour.b * 255, 165], 4 * i);
    });
    this.desk.stage.coverage = { rows: coverage.rows, columns: coverage.columns, rgba };
    this.desk.redraw();
  }

  /** Asks again as long as the server is still computing the plan. */
  async #loadGaps(): Promise<void> {
    const { signal } = this.#end;
    await attempt(this.desk, async () => {
      while (!signal.aborted) {
        try {
          const request = { plan: this.plan, from: duration(0), to: duration(7200) };
          this.#gaps = (await this.desk.session.source.sky.getGaps(request, { signal })).stations;
          return;
        } catch (error) {
          if (!signal.aborted && ConnectError.from(error).code !== Code.Unavailable) throw error;
          await sleep(1000, signal);
        }
      }
    });
  }
}
