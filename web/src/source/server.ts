// The source that is a server: "orrery up --listen" or "orrery plan --web".

import { createConnectTransport } from "@connectrpc/connect-web";
import type { Interceptor } from "@connectrpc/connect";
import { clients, type Source, type Terminal, type TerminalListener, type TerminalRequest } from "./source";

/**
 * Takes the token from the part of the URL after "#", which browsers send to
 * nobody, and out of sight. It stays for this tab only.
 */
export function takeToken(): string {
  const key = "orrery.token";
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("token");
  if (token === null) return sessionStorage.getItem(key) ?? "";
  sessionStorage.setItem(key, token);
  given.delete("token");
  const rest = given.toString();
  history.replaceState(null, "", location.pathname + location.search + (rest && `#${rest}`));
  return token;
}

export function server(token: string, base = new URL(".", location.href)): Source {
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
  const transport = createConnectTransport({
    baseUrl: base.href.replace(/\/$/, ""),
    useBinaryFormat: true,
    interceptors: [authorize],
  });
  return {
    ...clients(transport),
    openTerminal: (request, listener) => openTerminal(base, token, request, listener),
    async capture(node, port, signal) {
      const url = new URL(`capture/${encodeURIComponent(node)}/${encodeURIComponent(port)}`, base);
      const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` }, signal });
      if (!answer.ok || !answer.body) throw new Error((await answer.text()).trim() || answer.statusText);
      return answer.body;
    },
  };
}

/** Bytes of a message: a server takes 64 KiB at once. */
const slice = 32 << 10;

function openTerminal(base: URL, token: string, request: TerminalRequest, listener: TerminalListener): Terminal {
  const url = new URL("terminal", base);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams({
    node: request.node,
    program: request.program,
    columns: String(request.columns),
    rows: String(request.rows),
  }).toString();
  const socket = new WebSocket(url, ["orrery.terminal.v1", `token.${token}`]);
  socket.binaryType = "arraybuffer";
  let last = "";
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) {
      listener.output(new Uint8Array(data));
      return;
    }
    const said = JSON.parse(data as string) as { exitCode?: number; problem?: string };
    last = said.problem ?? `${request.program} has ended with exit code ${said.exitCode}.`;
  };
  socket.onclose = () => listener.ended(last || "The connection has ended.");
  const send = (message: string | Uint8Array<ArrayBuffer>) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(message);
  };
  return {
    type: (bytes) => {
      for (let i = 0; i < bytes.length; i += slice) send(new Uint8Array(bytes.subarray(i, i + slice)));
    },
    resize: (columns, rows) => send(JSON.stringify({ columns, rows })),
    close: () => socket.close(),
  };
}
