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

export class Labels {
  #pen: CanvasRenderingContext2D;
  #widths = new Map<string, number>();
  #boxes: Box[] = [];
  #ratio = 1;
  font = "system-ui";

  constructor(readonly canvas: HTMLCanvasElement) {
    this.#pen = canvas.getContext("2d")!;
  }

  resize(width: number, height: number, ratio: number): void {
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.#ratio = ratio;
  }

  /** Draws labels, the most important first; says how many found room. */
  draw(labels: readonly Label[], halo: string): number {
    const pen = this.#pen;
    pen.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    this.#boxes.length = 0;
    let shown = 0;
    for (const label of labels) {
      pen.font = `${label.strong ? 600 : 450} 12px ${this.font}`;
      const width = this.#width(label);
      const box = this.#room(label.x, label.y, width);
      if (!box) continue;
      this.#boxes.push(box);
      const [x, y] = [box.left + 2, (box.top + box.bottom) / 2];
      pen.strokeStyle = halo;
      pen.lineWidth = 3.5;
      pen.globalAlpha = 0.85;
      pen.strokeText(label.text, x, y);
      pen.globalAlpha = 1;
      pen.fillStyle = label.color;
      pen.fillText(label.text, x, y);
      shown++;
    }
    return shown;
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
