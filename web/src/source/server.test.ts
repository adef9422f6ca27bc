import { expect, it, vi } from "vitest";
import { server } from "./server";

it("what is typed goes in messages that the server takes", () => {
  const sent: Uint8Array[] = [];
  class Socket {
    static OPEN = 1;
    readyState = 1;
    send(message: Uint8Array) {
      sent.push(message);
    }
  }
  vi.stubGlobal("WebSocket", Socket);
  const listener = { output: () => {}, ended: () => {} };
  const terminal = server("token", new URL("http://localhost/")).openTerminal(
    { node: "a", program: "shell", columns: 80, rows: 24 },
    listener,
  );
  const pasted = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
  terminal.type(pasted);
  vi.unstubAllGlobals();
  expect(Math.max(...sent.map((part) => part.length))).toBeLessThan(64 << 10);
  expect(Buffer.concat(sent).equals(Buffer.from(pasted))).toBe(true);
});
