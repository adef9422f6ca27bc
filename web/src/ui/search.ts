// Finding a node by its name: a combobox after the ARIA practices.

import { html, render } from "lit-html";

export interface Found {
  name: string;
  detail: string;
}

const most = 30;

export class Search {
  #open = false;
  #at = 0;
  #found: Found[] = [];
  #text = "";

  constructor(
    private readonly element: HTMLElement,
    private readonly find: (text: string, most: number) => Found[],
    private readonly chosen: (name: string, add: boolean) => void,
  ) {
    this.#draw();
  }

  focus(): void {
    const input = this.element.querySelector("input")!;
    input.focus();
    input.select();
  }

  #draw(): void {
    const option = (i: number) => `found-${i}`;
    render(
      html`<input
          type="search"
          role="combobox"
          aria-label="Search nodes"
          aria-controls="found"
          aria-expanded=${this.#open}
          aria-autocomplete="list"
          aria-activedescendant=${this.#open && this.#found.length ? option(this.#at) : ""}
          placeholder="Search nodes"
          autocomplete="off"
          spellcheck="false"
          .value=${this.#text}
          @input=${(e: InputEvent) => this.#type((e.target as HTMLInputElement).value)}
          @focus=${(e: FocusEvent) => this.#type((e.target as HTMLInputElement).value)}
          @blur=${() => this.#close()}
          @keydown=${(e: KeyboardEvent) => this.#key(e)}
        /><kbd>/</kbd>
        <ul id="found" role="listbox" aria-label="Nodes" ?hidden=${!this.#open || !this.#found.length}>
          ${this.#found.map(
            (found, i) =>
              html`<li
                id=${option(i)}
                role="option"
                aria-selected=${i === this.#at}
                @pointerdown=${(e: PointerEvent) => {
                  e.preventDefault();
                  this.#take(i, e.shiftKey);
                }}
              >
                <span>${found.name}</span><small>${found.detail}</small>
              </li>`,
          )}
        </ul>`,
      this.element,
    );
    this.element.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }

  #type(text: string): void {
    this.#text = text;
    this.#found = this.find(text, most);
    this.#at = 0;
    this.#open = true;
    this.#draw();
  }

  #close(): void {
    this.#open = false;
    this.#draw();
  }

  #take(i: number, add: boolean): void {
    const found = this.#found[i];
    if (!found) return;
    this.#text = "";
    this.#close();
    this.element.querySelector("input")!.blur();
    this.chosen(found.name, add);
  }

  #key(event: KeyboardEvent): void {
    const n = this.#found.length;
    switch (event.key) {
      case "ArrowDown":
        this.#at = n ? (this.#at + 1) % n : 0;
        break;
      case "ArrowUp":
        this.#at = n ? (this.#at + n - 1) % n : 0;
        break;
      case "Enter":
        this.#take(this.#at, event.shiftKey);
        break;
      case "Escape":
        this.#text = "";
        (event.target as HTMLElement).blur();
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.#draw();
  }
}
