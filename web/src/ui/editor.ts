// A scenario that is being written, with the server's problems and candidates.
// CodeMirror is loaded with it.

import { autocompletion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, defaultHighlightStyle, HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { html, render } from "lit-html";
import type { Problem } from "../gen/orrery/v1alpha1/preview_pb";
import { sentence } from "../panels/panel";
import type { Source } from "../source/source";

const look = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "transparent" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--faint)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--line) 40%, transparent)" },
  "&.cm-focused": { outline: "none" },
  ".cm-cursor": { borderLeftColor: "var(--accent)" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": { backgroundColor: "var(--line) !important" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", border: "1px solid var(--line)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--line)", color: "var(--ink)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--shell-1)" },
  { tag: [tags.string, tags.content], color: "var(--ink)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--accent)" },
  { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator], color: "var(--muted)" },
]);

/** Milliseconds without a key before the server is asked. */
const patience = 350;

export class Editor {
  #view: EditorView | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;
  #text: HTMLElement;
  #state: HTMLElement;

  /** compiled is called with the name of each plan that is valid. */
  constructor(
    private readonly source: Source,
    element: HTMLElement,
    private readonly compiled: (plan: string) => Promise<void>,
  ) {
    this.#text = document.createElement("div");
    this.#text.className = "text";
    this.#state = document.createElement("div");
    this.#state.className = "state";
    this.#state.setAttribute("role", "status");
    element.replaceChildren(this.#text, this.#state);
  }

  async open(): Promise<void> {
    const { name, text } = await this.source.preview.getScenario({});
    this.#view = new EditorView({
      parent: this.#text,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(),
          history(),
          drawSelection(),
          highlightActiveLine(),
          bracketMatching(),
          indentUnit.of("  "),
          yaml(),
          lintGutter(),
          syntaxHighlighting(colours),
          syntaxHighlighting(defaultHighlightStyle, { fallback: true }),
          autocompletion({ override: [(context) => this.#complete(context)] }),
          keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
          EditorView.contentAttributes.of({ "aria-label": `Scenario ${name}. Escape, then Tab, leaves the text.` }),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged) return;
            clearTimeout(this.#timer);
            this.#timer = setTimeout(() => void this.#compile(), patience);
          }),
          look,
        ],
      }),
    });
    this.#say([], "");
    await this.#compile();
  }

  async #compile(): Promise<void> {
    const view = this.#view!;
    const asked = ++this.#asked;
    try {
      const { plan, problems } = await this.source.preview.compile({ text: view.state.doc.toString() });
      if (asked !== this.#asked) return; // it has been changed since
      view.dispatch(setDiagnostics(view.state, problems.flatMap((problem) => this.#diagnostic(problem))));
      this.#say(problems, "");
      if (!problems.length && plan) await this.compiled(plan);
    } catch (error) {
      if (asked === this.#asked) this.#say([], sentence(error));
    }
  }

  #offset(line: number, column: number): number {
    const doc = this.#view!.state.doc;
    const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
    // Columns count characters, and offsets UTF-16 units.
    const before = [...at.text].slice(0, Math.max(column - 1, 0)).join("").length;
    return Math.min(at.from + before, at.to);
  }

  #diagnostic(problem: Problem): Diagnostic[] {
    if (!problem.line) return [];
    const from = this.#offset(problem.line, problem.column);
    const line = this.#view!.state.doc.lineAt(from);
    const word = /^[^\s:,\]}]*/.exec(line.text.slice(from - line.from))![0];
    return [
      {
        from,
        to: Math.max(from + word.length, Math.min(from + 1, line.to)),
        severity: "error",
        message: [problem.what, problem.right && `Right would be: ${problem.right}`].filter(Boolean).join("\n"),
      },
    ];
  }

  async #complete(context: CompletionContext): Promise<CompletionResult | null> {
    const line = context.state.doc.lineAt(context.pos);
    const column = [...line.text.slice(0, context.pos - line.from)].length + 1;
    if (!context.explicit && !/[\w-]$|:\s$/.test(line.text.slice(0, context.pos - line.from))) return null;
    try {
      const answer = await this.source.preview.complete({ text: context.state.doc.toString(), line: line.number, column });
      if (!answer.candidates.length) return null;
      return {
        from: this.#offset(line.number, answer.fromColumn || column),
        options: answer.candidates.map((candidate) => ({
          label: candidate.label,
          apply: candidate.text,
          detail: candidate.detail,
          info: candidate.documentation || undefined,
          type: candidate.kind === "field" ? "property" : "constant",
        })) as CompletionResult["options"],
      };
    } catch {
      return null; // without candidates one can still write
    }
  }

  #say(problems: readonly Problem[], failure: string): void {
    render(
      failure
        ? html`<span class="problem">${failure}</span>`
        : problems.length
          ? html`<ul>
              ${problems.map(
                (p) =>
                  html`<li>
                    <span class="dot bad"></span
                    >${p.line
                      ? html`<button class="link" @click=${() => this.#goTo(p)}>Line ${p.line}</button>: `
                      : ""}${p.what}${p.right ? html` <span class="sub">${p.right}</span>` : ""}
                  </li>`,
              )}
            </ul>`
          : html`<span class="dot good"></span>The scenario is valid. <span class="sub">Changes stay in this page.</span>`,
      this.#state,
    );
  }

  #goTo(problem: Problem): void {
    const at = this.#offset(problem.line, problem.column);
    this.#view!.dispatch({ selection: { anchor: at }, scrollIntoView: true });
    this.#view!.focus();
  }
}
