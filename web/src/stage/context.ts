// Where the stage draws: on a graphics processor, or in software.

import { type Camera, ShaderMaterial, Vector2, WebGLRenderTarget, type Scene, type WebGLRenderer } from "three";
import { FullScreenQuad } from "three/addons/postprocessing/Pass.js";

/** What drivers without a graphics processor are called. */
const software = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** Whether this browser draws WebGL on the machine's processors. */
export function drawsInSoftware(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return true;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER) as string;
  gl.getExtension("WEBGL_lose_context")?.loseContext(); // a browser has few
  return software.test(name);
}

/**
 * A context that covers what is below it, so that the browser need not mix the two.
 * Undefined if there is no WebGL.
 */
export function contextOf(canvas: HTMLCanvasElement, antialias: boolean): WebGL2RenderingContext | undefined {
  return canvas.getContext("webgl2", { alpha: false, stencil: false, antialias, powerPreference: "high-performance" }) ?? undefined;
}

/**
 * Multisampling for some frames only. A context has it for all of them or for none,
 * and where software draws it takes three times as long as without.
 */
export class Smoothing {
  #target = new WebGLRenderTarget(1, 1, { samples: 4, generateMipmaps: false });
  #size = new Vector2();
  #quad = new FullScreenQuad(
    new ShaderMaterial({
      vertexShader: /* glsl */ `
        varying vec2 at;
        void main() {
          at = uv;
          gl_Position = vec4(position.xy, 0.0, 1.0);
        }`,
      fragmentShader: /* glsl */ `
        varying vec2 at;
        uniform sampler2D picture;
        void main() { gl_FragColor = texture2D(picture, at); }`,
      uniforms: { picture: { value: this.#target.texture } },
      depthTest: false,
      depthWrite: false,
    }),
  );

  constructor(private readonly renderer: WebGLRenderer) {}

  render(scene: Scene, camera: Camera): void {
    const { x, y } = this.renderer.getDrawingBufferSize(this.#size);
    this.#target.setSize(x, y); // keeps what it has if the size is the same
    this.renderer.setRenderTarget(this.#target);
    this.renderer.render(scene, camera);
    this.renderer.setRenderTarget(null);
    this.#quad.render(this.renderer);
  }
}
