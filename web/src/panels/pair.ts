import { html, type TemplateResult } from "lit-html";
import type { GetPairResponse, MeasureThroughputResponse, Path, PingResponse } from "../gen/orrery/v1alpha1/control_pb";
import { poll } from "../model/session";
import { float32s, float64s, seconds } from "../model/units";
import { chart } from "../ui/chart";
import { bits, clockTime, count, ms, msOf, span } from "../ui/format";
import { attempt, type Desk, head, nodeLink, type Panel, presentNote, sentence } from "./panel";

export interface Outages {
  from: number;
  to: number;
}

export class PairPanel implements Panel {
  #data: GetPairResponse | undefined;
  #times: Float64Array = new Float64Array(0);
  #measured: Float32Array = new Float32Array(0);
  #geometric: Float32Array = new Float32Array(0);
  #oracle: Float32Array = new Float32Array(0);
  #problem = "";
  #pings: PingResponse[] = [];
  #pinging: AbortController | undefined;
  #throughput: MeasureThroughputResponse | "running" | undefined;
  #measuringEnd = new AbortController();
  #stop = () => {};

  constructor(
    private readonly desk: Desk,
    private readonly a: string,
    private readonly b: string,
    outages: (list: Outages[]) => void,
  ) {
    if (!desk.session.running) return;
    this.#stop = poll(async (signal) => {
      try {
        const data = await desk.session.source.control.getPair({ a, b }, { signal });
        this.#data = data;
        this.#problem = "";
        this.#times = float64s(data.times);
        this.#measured = float32s(data.measuredMs);
        this.#geometric = float32s(data.geometricMs);
        this.#oracle = float32s(data.oracleMs);
        outages(data.outages.map((o) => ({ from: seconds(o.from), to: o.to ? seconds(o.to) : Infinity })));
        const nodes = (path?: Path) =>
          (path?.hops ?? []).map((hop) => desk.session.inventory!.node(hop.node)).filter((n) => n !== undefined);
        desk.stage.ways(nodes(data.kernel), nodes(data.oracle));
      } catch (error) {
        if (signal.aborted) return;
        this.#problem = sentence(error);
      }
      desk.redraw();
    }, 2000);
  }

  close(): void {
    this.#stop();
    this.#pinging?.abort();
    this.#measuringEnd.abort();
    this.desk.stage.ways([], []);
  }

  template(): TemplateResult {
    const { desk, a, b } = this;
    const { session } = desk;
    const data = this.#data;
    const pair = data?.pair;
    const reachable = pair ? pair.reachable : data?.kernel?.complete;
    return html`
      ${head(desk, `${a} – ${b}`, html`${nodeLink(desk, a)} · ${nodeLink(desk, b)}`)} ${presentNote(desk)}
      ${this.#problem ? html`<p class="problem">${this.#problem}</p>` : ""}
      ${session.running ? "" : html`<p class="sub">Paths are shown while a scenario runs.</p>`}
      ${data
        ? html`
            <div class="verdict">
              <span class="dot ${reachable ? "good" : "bad"}"></span
              ><span>${reachable ? "They reach each other" : "They do not reach each other"}</span>
              ${pair ? html`<small>${pair.since ? `for ${span(seconds(pair.since))}` : ""}, ${count(pair.lost)} of ${count(pair.sent)} requests lost</small>` : ""}
            </div>
            ${this.#instant()}
            <h3>Round trip</h3>
            ${chart(
              [
                { name: "measured", color: "var(--accent)", x: this.#times, y: this.#measured },
                { name: "geometric, same path", color: "var(--muted)", x: this.#times, y: this.#geometric, dashed: true },
                { name: "shortest", color: "var(--oracle)", x: this.#times, y: this.#oracle, dashed: true },
              ],
              "ms",
              session.clock.shown,
            )}
            <h3>Path now</h3>
            <div class="ways">
              ${this.#way("Kernels", "var(--accent)", data.kernel)} ${this.#way("Oracle", "var(--oracle)", data.oracle)}
            </div>
            ${data.outages.length
              ? html`<h3>Outages</h3>
                  <table>
                    ${[...data.outages]
                      .reverse()
                      .slice(0, 20)
                      .map(
                        (o) =>
                          html`<tr>
                            <td>
                              <button class="link" @click=${() => desk.show(seconds(o.from))}>${clockTime(seconds(o.from))}</button>
                            </td>
                            <td>${o.to ? span(seconds(o.to) - seconds(o.from)) : "still"}</td>
                            <td>${o.problem}</td>
                          </tr>`,
                      )}
                  </table>`
              : ""}
            ${session.mayEnter ? this.#measuring() : ""}
          `
        : ""}
    `;
  }

  /** What was measured at the instant that the page shows. */
  #instant(): TemplateResult | string {
    const { clock } = this.desk.session;
    const n = this.#times.length;
    if (!n) return "";
    let i = n - 1;
    if (!clock.following) {
      const t = clock.shown;
      if (t > this.#times[n - 1]! + 2 || t < this.#times[0]! - 2) return "";
      i = this.#times.findIndex((time) => time >= t);
      if (i < 0) i = n - 1;
    }
    const [measured, geometric] = [this.#measured[i]!, this.#geometric[i]!];
    return html`<dl class="facts">
      <dt>At ${clockTime(this.#times[i]!)}</dt>
      <dd>${Number.isFinite(measured) ? ms(measured) : "request lost"}</dd>
      <dt>Geometric</dt>
      <dd>${ms(geometric)}${Number.isFinite(measured - geometric) ? html` <span class="sub">off by ${(measured - geometric).toFixed(3)} ms</span>` : ""}</dd>
    </dl>`;
  }

  #way(title: string, color: string, path: Path | undefined): TemplateResult {
    return html`<div style="--way:${color}">
      <b>${title}</b> <span class="sub">${path?.complete ? msOf(path.delay) : ""}</span>
      <ol class="hops">
        ${(path?.hops ?? []).map(
          (hop) => html`<li>${nodeLink(this.desk, hop.node)}<span class="sub">${hop.port}</span></li>`,
        )}
      </ol>
      ${path && !path.complete ? html`<p class="problem">${path.problem}</p>` : ""}
    </div>`;
  }

  #measuring(): TemplateResult {
    const t = this.#throughput;
    return html`
      <h3>Measure</h3>
      <div class="row">
        ${this.#pinging
          ? html`<button @click=${() => this.#pinging?.abort()}>Stop ping</button>`
          : html`<button @click=${() => this.#ping()}>Ping ${this.b}</button>`}
        <button ?disabled=${t === "running"} @click=${() => this.#iperf()}>
          ${t === "running" ? "iperf3 is running …" : "iperf3 for 10 s"}
        </button>
      </div>
      ${this.#pings.length
        ? html`<table class="pings">
            <tr>
              <th class="n">#</th>
              <th class="n">Measured</th>
              <th class="n">Geometric</th>
              <th class="n">Hops</th>
            </tr>
            ${this.#pings.slice(-8).map(
              (p) =>
                html`<tr>
                  <td class="n">${p.sequence}</td>
                  <td class="n">${p.lost ? "lost" : msOf(p.measuredRtt)}</td>
                  <td class="n">${msOf(p.geometricRtt)}</td>
                  <td class="n">${p.hops || p.problem}</td>
                </tr>`,
            )}
          </table>`
        : ""}
      ${t && t !== "running"
        ? html`<dl class="facts">
            <dt>Throughput</dt>
            <dd>${bits(t.bitsPerSecond)}${t.retransmits ? `, ${count(t.retransmits)} retransmits` : ""}</dd>
          </dl>`
        : ""}
    `;
  }

  async #ping(): Promise<void> {
    const end = (this.#pinging = new AbortController());
    this.#pings = [];
    await attempt(this.desk, async () => {
      try {
        for await (const answer of this.desk.session.source.control.ping(
          { from: this.a, to: this.b, count: 10 },
          { signal: end.signal },
        )) {
          this.#pings.push(answer);
          this.desk.redraw();
        }
      } catch (error) {
        if (!end.signal.aborted) throw error;
      } finally {
        this.#pinging = undefined;
      }
    });
  }

  async #iperf(): Promise<void> {
    this.#throughput = "running";
    this.desk.redraw();
    await attempt(this.desk, async () => {
      const before = this.#throughput;
      try {
        this.#throughput = await this.desk.session.source.control.measureThroughput(
          { from: this.a, to: this.b },
          { signal: this.#measuringEnd.signal },
        );
      } catch (error) {
        if (!this.#measuringEnd.signal.aborted) throw error;
      } finally {
        if (this.#throughput === before) this.#throughput = undefined;
      }
    });
  }
}
