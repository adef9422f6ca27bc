// What stands in the panel. One is shown at a time.

import { html, type TemplateResult } from "lit-html";
import { ConnectError } from "@connectrpc/connect";
import type { Failure } from "../gen/orrery/v1alpha1/control_pb";
import { Failure_Kind } from "../gen/orrery/v1alpha1/control_pb";
import type { Selection, Session } from "../model/session";
import type { Stage } from "../stage/stage";
import { seconds } from "../model/units";
import { clockTime } from "../ui/format";

/** What panels can ask of the page. */
export interface Desk {
  readonly session: Session;
  readonly stage: Stage;
  select(selection: Selection): void;
  /** Shows another instant, on the stage and on the timeline. */
  show(t: number): void;
  /** Draws the panel anew, soon. */
  redraw(): void;
  /** Says a sentence on top of the stage. */
  tell(sentence: string, bad?: boolean): void;
  openTerminal(node: string, program: string): void;
}

export interface Panel {
  template(): TemplateResult;
  /** Ends its requests. */
  close(): void;
}

/** Does something, and says what went wrong. */
export async function attempt(desk: Desk, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    desk.tell(sentence(error), true);
  }
  desk.redraw();
}

export function sentence(error: unknown): string {
  return ConnectError.from(error).rawMessage;
}

export function head(desk: Desk, title: string, sub: unknown): TemplateResult {
  return html`<div class="head">
    <div>
      <h2>${title}</h2>
      <div class="sub">${sub}</div>
    </div>
    <button class="quiet" aria-label="Close" title="Close (Esc)" @click=${() => desk.select(undefined)}>✕</button>
  </div>`;
}

/** The panels' figures are of now, also while the stage shows another instant. */
export function presentNote(desk: Desk): TemplateResult | string {
  const { clock } = desk.session;
  if (clock.following || !desk.session.running) return "";
  return html`<p class="note">
    The globe shows ${clockTime(clock.shown)}. Figures below are of now, ${clockTime(clock.present)}.
  </p>`;
}

export function nodeLink(desk: Desk, name: string): TemplateResult {
  return html`<button class="link" @click=${() => desk.select({ kind: "node", name })}>${name}</button>`;
}

export function describe(failure: Failure): string {
  const between = failure.b ? `${failure.a} – ${failure.b}` : failure.a;
  switch (failure.kind) {
    case Failure_Kind.CUT:
      return `${between} is cut`;
    case Failure_Kind.KILL_NODE:
      return `${failure.a} is killed`;
    case Failure_Kind.KILL_PROCESS:
      return `${failure.process} in ${failure.a} is killed`;
    case Failure_Kind.IMPAIR: {
      const what = [
        failure.loss ? `${+(failure.loss * 100).toFixed(3)} % loss` : "",
        failure.delay ? `${+(seconds(failure.delay) * 1e3).toFixed(3)} ms more` : "",
      ].filter(Boolean);
      return `${between}: ${what.join(", ")}`;
    }
    default:
      return failure.id;
  }
}

export function failureList(desk: Desk, failures: readonly Failure[]): TemplateResult | string {
  if (!failures.length) return "";
  return html`<h3>Injected failures</h3>
    <table class="failures">
      ${failures.map(
        (failure) =>
          html`<tr>
            <td><span class="dot bad"></span>${describe(failure)}<br /><span class="sub">since ${clockTime(seconds(failure.since))}</span></td>
            <td class="n">
              <button
                ?disabled=${!desk.session.mayChange}
                @click=${() => attempt(desk, () => desk.session.source.control.undo({ ids: [failure.id] }))}
              >
                Undo
              </button>
            </td>
          </tr>`,
      )}
    </table>`;
}
