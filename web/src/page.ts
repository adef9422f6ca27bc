// The page: brings a session, the stage, the panel and the timeline together.

import { html, render } from "lit-html";
import type { Failure } from "./gen/orrery/v1alpha1/control_pb";
import { Failure_Kind } from "./gen/orrery/v1alpha1/control_pb";
import { samplesOf } from "./model/motion";
import { Session, type Connection, type Selection, type Shown } from "./model/session";
import { duration } from "./model/units";
import { LinkPanel } from "./panels/link";
import { NodePanel } from "./panels/node";
import { PairPanel } from "./panels/pair";
import { attempt, type Desk, type Panel } from "./panels/panel";
import { PlanPanel } from "./panels/plan";
import { RunPanel } from "./panels/run";
import type { Source } from "./source/source";
import { fullDelay, type LinkColours, LinkSet } from "./stage/lines";
import type { ViewName } from "./stage/placement";
import { type Picked, Stage } from "./stage/stage";
import { type Found, Search } from "./ui/search";
import { openTerminal } from "./ui/terminal";
import { Timeline } from "./ui/timeline";

const part = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

type Scheme = "dark" | "light";

export class Page implements Desk {
  readonly session: Session;
  readonly stage: Stage;
  #timeline: Timeline;
  #search: Search;
  #panel: Panel | undefined;
  #colours: LinkColours = "state";
  #scheme: Scheme = "dark";
  #drawing = false;
  #notice: { sentence: string; bad: boolean; until: number } | undefined;
  #editing = false;

