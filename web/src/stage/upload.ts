// What has changed, and how three.js is told.

import type { BufferAttribute, ShaderMaterial } from "three";

/** Sends the first elements of a buffer, and no more, with the next frame. */
export function upload(attribute: BufferAttribute, elements: number): void {
  attribute.clearUpdateRanges();
  attribute.addUpdateRange(0, elements);
  attribute.needsUpdate = true;
}

/** Sets a name for a material's shaders, or takes it away. */
export function define(material: ShaderMaterial, name: string, wanted: boolean): void {
  if (name in material.defines === wanted) return;
  if (wanted) material.defines[name] = "";
  else delete material.defines[name];
  material.needsUpdate = true;
}
