// Names beside nodes. Those that would cover another one are left out, the less
// important ones first.

export interface Label {
  text: string;
  /** Pixels. */
  x: number;
  y: number;
  strong: boolean;
  color: string;
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const height = 16;

/** A label that is in the page. */
interface Shown {
  element: HTMLElement;
  strong: boolean;
  color: string;
  left: number;
  top: number;
}

/**
 * Labels are elements, each with a layer of its own: one that stands still costs
 * nothing, and a browser that draws in software need not mix a whole canvas of
 * nothing into every frame.
 */
export class Labels {
  #pen = document.createElement("canvas").getContext("2d")!;
  #widths = new Map<string, number>();
  #boxes: Box[] = [];
  /** By their text, so that one that goes moves no other. */
  #shown = new Map<string, Shown>();
  font = "system-ui";

  constructor(private readonly parent: HTMLElement) {}

  /** Shows labels, the most important first. */
  draw(labels: readonly Label[]): void {
    this.#boxes.length = 0;
    const last = new Map(this.#shown);
    for (const label of labels) {
      const width = this.#width(label);
      const box = this.#room(label.x, label.y, width);
      if (!box) continue;
      this.#boxes.push(box);
      this.#show(label, box);
      last.delete(label.text);
    }
    for (const [text, { element }] of last) {
      element.remove();
      this.#shown.delete(text);
    }
  }

  #show(label: Label, box: Box): void {
    let shown = this.#shown.get(label.text);
    if (!shown) {
      const element = document.createElement("span");
      element.textContent = label.text;
      this.parent.append(element);
      shown = { element, strong: false, color: "", left: NaN, top: NaN };
      this.#shown.set(label.text, shown);
    }
    const { element } = shown;
    if (shown.strong !== label.strong) element.classList.toggle("strong", (shown.strong = label.strong));
    if (shown.color !== label.color) element.style.color = shown.color = label.color;
    // Below a tenth of a pixel nothing moves.
    const [left, top] = [box.left + 2, box.top];
    if (Math.abs(left - shown.left) < 0.1 && Math.abs(top - shown.top) < 0.1) return;
    [shown.left, shown.top] = [left, top];
    element.style.transform = `translate(${left.toFixed(1)}px, ${top.toFixed(1)}px)`;
  }

  /** A free place: right of the point, left, above or below. */
  #room(x: number, y: number, width: number): Box | undefined {
    for (const [dx, dy] of [
      [7, 0],
      [-7 - width, 0],
      [-width / 2, -14],
      [-width / 2, 14],
    ] as const) {
      const box = { left: x + dx - 2, right: x + dx + width + 2, top: y + dy - height / 2, bottom: y + dy + height / 2 };
      if (!this.#boxes.some((other) => overlap(box, other))) return box;
    }
    return undefined;
  }

  #width(label: Label): number {
    const key = (label.strong ? "*" : "") + label.text;
    let width = this.#widths.get(key);
    if (width === undefined) {
      this.#pen.font = `${label.strong ? 600 : 450} 12px ${this.font}`;
      width = this.#pen.measureText(label.text).width;
      if (this.#widths.size > 4000) this.#widths.clear();
      this.#widths.set(key, width);
    }
    return width;
  }
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
