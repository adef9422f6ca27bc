import { html, type TemplateResult } from "lit-html";
import { type Event, type Pair, Phase, type Status, Verdict_Level } from "../gen/orrery/v1alpha1/control_pb";
import { recovery } from "../model/recovery";
import { seconds } from "../model/units";
import { clockTime, count, msOf, span, spanOf } from "../ui/format";
import { attempt, type Desk, failureList, type Panel, presentNote } from "./panel";

const verdicts: Record<Verdict_Level, [string, string]> = {
  [Verdict_Level.UNSPECIFIED]: ["wait", "Not judged yet"],
  [Verdict_Level.FAITHFUL]: ["good", "Faithful"],
  [Verdict_Level.DEGRADED]: ["warn", "Degraded"],
  [Verdict_Level.OVERLOADED]: ["bad", "Overloaded"],
};

const phases: Record<Phase, string> = {
  [Phase.UNSPECIFIED]: "",
  [Phase.STARTING]: "is starting",
  [Phase.CONVERGING]: "converges",
  [Phase.RUNNING]: "is running",
  [Phase.STOPPING]: "is stopping",
  [Phase.FAILED]: "has failed",
};

/** Stations that a matrix can hold and still be read. */
const most = 24;

export class RunPanel implements Panel {
  #stops: (() => void)[];
  #topology = false;

  constructor(private readonly desk: Desk) {
    this.#stops = [
      desk.session.status.watch(() => desk.redraw()),
      desk.session.events.watch(() => desk.redraw()),
    ];
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  template(): TemplateResult {
    const { desk } = this;
    const status = desk.session.status.value;
    if (!status) return html`<p class="sub">Waiting for the run …</p>`;
    const level = status.fidelity?.verdict?.level ?? Verdict_Level.UNSPECIFIED;
    const [dot, word] = verdicts[level];
    const reasons = status.fidelity?.verdict?.reasons ?? [];
    return html`
      <h2>${status.name} ${phases[status.phase]}</h2>
      <div class="sub">${count(status.satellites)} satellites, ${count(status.stations)} stations · ${status.routing.join(", ")}</div>
      ${presentNote(desk)} ${status.problems.map((problem) => html`<p class="problem">${problem}</p>`)}
      <div class="verdict" title="Whether this emulation can be trusted">
        <span class="dot ${dot}"></span><span>${word}</span>
        <small>frames late by ${spanOf(status.fidelity?.latenessP50)}, 99th ${spanOf(status.fidelity?.latenessP99)}</small>
      </div>
      ${reasons.map((reason) => html`<p class="sub">${reason}</p>`)}
      ${this.#facts(status)} ${failureList(desk, status.failures)}
      ${status.failures.length > 1
        ? html`<div class="row">
            <button
              ?disabled=${!desk.session.mayChange}
              @click=${() => attempt(desk, () => desk.session.source.control.undo({ all: true }))}
            >
              Undo all
            </button>
          </div>`
        : ""}
      ${status.pairs.length ? this.#matrix(status.pairs) : ""} ${this.#events()}
    `;
  }

