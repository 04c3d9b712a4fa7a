// A browser that looks at a fleet, and what must hold of any screen.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before } from "node:test";
import { chromium } from "playwright-core";
import { root } from "../load.mjs";
import { DEADLINE, Fleet } from "./fleet.mjs";

export { DEADLINE, freePort, until } from "./fleet.mjs";

let browser;

/** One browser for the tests of a file, and a fleet if `settings` is given. */
export function bed(settings) {
  const made = { fleet: null };
  const contexts = new Set();
  before(async () => {
    const executablePath = execFileSync(join(root, "../bin/browser"), { encoding: "utf8" }).trim();
    [browser, made.fleet] = await Promise.all([
      chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] }),
      settings && Fleet.start(settings),
    ]);
  });
  afterEach(async () => {
    for (const context of contexts) await context.close();
    contexts.clear();
  });
  after(async () => {
    await browser?.close();
    await made.fleet?.end();
  });

  /** A fresh tab. What the console says, what is refused by the policy and what goes elsewhere is kept in `page.trouble`. */
  made.tab = async (options = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
    contexts.add(context);
    context.setDefaultTimeout(DEADLINE);
    const page = await context.newPage();
    page.trouble = [];
    const origin = options.baseURL ?? made.fleet?.url;
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) page.trouble.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => page.trouble.push(`exception: ${error.message}`));
    page.on("request", (request) => {
      if (!/^(blob|data):/.test(request.url()) && new URL(request.url()).origin !== origin) page.trouble.push(`request to ${request.url()}`);
    });
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    page.open = (path) => page.goto(`${made.fleet.url}${path}`);
    return page;
  };
  return made;
}

/** Nothing went wrong, except what was expected to. */
export function assertCalm(page, expected = /^$/) {
  const trouble = page.trouble.filter((each) => !expected.test(each));
  if (trouble.length > 0) throw new Error(`the page was in trouble:\n${trouble.join("\n")}`);
}

const axe = readFileSync(join(root, "node_modules/axe-core/axe.min.js"), "utf8");

/** Every rule of WCAG 2.2 AA that a program can check, and axe's own advice. */
export async function assertAccessible(page, what) {
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}\n    ${nodes.map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join("\n    ")}`);
  });
  if (violations.length > 0) throw new Error(`${what}:\n  ${violations.join("\n  ")}`);
}

export async function assertNoSideways(page, what) {
  const [wide, width] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  if (wide > width) throw new Error(`${what}: ${wide} pixels wide in a window of ${width}`);
}
