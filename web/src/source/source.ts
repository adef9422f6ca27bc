// Where a page has its data from. Everything but terminals and captures goes
// through one Connect transport, so that a double is a set of services in
// memory, and takes the same way as a server's answers.

import { createClient, type Client, type Transport } from "@connectrpc/connect";
import { ControlService } from "../gen/orrery/v1alpha1/control_pb";
import { PreviewService } from "../gen/orrery/v1alpha1/preview_pb";
import { SkyService } from "../gen/orrery/v1alpha1/sky_pb";

export interface Source {
  readonly sky: Client<typeof SkyService>;
  readonly control: Client<typeof ControlService>;
  readonly preview: Client<typeof PreviewService>;
  /** Opens a program in a node. Problems come as the terminal's end. */
  openTerminal(request: TerminalRequest, listener: TerminalListener): Terminal;
  /** The frames of a port from now on, as a pcapng file, until the signal aborts. */
  capture(node: string, port: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

export interface TerminalRequest {
  node: string;
  program: string;
  columns: number;
  rows: number;
}

export interface TerminalListener {
  output(bytes: Uint8Array): void;
  /** Called once; the sentence says why. */
  ended(sentence: string): void;
}

export interface Terminal {
  type(bytes: Uint8Array): void;
  resize(columns: number, rows: number): void;
  close(): void;
}

export function clients(transport: Transport): Pick<Source, "sky" | "control" | "preview"> {
  return {
    sky: createClient(SkyService, transport),
    control: createClient(ControlService, transport),
    preview: createClient(PreviewService, transport),
  };
}