  constructor(source: Source) {
    this.session = new Session(source);
    this.#setScheme(
      (localStorage.getItem("orrery.scheme") as Scheme | null) ??
        (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"),
    );
    this.stage = new Stage(part("stage"), part("labels"));
    this.stage.onPick = (picked, add) => this.#picked(picked, add);
    this.#bar();
    this.#search = new Search(
      part("search"),
      (text, most) => this.#find(text, most),
      (name, add) => this.#choose(name, add, true),
    );
    this.#timeline = new Timeline(
      part("timeline"),
      this.session,
      () => {
        this.stage.invalidate();
        this.redraw();
      },
      (work) => void attempt(this, work),
    );
    this.session.unplanned = () => void this.#edit();
    this.session.loaded = () => this.stage.invalidate();
    this.session.shown.watch((shown) => shown && this.#present(shown));
    this.session.selection.watch((selection) => this.#selected(selection));
    this.session.connection.watch((connection) => this.#connection(connection));
    let stoodAt = NaN;
    this.session.status.watch(() => {
      this.#failures();
      const { moving, shown } = this.session.clock;
      if (!moving && shown !== stoodAt) this.stage.invalidate();
      stoodAt = shown;
    });
    this.session.traffic.watch(() => this.#colourByLoad());
    this.session.past.watch(() => {
      this.#failures();
      this.#colourByLoad();
      this.redraw();
    });
    this.#fit();
    const observer = new ResizeObserver(() => this.#fit());
    for (const id of ["page", "timeline", "panel"]) observer.observe(part(id));
    addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => this.stage.invalidate());
    setInterval(() => {
      if (!document.hidden && !this.session.running) this.redraw(); // figures of the instant that is shown
    }, 500);
    this.session.start();
  }

  select(selection: Selection): void {
    this.session.selection.set(selection);
  }

  show(t: number): void {
    this.#timeline.show(t);
  }

  redraw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      if (this.#panel && this.session.inventory) render(this.#panel.template(), part("panel"));
    });
  }

  tell(sentence: string, bad = false): void {
    this.#notice = { sentence, bad, until: performance.now() + 7000 };
    setTimeout(() => this.#connection(this.session.connection.value), 7100);
    this.#connection(this.session.connection.value);
  }

  openTerminal(node: string, program: string): void {
    void attempt(this, () => openTerminal(this.session.source, part("page"), node, program));
  }

  /** Colours links by what they carry, or carried then. Nothing is known of the future. */
  #colourByLoad(): void {
    const { past, traffic, ahead } = this.session;
    this.stage.bitsPerSecond = past.value?.bits ?? (ahead ? new Float32Array(0) : traffic.value);
  }

  #present(shown: Shown): void {
    const { motion, contacts, inventory, epoch } = shown;
    const { clock } = this.session;
    if (!inventory.message.running) {
      // A plan has no present: time stands where it was put.
      const t = clock.shown;
      clock.hear(t, 1, true);
      clock.show(t);
    } else if (!this.session.running || !clock.following) clock.follow();
    const speed = () => (clock.following ? clock.speed : clock.replaySpeed);
    this.stage.load(
      inventory,
      {
        time: () => clock.shown,
        moving: () => clock.moving,
        speed,
        positions: (t, out) => motion.at(t, speed(), out),
        links: (t) => (contacts.at(t, speed()) ? contacts.links : undefined),
      },
      epoch,
    );
    document.title = `${inventory.message.name} · Orrery`;
    this.#bar();
    this.#legend();
    this.session.watchesTraffic = this.#colours === "load";
    this.#selected(this.session.selection.value);
    if (!inventory.message.running) void this.#edit();
  }

  async #edit(): Promise<void> {
    if (this.#editing) return;
    this.#editing = true;
    const element = part("editor");
    await attempt(this, async () => {
      const { Editor } = await import("./ui/editor");
      element.hidden = false;
      await new Editor(this.session.source, element, (plan) => this.session.show(plan)).open();
    });
    this.#fit();
  }

  #selected(selection: Selection): void {
    this.#panel?.close();
    this.#panel = undefined;
    const shown = this.session.shown.value;
    if (!shown) return;
    const { inventory } = shown;
    const node = (name: string) => inventory.node(name)!;
    let chosen: number[] = [];
    switch (selection?.kind) {
      case "node":
        chosen = [node(selection.name)];
        this.#panel = new NodePanel(this, selection.name);
        break;
      case "pair":
        chosen = [node(selection.a), node(selection.b)];
        this.#panel = new PairPanel(this, selection.a, selection.b, (list) => (this.#timeline.outages = list));
        break;
      case "link":
        chosen = [selection.a, selection.b].map((port) => inventory.portNode[inventory.port(port)!]!);
        this.#panel = new LinkPanel(this, selection.a, selection.b);
        this.stage.ways(chosen, []);
        break;
      default:
        this.#panel = this.session.running ? new RunPanel(this) : new PlanPanel(this, shown.plan);
    }
    if (selection?.kind !== "link" && selection?.kind !== "pair") this.stage.ways([], []);
    this.stage.choose(new Set(chosen));
    void this.#orbit(shown, selection?.kind === "node" ? chosen[0]! : undefined);
    part("panel").scrollTop = 0;
    part("spoken").textContent = selection
      ? selection.kind === "node"
        ? `${selection.name} is selected`
        : `${selection.a} and ${selection.b} are selected`
      : "";
    this.redraw();
  }

  #orbitAsked = 0;
  async #orbit(shown: Shown, node: number | undefined): Promise<void> {
    const asked = ++this.#orbitAsked;
    this.stage.orbit = undefined;
    const period = node === undefined ? 0 : shown.inventory.period(node);
    if (!period) return;
    const step = Math.max(1, period / 120);
    try {
      const answer = await this.session.source.sky.getPositions({
        plan: shown.plan,
        from: duration(this.session.clock.shown),
        step: duration(step),
        count: Math.ceil(period / step) + 1,
        nodes: [node!],
      });
      if (asked === this.#orbitAsked) this.stage.orbit = samplesOf(answer);
    } catch {
      // The rest of the page does without it.
    }
  }

  #picked(picked: Picked, add: boolean): void {
    const inventory = this.session.inventory;
    if (!inventory) return;
    if (!picked) {
      if (!add) this.select(undefined);
      return;
    }
    if ("node" in picked) this.#choose(inventory.names[picked.node]!, add, false);
    else {
      const links = this.stage.links!;
      this.select({
        kind: "link",
        a: inventory.portName(links.ports[2 * picked.link]!),
        b: inventory.portName(links.ports[2 * picked.link + 1]!),
      });
    }
  }

  /** Selects a node; with add, together with the one that is selected. */
  #choose(name: string, add: boolean, fly: boolean): void {
    const before = this.session.selection.value;
    if (add && before?.kind === "node" && before.name !== name) this.select({ kind: "pair", a: before.name, b: name });
    else this.select({ kind: "node", name });
    if (fly) {
      this.stage.lookAt(this.session.inventory!.node(name)!);
      part("stage").focus();
    }
  }

  #find(text: string, most: number): Found[] {
    const inventory = this.session.inventory;
    if (!inventory) return [];
    const wanted = text.trim().toLowerCase();
    const ranked: { i: number; rank: number }[] = [];
    inventory.names.forEach((name, i) => {
      const at = name.toLowerCase().indexOf(wanted);
      if (at < 0) return;
      ranked.push({ i, rank: (at === 0 ? 0 : 1) + (inventory.isStation(i) ? 0 : 0.5) });
    });
    ranked.sort((a, b) => a.rank - b.rank || a.i - b.i);
    return ranked.slice(0, most).map(({ i }) => ({
      name: inventory.names[i]!,
      detail: inventory.message.groups[inventory.group(i)]?.name ?? "",
    }));
  }

  /** Marks what is broken, or was broken then. */
  #failures(): void {
    const { inventory, past, status } = this.session;
    if (!inventory) return;
    const failures = past.value?.failures ?? status.value?.failures ?? [];
    const nodes = new Set<number>();
    const cut = new LinkSet();
    const impaired = new LinkSet();
    const add = (links: LinkSet, { a, b }: Failure) => {
      const [p, q] = [inventory.port(a), b ? inventory.port(b) : undefined];
      if (p !== undefined && (!b || q !== undefined)) links.add(p, q);
    };
    for (const failure of failures) {
      const node = inventory.node(failure.a);
      switch (failure.kind) {
        case Failure_Kind.KILL_NODE:
          if (node === undefined) break;
          nodes.add(node);
          inventory.portNode.forEach((n, port) => n === node && cut.add(port));
          break;
        case Failure_Kind.KILL_PROCESS:
          if (node !== undefined) nodes.add(node);
          break;
        case Failure_Kind.CUT:
          add(cut, failure);
          break;
        case Failure_Kind.IMPAIR:
          add(impaired, failure);
      }
    }
    const key = `${[...nodes]} ${cut.key} ${impaired.key}`;
    if (key === this.#failuresKey) return;
    this.#failuresKey = key;
    this.stage.failures(nodes, cut, impaired);
  }
  #failuresKey = "";

  #connection(connection: Connection): void {
    const { state, problem } = connection;
    const notice = this.#notice && this.#notice.until > performance.now() ? this.#notice : undefined;
    const text =
      state === "lost"
        ? `The connection is lost, and is tried again. ${problem ?? ""}`
        : state === "refused"
          ? `${problem ?? "The server refuses this token."} Open the address that orrery has printed; it ends in a token.`
          : (notice?.sentence ?? "");
    const bad = state === "lost" || state === "refused" ? state === "refused" : (notice?.bad ?? false);
    render(text ? html`<p class=${bad ? "bad" : ""}>${text}</p>` : "", part("notice"));
    document.documentElement.dataset.connection = state;
  }

  #bar(): void {
    const view = this.stage.view;
    const { inventory } = this.session;
    const views: [ViewName, string][] = [
      ["globe", "Globe"],
      ["map", "Map"],
      ["topology", "Topology"],
    ];
    render(
      html`<div class="brand"><b>Orrery</b><span>${inventory?.message.name ?? ""}${inventory?.message.readOnly ? " · looking only" : ""}</span></div>
        <div class="search" id="search"></div>
        <div class="room"></div>
        <div class="segments" role="group" aria-label="View">
          ${views.map(
            ([name, label], i) =>
              html`<button aria-pressed=${view === name} title="${label} (${i + 1})" @click=${() => this.#setView(name)}>${label}</button>`,
          )}
        </div>
        <select
          class="wide"
          aria-label="Colour of links"
          @change=${(e: Event) => this.#setColours((e.target as HTMLSelectElement).value as LinkColours)}
        >
          <option value="state">Links by class</option>
          <option value="delay">Links by delay</option>
          ${inventory?.message.running ? html`<option value="load">Links by load</option>` : ""}
        </select>
        <button
          class="quiet wide"
          aria-label="Light or dark"
          title="Light or dark (L)"
          @click=${() => this.#switchScheme()}
        >
          ◐
        </button>
        <button class="quiet wide" aria-label="Keys" title="Keys (?)" @click=${() => this.#help()}>?</button>`,
      part("bar"),
    );
  }

  #setView(view: ViewName): void {
    this.stage.view = view;
    this.#bar();
    this.#legend();
  }

  #setColours(colours: LinkColours): void {
    this.#colours = colours;
    this.stage.colours = colours;
    this.session.watchesTraffic = colours === "load";
    this.#legend();
  }

  #setScheme(scheme: Scheme): void {
    this.#scheme = scheme;
    document.documentElement.dataset.scheme = scheme;
  }

  #switchScheme(): void {
    this.#setScheme(this.#scheme === "dark" ? "light" : "dark");
    localStorage.setItem("orrery.scheme", this.#scheme);
    this.stage.retint();
    this.#timeline.redraw();
  }

  #legend(): void {
    const groups = this.session.inventory?.message.groups ?? [];
    const shells = groups.filter((group) => group.kind === "satellite");
    const line = (token: string, text: string) =>
      html`<div><i class="swatch" style="background:var(--${token})"></i>${text}</div>`;
    render(
      html`${shells.length > 1
        ? shells.map(
            (shell) =>
              html`<div>
                <i class="swatch round" style="background:var(--shell-${(groups.indexOf(shell) % 6) + 1})"></i>${shell.name}
              </div>`,
          )
        : ""}
      ${this.#colours === "state"
        ? [
            line("link-intra", "within a plane"),
            line("link-inter", "between planes"),
            shells.length > 1 ? line("link-shell", "between shells") : "",
            line("link-ground", "to the ground"),
          ]
        : this.#colours === "delay"
          ? html`<div>Delay</div>
              <div class="ramp"></div>
              <div class="ends"><span>0 ms</span><span>${fullDelay} ms</span></div>`
          : html`<div>Load</div>
              <div class="ramp"></div>
              <div class="ends"><span>1 kbit/s</span><span>1 Gbit/s</span></div>`}`,
      part("legend"),
    );
  }

  #fit(): void {
    const page = part("page");
    const panel = part("panel").getBoundingClientRect();
    const timeline = part("timeline").offsetHeight;
    page.style.setProperty("--timeline", `${timeline}px`);
    const narrow = innerWidth <= 720;
    const editor = part("editor");
    const insets = narrow
      ? { right: 0, bottom: timeline + panel.height, top: editor.hidden ? 50 : 50 + editor.offsetHeight }
      : { right: innerWidth - panel.left - (editor.hidden ? 0 : editor.offsetWidth + 12), bottom: timeline, top: 40 };
    // Where software draws, what the panel and the timeline cover is not drawn: a third of all pixels.
    if (this.stage.software && editor.hidden)
      this.stage.resize(innerWidth - insets.right, innerHeight - insets.bottom, { right: 0, bottom: 0, top: insets.top });
    else this.stage.resize(innerWidth, innerHeight, insets);
  }

  #help(): void {
    const dialog = document.createElement("dialog");
    dialog.className = "help";
    const keys: [string, string][] = [
      ["/", "search"],
      ["Shift + click", "a second node: the two as a pair"],
      ["1 2 3", "globe, map, topology"],
      ["← → ↑ ↓ + − 0", "turn, approach, reset (globe in focus)"],
      ["Space", "pause or resume"],
      ["N", "back to now"],
      [", .", "a little earlier, later"],
      ["L", "light or dark"],
      ["Esc", "nothing selected"],
    ];
    render(
      html`<h2 style="margin:0 0 10px;font-size:16px">Keys</h2>
        <table>
          ${keys.map(([key, does]) => html`<tr><td><kbd>${key}</kbd></td><td>${does}</td></tr>`)}
        </table>
        <form method="dialog" style="margin-top:14px;text-align:right"><button>Close</button></form>`,
      dialog,
    );
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  #key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("input, textarea, select, [contenteditable=true], dialog, .console")) return;
    const { clock } = this.session;
    const keys: Record<string, () => void> = {
      "/": () => this.#search.focus(),
      "1": () => this.#setView("globe"),
      "2": () => this.#setView("map"),
      "3": () => this.#setView("topology"),
      n: () => this.#timeline.now(),
      l: () => this.#switchScheme(),
      "?": () => this.#help(),
      ",": () => this.#timeline.show(clock.shown - 10),
      ".": () => this.#timeline.show(clock.shown + 10),
      Escape: () => this.select(undefined),
      " ": () => this.#timeline.toggle(),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || (event.key === " " && target.closest("button, summary"))) return;
    event.preventDefault();
    act();
  }
}