  #facts(status: Status): TemplateResult {
    const reached = status.pairs.filter((pair) => pair.reachable).length;
    return html`<dl class="facts">
      <dt>Links</dt>
      <dd>${count(status.islLinks)} between satellites, ${count(status.groundLinks)} to the ground</dd>
      ${status.hasAdjacencies
        ? html`<dt>Adjacencies</dt>
            <dd>${count(status.adjacencies)} of ${count(status.adjacenciesPossible)}</dd>`
        : ""}
      <dt>Processes</dt>
      <dd>${count(status.processesRunning)} of ${count(status.processes)}</dd>
      ${status.convergedAfter || status.pairs.length
        ? html`<dt>Convergence</dt>
            <dd>
              ${status.convergedAfter ? `${span(seconds(status.convergedAfter))} after the start` : "not yet"}${status.pairs.length ? `; ${reached} of ${status.pairs.length} pairs now` : ""}
            </dd>`
        : ""}
      ${status.lastEvent
        ? html`<dt>Last change</dt>
            <dd>${span(seconds(status.scenarioTime) - seconds(status.lastEvent.at))} ago: ${what(status.lastEvent)}</dd>`
        : ""}
      ${this.#recovered(status)}
      ${status.nextEvent
        ? html`<dt>Next change</dt>
            <dd>in ${span(seconds(status.nextEvent.at) - seconds(status.scenarioTime))}: ${what(status.nextEvent)}</dd>`
        : ""}
      <dt>Frames</dt>
      <dd>${count(Math.round(status.framesPerSecond))} a second</dd>
    </dl>`;
  }

  /** What the last change, also one by hand, has done to pairs of stations. */
  #recovered(status: Status): TemplateResult | string {
    const since = status.pairs.length ? recovery(this.desk.session.events.value, status.pairs) : undefined;
    if (!since) return "";
    const { out, back, after } = since;
    return html`<dt>Recovery</dt>
      <dd class="recovery">
        ${out
          ? `${count(out)} of ${status.pairs.length} pairs ${out === 1 ? "is" : "are"} cut off`
          : back
            ? `${count(back)} ${back === 1 ? "pair" : "pairs"} reached again, the last ${span(after)} after it`
            : "no pair was cut off"}
      </dd>`;
  }

  #matrix(pairs: readonly Pair[]): TemplateResult {
    const { desk } = this;
    const names = [...new Set(pairs.flatMap((pair) => [pair.a, pair.b]))].slice(0, most);
    const find = (a: string, b: string) => pairs.find((p) => (p.a === a && p.b === b) || (p.a === b && p.b === a));
    return html`<h3>Reachability <small>round trip in ms</small></h3>
      <div class="matrix" tabindex="0">
        <table>
          ${names.slice(1).map(
            (row, r) =>
              html`<tr>
                <th scope="row">${row}</th>
                ${names.slice(0, r + 1).map((column) => {
                  const pair = find(row, column);
                  if (!pair) return html`<td><i></i></td>`;
                  const rtt = pair.measuredRtt ? Math.round(seconds(pair.measuredRtt) * 1e3) : "";
                  const state = pair.reachable ? "" : pair.sent > 0n ? "bad" : "wait";
                  return html`<td>
                    <button
                      class=${state}
                      title="${column} – ${row}: ${pair.reachable ? msOf(pair.measuredRtt) : "not reachable"}"
                      aria-label="${column} to ${row}, ${pair.reachable ? `${rtt} ms` : "not reachable"}"
                      @click=${() => desk.select({ kind: "pair", a: column, b: row })}
                    >
                      ${pair.reachable ? rtt : "×"}
                    </button>
                  </td>`;
                })}
              </tr>`,
          )}
          <tr>
            <th></th>
            ${names.slice(0, -1).map((column) => html`<th class="across" scope="col">${column}</th>`)}
          </tr>
        </table>
      </div>
      ${new Set(pairs.flatMap((pair) => [pair.a, pair.b])).size > most ? html`<p class="sub">The first ${most} stations.</p>` : ""}`;
  }

  #events(): TemplateResult {
    const { desk } = this;
    const all = desk.session.events.value;
    const shown = all.filter((event) => this.#topology || !event.kind.startsWith("link-")).slice(0, 60);
    return html`<h3>
        Events
        <small>
          <label
            ><input
              type="checkbox"
              style="width:auto;min-height:0;vertical-align:-2px"
              .checked=${this.#topology}
              @change=${(e: InputEvent) => {
                this.#topology = (e.target as HTMLInputElement).checked;
                desk.redraw();
              }}
            />
            links too</label
          >
        </small>
      </h3>
      <ol class="events">
        ${shown.map(
          (event) =>
            html`<li>
              <time
                ><button class="link" @click=${() => desk.show(seconds(event.at))}>${clockTime(seconds(event.at))}</button></time
              ><span class="what">${what(event)}</span>
            </li>`,
        )}
      </ol>
      ${shown.length ? "" : html`<p class="sub">None yet.</p>`}`;
  }
}

export function what(event: Event): string {
  const between = [event.a, event.b].filter(Boolean).join(" – ");
  const sign: Record<string, string> = { "link-up": "+", "link-down": "−" };
  const word = sign[event.kind] ?? event.kind.replace("-", " ");
  return [word, between, event.text && event.text !== between ? (event.kind in sign ? `(${event.text})` : event.text) : ""]
    .filter(Boolean)
    .join(" ");
}
