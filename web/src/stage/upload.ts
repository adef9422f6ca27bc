import type { BufferAttribute } from "three";

/** Sends the first elements of a buffer, and no more, with the next frame. */
export function upload(attribute: BufferAttribute, elements: number): void {
  attribute.clearUpdateRanges();
  attribute.addUpdateRange(0, elements);
  attribute.needsUpdate = true;
}
