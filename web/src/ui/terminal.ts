// A terminal in a node. xterm.js is loaded when the first one is opened.

import type { Source } from "../source/source";

export async function openTerminal(source: Source, parent: HTMLElement, node: string, program: string): Promise<void> {
  const [{ Terminal }, { FitAddon }] = await Promise.all([
    import("@xterm/xterm"),
    import("@xterm/addon-fit"),
    import("@xterm/xterm/css/xterm.css"),
  ]);
  parent.querySelector(".console")?.dispatchEvent(new CustomEvent("terminal-close"));

  const box = document.createElement("section");
  box.className = "console"; // "terminal" is a class of xterm.js
  box.setAttribute("aria-label", `${program} in ${node}`);
  const header = document.createElement("header");
  const title = document.createElement("span");
  title.textContent = `${node} · ${program}`;
  const close = document.createElement("button");
  close.className = "quiet";
  close.textContent = "✕";
  close.title = "Close this terminal";
  close.setAttribute("aria-label", close.title);
  const screen = document.createElement("div");
  screen.className = "screen";
  header.append(title, close);
  box.append(header, screen);
  parent.append(box);

  const terminal = new Terminal({
    fontSize: 13,
    fontFamily: getComputedStyle(box).getPropertyValue("--mono"),
    theme: { background: "#0b0e13", foreground: "#dfe5ee", cursor: "#f0b35a" },
    scrollback: 5000,
    screenReaderMode: true,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(screen);
  fit.fit();
  const connection = source.openTerminal(
    { node, program, columns: terminal.cols, rows: terminal.rows },
    {
      output: (bytes) => terminal.write(bytes),
      ended: (sentence) => {
        terminal.write(`\r\n\x1b[2m${sentence}\x1b[0m\r\n`);
        terminal.options.disableStdin = true;
        title.textContent = `${node} · ${program} · ended`;
      },
    },
  );
  const encoder = new TextEncoder();
  terminal.onData((text) => connection.type(encoder.encode(text)));
  terminal.onBinary((text) => connection.type(Uint8Array.from(text, (c) => c.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => connection.resize(cols, rows));
  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(screen);
  const end = () => {
    observer.disconnect();
    connection.close();
    terminal.dispose();
    box.remove();
  };
  close.addEventListener("click", end);
  box.addEventListener("terminal-close", end);
  box.addEventListener("keydown", (event) => event.stopPropagation()); // keys are the program's
  terminal.focus();
}
