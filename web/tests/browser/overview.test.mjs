// What the fleet does, in figures: on the overview, and on the screen of an import under way.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import test from "node:test";
import { promisify } from "node:util";
import { assertCalm, bed, until } from "./support.mjs";

const at = bed({ WORKER_CONCURRENCY: "4", DRIVE_QUOTA_UNITS_PER_MINUTE: "3000000" });
const digits = (text) => Number(text.replace(/[^\d.]/g, ""));
const figure = (page, name) => page.locator(".figure", { has: page.getByText(name, { exact: true }) }).locator("dd");
const stat = (page, name) => page.locator(".stat", { has: page.getByText(name, { exact: true }) });

test("the overview shows the queue, the fleet, the quota and what is waited for", async () => {
  await at.fleet.faults({ latency_ms: 500 });
  const id = await at.fleet.import("sim-n2000-s1k-seed61");
  const page = await at.tab();
  await page.open("/overview");
  const value = async (name) => digits(await stat(page, name).locator(".stat-value").textContent());
  const note = async (name) => digits(await stat(page, name).locator(".stat-note").textContent());
  await until("a worker is alive", async () => (await value("Workers alive")) >= 1);
  await until("images are queued and running", async () => (await value("Queued images")) > 0 && (await note("Queued images")) > 0);
  await until("images arrive", async () => (await value("Images")) > 0);
  const processes = page.getByRole("list", { name: "Processes" });
  for (const role of ["producer", "worker", "projector"]) await processes.getByText(role, { exact: true }).waitFor();
  await processes.locator("li", { hasText: "worker" }).getByText("busy", { exact: true }).waitFor();
  await until("one import is under way", async () => (await page.locator(".by-state li", { hasText: "Importing" }).locator(".number").textContent()) === "1");
  const meter = page.getByRole("meter", { name: "Quota of Google Drive in use" });
  await until("quota is used", async () => Number(await meter.getAttribute("aria-valuenow")) > 0);
  assert.equal(await meter.getAttribute("aria-valuemax"), "3000000");
  await page.getByRole("img", { name: /^Images a second, all imports: .* on average/ }).waitFor();

  await page.getByText("Nothing is waited for.").waitFor();
  await at.fleet.faults({ down: true });
  const outage = page.locator(".outages", { hasText: "Google Drive" });
  await outage.waitFor();
  await at.fleet.faults({ latency_ms: 500 });
  await outage.waitFor({ state: "detached" });
  await page.getByText("Nothing is waited for.").waitFor();
  await at.fleet.api(`/api/imports/${id}/cancel`, { method: "POST", body: "{}" });
  await at.fleet.ended(id);
  assertCalm(page);
});

test("an import that is still listed says so, measures itself, and speaks now and then", async () => {
  // A folder is listed as fast as it is imported.
  await at.fleet.faults({ latency_ms: 1000 });
  const id = await at.fleet.import("sim-n3000-s1k-seed62");
  const page = await at.tab();
  await page.addInitScript(() => {
    window.spoken = [];
    document.addEventListener("DOMContentLoaded", () => {
      const look = () => {
        const text = document.querySelector("[data-testid=announcer]")?.textContent;
        if (text && text !== window.spoken.at(-1)?.text) window.spoken.push({ text, at: performance.now() });
      };
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
  });
  await page.open(`/imports/${id}`);
  await until("the total is a minimum", async () => /^≥ [1-9]/.test(await figure(page, "Listed").textContent()));
  await figure(page, "Time left").getByText("still listing").waitFor();
  const bar = page.getByRole("progressbar", { name: "Progress" });
  const shown = new Set();
  await until("rates are measured", async () => {
    shown.add(await bar.getAttribute("aria-valuetext"));
    return digits(await figure(page, "Images/s").textContent()) > 0 && digits(await figure(page, "MB/s").textContent()) >= 0;
  });
  await page.getByRole("img", { name: /^Images a second: .* on average/ }).waitFor();
  await until("the bar moves", async () => shown.add(await bar.getAttribute("aria-valuetext")).size > 4);
  await until("it spoke", () => page.evaluate(() => window.spoken.length > 1));
  const spoken = await page.evaluate(() => window.spoken);
  for (const [n, { at: when }] of spoken.slice(1).entries()) assert.ok(when - spoken[n].at > 9_500, `too soon: ${JSON.stringify(spoken)}`);

  // What the page copies runs as it is.
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "More", exact: true }).click();
  await page.getByRole("button", { name: "Copy as curl…" }).click();
  await page.getByRole("button", { name: "Copy curl: How far it is" }).click();
  await page.getByText("Copied").waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const { stdout } = await promisify(execFile)("bash", ["-c", command]);
  assert.equal(JSON.parse(stdout).id, id, command);
  await page.keyboard.press("Escape");

  await at.fleet.faults({});
  await page.locator(".pill.completed").waitFor();
  assert.equal(await figure(page, "Listed").textContent(), "3,000");
  assert.match(await figure(page, "Took").textContent(), /\d/);
  assertCalm(page);
});

test("movement is for those who want it", async () => {
  const id = await at.fleet.import("demo-photographs-n6");
  await at.fleet.ended(id);
  for (const [reducedMotion, moves] of [
    ["reduce", false],
    ["no-preference", true],
  ]) {
    const page = await at.tab({ reducedMotion });
    await page.open("/gallery");
    const image = page.locator(".tile img.ready").first();
    await image.waitFor();
    const duration = await image.evaluate((node) => getComputedStyle(node).transitionDuration);
    assert.equal(Number.parseFloat(duration) > 0, moves, `${reducedMotion}: ${duration}`);
    assertCalm(page);
  }
});
