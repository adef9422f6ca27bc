// The whole plan on one line: what is past, what will come, and the instant that is
// shown. It can be dragged anywhere.

import { html, render } from "lit-html";
import type { Selection, Session } from "../model/session";
import { contactsOf } from "../model/contacts";
import { duration, seconds } from "../model/units";
import { clockTime, utc } from "./format";

interface Bar {
  from: number;
  to: number;
}

interface Row {
  name: string;
  bars: Bar[];
}

/** What the strip shows beside the time itself. */
interface Content {
  rows: Row[];
  /** Instants of events by kind: link, other, bad. */
  links: number[];
  notes: number[];
  outages: Bar[];
}

const rowHeight = 9;
const mostRows = 5;
const speeds = [0.1, 0.5, 1, 2, 5, 10, 20, 60];

export class Timeline {
  #from = 0;
  #to = 3600;
  #content: Content = { rows: [], links: [], notes: [], outages: [] };
  #outages: Bar[] = [];
  #canvas: HTMLCanvasElement;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = new AbortController();
  #askedFor = "";
  #drawn = "";
  #dragging = false;
  #selection: Selection;

  constructor(
    private readonly element: HTMLElement,
    private readonly session: Session,
    /** The instant that is shown has been changed. */
    private readonly moved: () => void,
    /** Steers the run. */
    private readonly steer: (work: () => Promise<unknown>) => void,
  ) {
    this.#render();
    this.#canvas = element.querySelector("canvas")!;
    this.#listen(element.querySelector<HTMLElement>(".strip")!);
    session.shown.watch(() => this.#reset());
    session.selection.watch((selection) => {
      this.#selection = selection;
      this.#outages = [];
      this.#ask(0);
    });
    setInterval(() => this.#tick(), 250);
    new ResizeObserver(() => this.#draw()).observe(this.#canvas.parentElement!);
  }

  set outages(list: Bar[]) {
    this.#outages = list;
    this.#draw();
  }

  /** Forgets what it has drawn, as after the colours have changed. */
  redraw(): void {
    this.#draw();
  }

  #tick(): void {
    const { clock } = this.session;
    const key = `${Math.round(clock.shown * 4)} ${clock.following} ${clock.paused} ${clock.speed} ${clock.replaySpeed} ${this.session.running}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    // A window that is shorter than the plan follows what is shown.
    const width = this.#to - this.#from;
    if (!this.#dragging && (clock.shown > this.#to || clock.shown < this.#from)) {
      this.#from = Math.max(0, clock.shown - width * 0.3);
      this.#to = this.#from + width;
    }
    if (this.session.running) this.#ask(10_000);
    this.#render();
    this.#draw();
  }

  #reset(): void {
    const { inventory, clock } = this.session;
    const length = inventory?.duration;
    this.#from = 0;
    this.#to = length ?? Math.max(2 * 3600, clock.present * 1.25);
    this.#content = { rows: [], links: [], notes: [], outages: [] };
    this.#askedFor = "";
    this.#ask(0);
    this.#render();
    this.#draw();
  }

  /** Asks for what the window shows, at most once in so many ms if nothing has changed. */
  #ask(patience: number): void {
    const key = `${this.#from} ${this.#to} ${JSON.stringify(this.#selection)} ${this.session.shown.value?.plan}`;
    if (key === this.#askedFor && patience === 0) return;
    if (key === this.#askedFor && this.#timer) return;
    clearTimeout(this.#timer);
    const changed = key !== this.#askedFor;
    this.#askedFor = key;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        void this.#load();
      },
      changed ? 200 : patience,
    );
  }

  async #load(): Promise<void> {
    const shown = this.session.shown.value;
    if (!shown) return;
    this.#asked.abort();
    const { signal } = (this.#asked = new AbortController());
    const { inventory } = shown;
    const middle = Math.min(Math.max(this.session.clock.shown, this.#from), this.#to);
    // The server answers for a day at most: the part around what is shown.
    const from = Math.max(this.#from, Math.min(middle - 43_000, this.#to - 86_000));
    const to = Math.min(this.#to, from + 86_000);
    const content: Content = { rows: [], links: [], notes: [], outages: [] };
    const nodes = this.#nodes();
    try {
      if (nodes.length) {
        const answer = await this.session.source.sky.getContacts(
          { plan: shown.plan, from: duration(from), to: duration(to), nodes },
          { signal },
        );
        const list = contactsOf(answer, from, to);
        const rows = new Map<string, Row>();
        for (let i = 0; i < list.count; i++)
          for (const port of [list.ports[2 * i]!, list.ports[2 * i + 1]!]) {
            const node = inventory.portNode[port]!;
            if (!nodes.includes(node)) continue;
            const both = nodes.length > 1;
            const name = both ? inventory.names[node]! : inventory.message.ports[port]!.name;
            let row = rows.get(name);
            if (!row) rows.set(name, (row = { name, bars: [] }));
            row.bars.push({ from: list.spans[2 * i]!, to: list.flags[i]! & 128 ? to : list.spans[2 * i + 1]! });
          }
        content.rows = [...rows.values()].sort((a, b) => a.name.localeCompare(b.name)).slice(0, mostRows);
      }
      if (this.session.running) {
        const node = nodes.length === 1 ? inventory.names[nodes[0]!]! : "";
        const { events } = await this.session.source.control.listEvents(
          { from: duration(from), to: duration(to), node, limit: 5000 },
          { signal },
        );
        let lost = new Map<string, number>();
        for (const event of events) {
          const at = seconds(event.at);
          if (event.kind.startsWith("link-")) content.links.push(at);
          else if (event.kind === "unreachable") lost.set(`${event.a} ${event.b}`, at);
          else if (event.kind === "reachable") {
            const since = lost.get(`${event.a} ${event.b}`);
            if (since !== undefined) content.outages.push({ from: since, to: at });
            lost.delete(`${event.a} ${event.b}`);
          } else content.notes.push(at);
        }
        for (const since of lost.values()) content.outages.push({ from: since, to: Infinity });
        if (this.#selection?.kind === "pair") content.outages = [];
      }
    } catch {
      if (signal.aborted) return; // else what is there is shown
    }
    this.#content = content;
    this.#draw();
  }

  #nodes(): number[] {
    const { inventory } = this.session;
    const selection = this.#selection;
    if (!inventory || !selection) return [];
    const names =
      selection.kind === "node"
        ? [selection.name]
        : [selection.a, selection.b].map((end) => (selection.kind === "link" ? end.split(":")[0]! : end));
    return names.map((name) => inventory.node(name)).filter((node) => node !== undefined);
  }

  #render(): void {
    const { session } = this;
    const { clock } = session;
    const shown = session.shown.value;
    const steering = clock.following && session.running;
    const paused = clock.following ? clock.paused : clock.replaySpeed === 0;
    const speed = clock.following ? clock.speed : Math.abs(clock.replaySpeed) || 1;
    const may = !steering || session.mayChange;
    const choices = speeds.includes(speed) ? speeds : [...speeds, speed].sort((a, b) => a - b);
    render(
      html`<div class="transport">
          <button
            class="play"
            ?disabled=${!may}
            aria-label=${paused ? "Resume" : "Pause"}
            title=${steering ? (paused ? "Resume the run" : "Pause the run") : paused ? "Play from here" : "Stop here"}
            @click=${() => this.toggle()}
          >
            ${paused ? "▶" : "❚❚"}
          </button>
          <select
            aria-label="Speed"
            title=${steering ? "Speed of the run" : "Speed of what is shown"}
            ?disabled=${!may}
            .value=${String(speed)}
            @change=${(e: Event) => this.#setSpeed(Number((e.target as HTMLSelectElement).value))}
          >
            ${choices.map((s) => html`<option value=${s} ?selected=${s === speed}>${s} ×</option>`)}
          </select>
          ${session.running
            ? html`<button class="now" ?disabled=${clock.following} title="Back to the present of the run (N)" @click=${() => this.now()}>
                Now
              </button>`
            : ""}
          <div class="clock ${session.running && !clock.following ? "away" : ""}">
            <b>${clockTime(clock.shown)}</b><span>${shown ? utc(shown.epoch + clock.shown * 1e3) : ""}</span>
          </div>
        </div>
        <div
          class="strip"
          tabindex="0"
          role="slider"
          aria-label="Instant that is shown"
          aria-valuemin=${Math.round(this.#from)}
          aria-valuemax=${Math.round(this.#to)}
          aria-valuenow=${Math.round(clock.shown)}
          aria-valuetext=${`${clockTime(clock.shown)}${session.running && clock.following ? ", now" : ""}`}
        >
          <canvas></canvas>
        </div>`,
      this.element,
    );
  }

  now(): void {
    if (!this.session.running) return;
    this.session.clock.follow();
    this.#changed();
  }

  /** Pauses or resumes: the run while it is followed, else what is shown. */
  toggle(): void {
    const { clock, source } = this.session;
    if (clock.following && this.session.running) {
      if (!this.session.mayChange) return;
      this.steer(() => (clock.paused ? source.control.resume({}) : source.control.pause({})));
      return;
    }
    clock.replay(clock.replaySpeed ? 0 : this.#replay);
    this.#changed();
  }

  #replay = 1;
  #setSpeed(speed: number): void {
    const { clock, source } = this.session;
    if (clock.following && this.session.running) {
      this.steer(() => source.control.setSpeed({ speed }));
      return;
    }
    this.#replay = speed;
    clock.replay(speed);
    this.#changed();
  }

  show(t: number): void {
    this.session.clock.show(Math.min(Math.max(t, 0), this.session.inventory?.duration ?? Infinity));
    this.#changed();
  }

  #changed(): void {
    this.#drawn = "";
    this.#tick();
    this.moved();
  }

  #listen(strip: HTMLElement): void {
    const at = (event: PointerEvent | WheelEvent) => {
      const box = strip.getBoundingClientRect();
      return this.#from + ((event.clientX - box.left) / box.width) * (this.#to - this.#from);
    };
    let panning = false;
    strip.addEventListener("pointerdown", (event) => {
      strip.setPointerCapture(event.pointerId);
      this.#dragging = true;
      panning = event.shiftKey || event.button === 1;
      if (!panning) this.show(at(event));
    });
    strip.addEventListener("pointermove", (event) => {
      if (!this.#dragging) return;
      if (panning) this.#window(this.#from - (event.movementX / strip.clientWidth) * (this.#to - this.#from), this.#to - this.#from);
      else this.show(at(event));
    });
    for (const name of ["pointerup", "pointercancel"]) strip.addEventListener(name, () => (this.#dragging = false));
    strip.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.#zoom(Math.exp(event.deltaY * 0.0015), at(event));
      },
      { passive: false },
    );
    strip.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { clock } = this.session;
      const step = (this.#to - this.#from) / 100;
      const fine = event.shiftKey ? 1 : step;
      const moves: Record<string, () => void> = {
        ArrowLeft: () => this.show(clock.shown - fine),
        ArrowRight: () => this.show(clock.shown + fine),
        PageDown: () => this.show(clock.shown - 10 * step),
        PageUp: () => this.show(clock.shown + 10 * step),
        Home: () => this.show(this.#from),
        End: () => this.show(this.#to),
        "+": () => this.#zoom(0.7, clock.shown),
        "-": () => this.#zoom(1 / 0.7, clock.shown),
      };
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      move();
    });
  }

  #zoom(factor: number, around: number): void {
    const width = Math.min(Math.max((this.#to - this.#from) * factor, 20), 30 * 86400);
    const share = (around - this.#from) / (this.#to - this.#from);
    this.#window(around - share * width, width);
  }

  #window(from: number, width: number): void {
    const end = this.session.inventory?.duration;
    if (end !== undefined) {
      width = Math.min(width, end);
      from = Math.min(from, end - width);
    }
    this.#from = Math.max(0, from);
    this.#to = this.#from + width;
    this.#ask(0);
    this.#draw();
  }

  #draw(): void {
    const canvas = this.#canvas;
    if (!canvas) return;
    const rows = this.#content.rows;
    const width = canvas.clientWidth;
    const height = 34 + rows.length * rowHeight;
    const ratio = Math.min(devicePixelRatio, 2);
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d")!;
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(`--${name}`);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const x = (t: number) => ((t - this.#from) / (this.#to - this.#from)) * width;
    const { clock } = this.session;
    const base = 30 + rows.length * rowHeight;

    // What the run has behind it lies on a darker ground.
    if (this.session.running) {
      pen.fillStyle = color("line");
      pen.globalAlpha = 0.55;
      pen.fillRect(0, 14, Math.max(0, x(clock.present)), base - 14);
      pen.globalAlpha = 1;
    }
    pen.fillStyle = color("line");
    pen.fillRect(0, base, width, 1);

    pen.font = `10.5px ${getComputedStyle(document.body).fontFamily}`;
    pen.textBaseline = "top";
    const step = niceStep((this.#to - this.#from) / Math.max(2, width / 92));
    for (let t = Math.ceil(this.#from / step) * step; t <= this.#to; t += step) {
      pen.fillStyle = color("line");
      pen.fillRect(Math.round(x(t)), 14, 1, base - 14);
      pen.fillStyle = color("muted");
      const text = step < 60 ? clockTime(t) : clockTime(t).replace(/:\d\d$/, "");
      if (x(t) < width - 34) pen.fillText(text, Math.round(x(t)) + 3, 0);
    }

    rows.forEach((row, i) => {
      const y = 16 + i * rowHeight;
      pen.fillStyle = color("accent");
      pen.globalAlpha = 0.75;
      for (const bar of row.bars) {
        const [a, b] = [Math.max(x(bar.from), -1), Math.min(x(bar.to), width + 1)];
        if (b > a) pen.fillRect(a, y, Math.max(b - a - 0.75, 0.75), rowHeight - 3);
      }
      pen.globalAlpha = 1;
    });
    if (rows.length > 1) {
      pen.font = `600 8.5px ${getComputedStyle(document.body).fontFamily}`;
      rows.forEach((row, i) => {
        const y = 15 + i * rowHeight;
        const wide = pen.measureText(row.name).width;
        pen.fillStyle = color("surface");
        pen.fillRect(0, y, wide + 6, rowHeight - 1);
        pen.fillStyle = color("ink");
        pen.fillText(row.name, 2, y);
      });
    }

    this.#density(pen, x, base, color("muted"), width);
    pen.fillStyle = color("bad");
    for (const outage of [...this.#content.outages, ...this.#outages]) {
      const [a, b] = [x(outage.from), x(Math.min(outage.to, clock.present))];
      if (b >= 0 && a <= width) pen.fillRect(a, base - 3, Math.max(b - a, 1.5), 3);
    }
    pen.fillStyle = color("accent");
    for (const t of this.#content.notes) {
      if (t < this.#from || t > this.#to) continue;
      pen.beginPath();
      pen.arc(x(t), base, 2.5, 0, 7);
      pen.fill();
    }

    if (this.session.running) {
      pen.fillStyle = color("ink");
      pen.fillRect(Math.round(x(clock.present)), 12, 1, base - 12);
    }
    const head = Math.round(x(clock.shown));
    pen.fillStyle = color("accent");
    pen.fillRect(head - 0.5, 10, 2, base - 8);
    pen.beginPath();
    pen.moveTo(head - 4.5, 6);
    pen.lineTo(head + 5.5, 6);
    pen.lineTo(head + 0.5, 13);
    pen.fill();
  }

  /** Changes of links, as a small histogram. */
  #density(pen: CanvasRenderingContext2D, x: (t: number) => number, base: number, color: string, width: number): void {
    const bins = new Uint16Array(Math.ceil(width / 3) + 1);
    let most = 0;
    for (const t of this.#content.links) {
      const bin = Math.floor(x(t) / 3);
      if (bin >= 0 && bin < bins.length) most = Math.max(most, ++bins[bin]!);
    }
    if (!most) return;
    pen.fillStyle = color;
    pen.globalAlpha = 0.7;
    bins.forEach((n, i) => {
      const h = n ? 1 + 7 * Math.sqrt(n / most) : 0;
      if (h) pen.fillRect(i * 3, base - h, 2, h);
    });
    pen.globalAlpha = 1;
  }
}

function niceStep(rough: number): number {
  for (const step of [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400])
    if (step >= rough) return step;
  return Math.ceil(rough / 86400) * 86400;
}
