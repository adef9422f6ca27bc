import { html, type TemplateResult } from "lit-html";
import { Failure_Kind, type GetNodeResponse } from "../gen/orrery/v1alpha1/control_pb";
import { poll } from "../model/session";
import { count, msOf, place, span, spanOf } from "../ui/format";
import { LinkClass } from "../model/contacts";
import { distance } from "../stage/lines";
import { geodetic, lightSpeed } from "../model/units";
import { attempt, type Desk, failureList, head, nodeLink, type Panel, presentNote, sentence } from "./panel";

export class NodePanel implements Panel {
  #data: GetNodeResponse | undefined;
  #problem = "";
  #log: { process: string; text: string } | undefined;
  #stop = () => {};

  constructor(
    private readonly desk: Desk,
    private readonly name: string,
  ) {
    if (!desk.session.running) return;
    this.#stop = poll(async (signal) => {
      try {
        this.#data = await desk.session.source.control.getNode({ name }, { signal });
        this.#problem = "";
      } catch (error) {
        if (signal.aborted) return;
        this.#problem = sentence(error);
      }
      desk.redraw();
    }, 2000);
  }

  close(): void {
    this.#stop();
  }

  template(): TemplateResult {
    const { desk, name } = this;
    const inventory = desk.session.inventory!;
    const index = inventory.node(name)!;
    const planned = inventory.message.nodes[index]!;
    const group = inventory.message.groups[planned.group];
    const sub = [
      group?.kind === "station" ? "Ground station" : `Satellite of ${group?.name}`,
      planned.plane >= 0 ? `plane ${planned.plane + 1}, slot ${planned.slot + 1}` : "",
      planned.routing,
    ].filter(Boolean);
    const node = this.#data?.node;
    const at = node ?? geodetic(desk.stage.position(index));
    return html`
      ${head(desk, name, sub.join(" · "))} ${presentNote(desk)}
      ${this.#problem ? html`<p class="problem">${this.#problem}</p>` : ""}
      ${this.#data?.terminals.length && desk.session.mayEnter
        ? html`<div class="row">
            ${this.#data.terminals.map(
              (program) => html`<button @click=${() => desk.openTerminal(name, program)}>${program} ›</button>`,
            )}
          </div>`
        : ""}
      <dl class="facts">
        ${Number.isFinite(at.height)
          ? html`<dt>Position</dt>
              <dd>${place(at.latitude, at.longitude)}, ${at.height.toFixed(1)} km</dd>`
          : ""}
        ${inventory.period(index) ? html`<dt>Period</dt><dd>${span(inventory.period(index))}</dd>` : ""}
        ${group?.kind === "station" ? html`<dt>Elevation from</dt><dd>${planned.minElevation}°</dd>` : ""}
        ${node?.loopback ? html`<dt>Loopback</dt><dd class="mono">${node.loopback} ${node.loopback4}</dd>` : ""}
      </dl>
      ${failureList(desk, this.#data?.failures ?? [])} ${this.#data ? this.#running(this.#data) : this.#planned(index)}
    `;
  }

  /** Without a run: what the plan says of the instant that is shown. */
  #planned(index: number): TemplateResult {
    const { desk } = this;
    const { stage } = desk;
    const inventory = desk.session.inventory!;
    const links = stage.links;
    const rows: TemplateResult[] = [];
    for (let i = 0; links && i < links.count; i++) {
      const [p, q] = [links.ports[2 * i]!, links.ports[2 * i + 1]!];
      const mine = inventory.portNode[p] === index ? p : inventory.portNode[q] === index ? q : undefined;
      if (mine === undefined) continue;
      const peer = mine === p ? q : p;
      const delay = distance(stage.kilometres, inventory, p, q) / lightSpeed;
      rows.push(
        html`<tr>
          <td>${inventory.message.ports[mine]!.name}</td>
          <td>${nodeLink(desk, inventory.names[inventory.portNode[peer]!]!)}</td>
          <td class="n">${(delay * 1e3).toFixed(3)} ms</td>
          <td>${links.kinds[i] === LinkClass.Ground ? "ground" : "between satellites"}</td>
        </tr>`,
      );
    }
    return html`<h3>Links at this instant</h3>
      ${rows.length
        ? html`<table>
            <tr>
              <th>Port</th>
              <th>Peer</th>
              <th class="n">Delay</th>
              <th>Class</th>
            </tr>
            ${rows}
          </table>`
        : html`<p class="sub">None.</p>`}`;
  }

  #running(data: GetNodeResponse): TemplateResult {
    const { desk, name } = this;
    const { session } = desk;
    const { message } = session.inventory!;
    const node = data.node!;
    const inject = (failure: object) => attempt(desk, () => session.source.control.inject({ failure }));
    return html`
      <h3>Ports</h3>
      <div class="scroll">
        <table>
          <tr>
            <th>Port</th>
            <th>Peer</th>
            <th class="n">Delay</th>
            <th class="n">Sent</th>
            <th class="n">Received</th>
          </tr>
          ${node.ports.map(
            (port) =>
              html`<tr>
                <td class="port"><span class="dot ${port.up ? "good" : "wait"}"></span>${port.name}</td>
                <td>
                  ${port.up
                    ? html`<button
                        class="link"
                        @click=${() => desk.select({ kind: "link", a: `${name}:${port.name}`, b: port.peer })}
                      >
                        ${port.peer}
                      </button>`
                    : html`<span class="sub">no link</span>`}
                </td>
                <td class="n">${port.up ? msOf(port.delay) : ""}</td>
                <td class="n">${count(port.counters?.sentFrames ?? 0n)}</td>
                <td class="n">${count(port.counters?.receivedFrames ?? 0n)}</td>
              </tr>`,
          )}
        </table>
      </div>
      <h3>Neighbours <small>as the daemon says</small></h3>
      ${data.neighboursProblem ? html`<p class="sub">${data.neighboursProblem}</p>` : ""}
      ${data.neighbours.length
        ? html`<table>
            ${data.neighbours.map(
              (n) =>
                html`<tr>
                  <td>${n.port}</td>
                  <td>${n.name}</td>
                  <td><span class="dot ${n.up ? "good" : "warn"}"></span>${n.state}</td>
                </tr>`,
            )}
          </table>`
        : data.neighboursProblem
          ? ""
          : html`<p class="sub">None.</p>`}
      <h3>Processes</h3>
      <table class="processes">
        ${node.processes.map(
          (process) =>
            html`<tr>
              <td>
                <span class="dot ${process.state === "running" ? "good" : "bad"}"></span>${process.name}
                ${process.reason ? html`<br /><span class="sub">${process.reason}</span>` : ""}
              </td>
              <td>${process.state}${process.restarts ? `, restarted ${process.restarts} ×` : ""}</td>
              <td class="n">${process.pid || ""}</td>
              <td class="n">
                ${message.outside ? "" : html`<button class="link" @click=${() => this.#showLog(process.name)}>log</button>`}
                ${session.mayChange && !message.inPods && process.state === "running"
                  ? html` ·
                      <button
                        class="link danger"
                        @click=${() => inject({ kind: Failure_Kind.KILL_PROCESS, a: name, process: process.name })}
                      >
                        kill
                      </button>`
                  : ""}
              </td>
            </tr>`,
        )}
      </table>
      ${this.#log
        ? html`<h3>
              Log of ${this.#log.process}<button
                class="link"
                @click=${() => {
                  this.#log = undefined;
                  desk.redraw();
                }}
              >
                close
              </button>
            </h3>
            <pre class="log" tabindex="0">${this.#log.text || "Nothing was written."}</pre>`
        : ""}
      <details>
        <summary>${count(data.routes.length)} routes of the kernel</summary>
        ${data.routesProblem ? html`<p class="problem">${data.routesProblem}</p>` : ""}
        <table>
          ${data.routes.slice(0, 300).map(
            (route) =>
              html`<tr>
                <td class="mono">${route.prefix}</td>
                <td>${route.port}${route.via ? html`<br /><span class="mono sub">${route.via}</span>` : ""}</td>
                <td>${route.protocol}</td>
              </tr>`,
          )}
        </table>
        ${data.routes.length > 300 ? html`<p class="sub">The first 300.</p>` : ""}
      </details>
      ${session.mayChange
        ? html`<h3>Failure</h3>
            <div class="row">
              <button class="danger" @click=${() => inject({ kind: Failure_Kind.KILL_NODE, a: name })}>Kill this node</button>
              <span class="sub">Its processes end, its links go.</span>
            </div>`
        : ""}
      <p class="sub">${data.scenarioTime ? `As of ${spanOf(data.scenarioTime)} into the run. ` : ""}Shift-click another node to see the two as a pair.</p>
    `;
  }

  async #showLog(process: string): Promise<void> {
    await attempt(this.desk, async () => {
      const answer = await this.desk.session.source.control.getLog({ node: this.name, process });
      this.#log = { process, text: answer.text };
    });
  }
}
