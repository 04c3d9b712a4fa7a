// The page's own modules, as the build reads them, for tests in Node.

import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

export const root = fileURLToPath(new URL("..", import.meta.url));

export async function load(path) {
  const { module } = await runnerImport(`${root}src/${path}`, { root, configFile: false, logLevel: "error" });
  return module;
}
