import { html, type TemplateResult } from "lit-html";
import { Failure_Kind, type GetLinkResponse, type Piece } from "../gen/orrery/v1alpha1/control_pb";
import { poll } from "../model/session";
import { duration, lightSpeed, seconds } from "../model/units";
import { distance } from "../stage/lines";
import { chart } from "../ui/chart";
import { bits, clockTime, count, ms, msOf } from "../ui/format";
import { attempt, describe, type Desk, failureList, head, nodeLink, type Panel, presentNote, sentence } from "./panel";

/** Most bytes of a capture that a page keeps. */
const captureLimit = 64 << 20;

export class LinkPanel implements Panel {
  #data: GetLinkResponse | undefined;
  #problem = "";
  #capture: { port: string; bytes: number; end: AbortController } | undefined;
  #loss = "10";
  #delay = "0";
  #stop = () => {};

  constructor(
    private readonly desk: Desk,
    private readonly a: string,
    private readonly b: string,
  ) {
    if (!desk.session.running) return;
    this.#stop = poll(async (signal) => {
      try {
        this.#data = await desk.session.source.control.getLink({ port: a }, { signal });
        this.#problem = "";
      } catch (error) {
        if (signal.aborted) return;
        this.#problem = sentence(error);
      }
      desk.redraw();
    }, 1000);
  }

  close(): void {
    this.#stop();
    this.#capture?.end.abort();
  }

  template(): TemplateResult {
    const { desk, a, b } = this;
    const { session } = desk;
    const data = this.#data;
    const link = data?.link;
    const [nodeA, nodeB] = [a.split(":")[0]!, b.split(":")[0]!];
    const other = link && link.a !== b && link.b !== b;
    return html`
      ${head(desk, `${a} – ${b}`, html`${nodeLink(desk, nodeA)} · ${nodeLink(desk, nodeB)}`)} ${this.#then()} ${presentNote(desk)}
      ${this.#problem ? html`<p class="problem">${this.#problem}</p>` : ""}
      ${other ? html`<p class="note">${a} now has a link with ${link.a === a ? link.b : link.a}; that is what stands below.</p>` : ""}
      ${session.running ? "" : this.#planned()}
      ${data
        ? html`
            <dl class="facts">
              <dt>State</dt>
              <dd><span class="dot ${data.up ? "good" : "wait"}"></span>${data.up ? "up" : "not now"}${link ? `, ${link.class}` : ""}</dd>
              ${link
                ? html`<dt>Contact</dt>
                    <dd>${clockTime(seconds(link.start))} to ${link.end ? clockTime(seconds(link.end)) : "later than is planned yet"}</dd>
                    <dt>Delay</dt>
                    <dd>${msOf(link.delay)}</dd>
                    <dt>Rate</dt>
                    <dd>${link.rate ? bits(link.rate) : "not limited"}</dd>
                    <dt>Loss</dt>
                    <dd>${+(link.loss * 100).toFixed(4)} %</dd>`
                : ""}
              <dt>Carries</dt>
              <dd>
                ${bits(data.aBitsPerSecond)} there, ${bits(data.bBitsPerSecond)} back${data.utilisation ? `; ${(data.utilisation * 100).toFixed(2)} % used` : ""}
              </dd>
            </dl>
            ${data.delay.length
              ? html`<h3>Delay over the contact</h3>
                  ${chart([{ name: "delay", color: "var(--accent)", ...curve(data.delay, seconds(data.knownTo), 1e3) }], "ms", session.clock.shown)}`
              : ""}
            <h3>Frames</h3>
            <table>
              <tr>
                <th>Port</th>
                <th class="n">Sent</th>
                <th class="n">Received</th>
                <th class="n">Dropped</th>
              </tr>
              ${[
                [link?.a ?? a, data.aCounters],
                [link?.b ?? b, data.bCounters],
              ].map(([name, c]) => {
                if (!c || typeof c === "string") return "";
                const dropped = c.dropNoLink + c.dropQueue + c.dropLoss + c.dropInFlight + c.dropDevice + c.dropOverload + c.dropUnderlay + c.dropForged;
                return html`<tr>
                  <td>${name as string}</td>
                  <td class="n">${count(c.sentFrames)}</td>
                  <td class="n">${count(c.receivedFrames)}</td>
                  <td class="n">${count(dropped)}</td>
                </tr>`;
              })}
            </table>
            ${failureList(desk, data.failures)} ${session.mayChange ? this.#steering() : ""}
          `
        : ""}
    `;
  }

  /** What the link carried at the instant of the past that is shown. */
  #then(): TemplateResult | string {
    const { past, inventory, clock } = this.desk.session;
    const was = past.value;
    if (!was || !inventory) return "";
    const [p, q] = [inventory.port(this.a)!, inventory.port(this.b)!];
    const [nodeA, nodeB] = [this.a.split(":")[0]!, this.b.split(":")[0]!];
    const broken = was.failures.filter(
      ({ a, b }) => a === this.a || a === this.b || b === this.a || b === this.b || a === nodeA || a === nodeB,
    );
    const drops = was.span ? was.drops[p]! + was.drops[q]! : 0;
    return html`<h3>At ${clockTime(clock.shown)}</h3>
      <dl class="facts then">
        <dt>Carried</dt>
        <dd>
          ${was.span
            ? `${bits(was.bits[p]!)} there, ${bits(was.bits[q]!)} back, from ${clockTime(was.span[0])} to ${clockTime(was.span[1])}`
            : "not measured yet"}
        </dd>
        ${drops > 0
          ? html`<dt>Dropped</dt>
              <dd>${+drops.toPrecision(2)} frames/s</dd>`
          : ""}
        ${broken.length
          ? html`<dt>Broken</dt>
              <dd>${broken.map((failure) => html`<div><span class="dot bad"></span>${describe(failure)}</div>`)}</dd>`
          : ""}
      </dl>`;
  }

  #planned(): TemplateResult {
    const { stage, session } = this.desk;
    const inventory = session.inventory!;
    const [p, q] = [inventory.port(this.a)!, inventory.port(this.b)!];
    const km = distance(stage.kilometres, inventory, p, q);
    return html`<dl class="facts">
      <dt>Distance</dt>
      <dd>${km.toFixed(1)} km</dd>
      <dt>Delay</dt>
      <dd>${ms((km / lightSpeed) * 1e3)}</dd>
    </dl>`;
  }

  #steering(): TemplateResult {
    const { desk, a, b } = this;
    const capture = this.#capture;
    return html`
      ${desk.session.mayEnter
        ? html`<h3>Capture</h3>
            <div class="row">
              ${capture
                ? html`<button @click=${() => capture.end.abort()}>Stop and save</button>
                    <span class="sub">${capture.port}: ${count(Math.ceil(capture.bytes / 1024))} KiB</span>`
                : [a, b].map((port) => html`<button @click=${() => this.#record(port)}>Capture at ${port}</button>`)}
            </div>`
        : ""}
      ${this.#breaking()}
    `;
  }

  #breaking(): TemplateResult {
    const { desk, a, b } = this;
    const inject = (failure: object) => attempt(desk, () => desk.session.source.control.inject({ failure }));
    return html`
      <h3>Failure</h3>
      <div class="row">
        <button class="danger" @click=${() => inject({ kind: Failure_Kind.CUT, a, b })}>Cut this link</button>
      </div>
      <div class="row">
        <label>Loss <input inputmode="decimal" .value=${this.#loss} @input=${(e: InputEvent) => (this.#loss = (e.target as HTMLInputElement).value)} /> %</label>
        <label>Delay <input inputmode="decimal" .value=${this.#delay} @input=${(e: InputEvent) => (this.#delay = (e.target as HTMLInputElement).value)} /> ms</label>
        <button
          class="danger"
          @click=${() => {
            const [loss, more] = [Number(this.#loss) / 100, Number(this.#delay) / 1e3];
            if (!(loss >= 0 && loss <= 1 && more >= 0)) return desk.tell("Loss goes from 0 to 100 %, and delay from 0 ms.", true);
            return inject({ kind: Failure_Kind.IMPAIR, a, b, loss, delay: duration(more) });
          }}
        >
          Impair
        </button>
      </div>
    `;
  }

  /** Keeps a port's frames until the user has enough, and saves them. */
  async #record(port: string): Promise<void> {
    const [node, name] = port.split(":") as [string, string];
    const end = new AbortController();
    this.#capture = { port, bytes: 0, end };
    this.desk.redraw();
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let problem = "";
    try {
      const stream = await this.desk.session.source.capture(node, name, end.signal);
      const reader = stream.getReader();
      end.signal.addEventListener("abort", () => void reader.cancel().catch(() => {}));
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        parts.push(new Uint8Array(value));
        this.#capture.bytes += value.byteLength;
        this.desk.redraw();
        if (this.#capture.bytes > captureLimit) end.abort();
      }
    } catch (error) {
      if (!end.signal.aborted) problem = sentence(error);
    }
    this.#capture = undefined;
    this.desk.redraw();
    if (problem) return this.desk.tell(problem, true);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type: "application/x-pcapng" }));
    link.download = `${node}-${name}.pcapng`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

/** Samples pieces of cubics from the first one's start to an end, times a scale. */
export function curve(pieces: readonly Piece[], end: number, scale: number): { x: number[]; y: number[] } {
  const [x, y]: [number[], number[]] = [[], []];
  pieces.forEach((piece, i) => {
    const start = seconds(piece.start);
    const stop = i + 1 < pieces.length ? seconds(pieces[i + 1]!.start) : Math.max(end, start);
    const n = Math.max(2, Math.ceil(120 / pieces.length));
    for (let k = 0; k <= n; k++) {
      const u = ((stop - start) * k) / n;
      x.push(start + u);
      y.push(scale * (piece.c0 + u * (piece.c1 + u * (piece.c2 + u * piece.c3))));
    }
  });
  return { x, y };
}
