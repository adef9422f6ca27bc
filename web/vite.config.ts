import { defineConfig } from "vite";

// Names without hashes: the bundle is committed, and a change should show as a
// change and not as a new file. The server sends ETags.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200,
    rollupOptions: {
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
        manualChunks: { three: ["three"], xterm: ["@xterm/xterm", "@xterm/addon-fit"] },
      },
    },
  },
  server: { proxy: { "/orrery.v1alpha1.": "http://127.0.0.1:8600" } },
});
