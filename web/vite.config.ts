import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** What the gateway sends is compressed here, once, as small as it gets. */
function compressed(): Plugin {
  let folder = "";
  return {
    name: "compressed",
    apply: "build",
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    buildStart() {
      // The folder itself and its .gitignore stay: cargo watches it, built or not.
      for (const name of readdirSync(folder)) {
        if (name !== ".gitignore") rmSync(join(folder, name), { recursive: true });
      }
    },
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        if (!/\.(html|js|css|svg)$/.test(name)) continue;
        const file = join(folder, name);
        const bytes = readFileSync(file);
        writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
        writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), compressed()],
  build: {
    target: ["chrome123", "firefox128", "safari17.5"],
    emptyOutDir: false,
    // The policy allows no `data:` addresses, and no inline script.
    assetsInlineLimit: 0,
    // The gateway names what a screen is made of with the page itself.
    modulePreload: false,
  },
  server: {
    proxy: { "/api": { target: process.env["GATEWAY"] ?? "http://127.0.0.1:5000", changeOrigin: true } },
  },
});
