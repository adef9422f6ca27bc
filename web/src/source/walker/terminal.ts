// A terminal that answers itself: it knows "echo" and "exit".

import type { Terminal, TerminalListener, TerminalRequest } from "../source";

export function echoTerminal(request: TerminalRequest, listener: TerminalListener): Terminal {
  const say = (text: string) => listener.output(new TextEncoder().encode(text));
  const prompt = `${request.node}# `;
  let line = "";
  let open = true;
  const end = (sentence: string) => {
    if (!open) return;
    open = false;
    listener.ended(sentence);
  };
  queueMicrotask(() => say(prompt));
  return {
    type(bytes) {
      for (const character of new TextDecoder().decode(bytes)) {
        if (character === "\r") {
          say("\r\n");
          const [command, ...words] = line.trim().split(/\s+/);
          line = "";
          if (command === "exit") return end(`${request.program} has ended with exit code 0.`);
          if (command === "echo") say(`${words.join(" ")}\r\n`);
          else if (command) say(`${command}: command not found\r\n`);
          say(prompt);
        } else if (character === "\x7f") {
          if (line) say("\b \b");
          line = line.slice(0, -1);
        } else {
          line += character;
          say(character);
        }
      }
    },
    resize() {},
    close: () => end("The connection has ended."),
  };
}
