// What the page costs before it is shown, in bytes that travel.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { root } from "./load.mjs";

const KIB = 1024;
const dist = join(root, "dist");
const html = readFileSync(join(dist, "index.html"), "utf8");
const gzip = (name) => statSync(join(dist, `${name}.gz`)).size;
const named = (text) => [...text.matchAll(/(?:src|href)="\/([^"]+)"/g)].map((match) => match[1]);

/** What a module imports before it runs; what it imports later is not part of the first screen. */
function withImports(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  if (name.endsWith(".js")) {
    const text = readFileSync(join(dist, name), "utf8");
    for (const [, file] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) withImports(`assets/${file}`, seen);
  }
  return seen;
}

test("the first screen is at most 120 KiB, everything at most 180", () => {
  const first = new Set(["index.html"]);
  for (const name of named(html)) for (const file of withImports(name)) first.add(file);
  assert.ok([...first].some((name) => name.endsWith(".js")) && [...first].some((name) => name.endsWith(".css")), [...first].join());
  const initial = [...first].reduce((sum, name) => sum + gzip(name), 0);
  const all = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((name) => /\.(html|js|css|svg)$/.test(name));
  const total = all.reduce((sum, name) => sum + gzip(name), 0);
  console.log(`first screen ${(initial / KIB).toFixed(1)} KiB, everything ${(total / KIB).toFixed(1)} KiB, gzip`);
  assert.ok(initial <= 120 * KIB, `first screen: ${initial} bytes`);
  assert.ok(total <= 180 * KIB, `everything: ${total} bytes`);
  for (const name of all) assert.ok(statSync(join(dist, `${name}.br`)).size > 0, name);
});

test("nothing is inline, and nothing comes from elsewhere", () => {
  assert.doesNotMatch(html, /<style| style=| on[a-z]+=|<script(?![^>]* src=)/);
  assert.doesNotMatch(html, /(src|href)="(?!\/)/);
  for (const name of readdirSync(join(dist, "assets"))) {
    if (!name.endsWith(".css")) continue;
    assert.doesNotMatch(readFileSync(join(dist, "assets", name), "utf8"), /url\((?!["']?\/assets\/)|@import/, name);
  }
});
