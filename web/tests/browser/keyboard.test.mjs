// Everything by keyboard alone.

import assert from "node:assert/strict";
import test from "node:test";
import { assertCalm, bed, until } from "./support.mjs";

const at = bed({ WORKER_MAX_ATTEMPTS: "2" });
const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute("aria-label") || document.activeElement?.textContent || document.activeElement?.tagName);

test("import, retry, look and go back, without a mouse", async () => {
  const page = await at.tab();
  await page.open("/");
  await page.getByText("No imports yet.").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");

  await page.keyboard.press("/");
  await page.keyboard.type("https://drive.google.com/drive/folders/demo-photographs-n20");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/imports\//);
  await page.locator(".pill.completed").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "main", "the focus follows to the new screen");

  await page.keyboard.press("r");
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Retry 3 images" }).waitFor();
  assert.match(await focused(page), /^Retry/);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.locator(".failure").nth(2).waitFor();
  await page.keyboard.press("j");
  assert.match(await focused(page), /^Retry this one/);

  await page.keyboard.press("1");
  await page.locator(".import-row").waitFor();
  await page.keyboard.press("j");
  assert.equal(await focused(page), "Photographs");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/imports\//);

  await page.keyboard.press("2");
  const tiles = page.locator("[data-index]");
  await until("images are there", async () => (await page.locator(".tile img.ready").count()) > 3);
  await page.keyboard.press("j");
  const first = await focused(page);
  await page.keyboard.press("ArrowRight");
  const second = await focused(page);
  assert.notEqual(first, second);
  await page.keyboard.press("k");
  assert.equal(await focused(page), first);
  await page.keyboard.press("End");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.index), String((await tiles.count()) - 1));
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  await dialog.getByRole("heading", { name: first }).waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await focused(page), first, "the focus is back where it was");

  await page.keyboard.press("/");
  assert.equal(await focused(page), "Search images by name");
  assertCalm(page);
});

test("the focus is not lost with the button that had it", async () => {
  await at.fleet.faults({ latency_ms: 500, download_quota: 1 });
  const id = await at.fleet.import("sim-n300-s1k-seed51");
  const page = await at.tab();
  await page.open(`/imports/${id}`);
  const retry = page.locator(".failure").getByRole("button", { name: /^Retry/ });
  await retry.waitFor();
  await page.getByRole("button", { name: "Pause" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Resume" }).waitFor();
  assert.equal(await focused(page), "Resume");

  await page.getByRole("button", { name: "More", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Copy as curl…" }).focus();
  await page.keyboard.press("Enter");
  await page.locator(".scripts").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".scripts").waitFor({ state: "detached" });
  assert.equal(await focused(page), "More");

  // The only group goes when what failed is retried.
  await at.fleet.faults({});
  await retry.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: /^Retry \d+ images?$/ }).waitFor();
  await page.keyboard.press("Enter");
  await page.locator(".failure").waitFor({ state: "detached" });
  assert.notEqual(await page.evaluate(() => document.activeElement.tagName), "BODY");
  assertCalm(page);
});

test("single-key shortcuts can be switched off", async () => {
  const page = await at.tab();
  await page.open("/");
  // The heading is there a moment before the keys are listened to, the stream is not.
  await page.getByText("Live", { exact: true }).waitFor();
  await page.keyboard.press("?");
  await page.getByLabel("Single-key shortcuts").uncheck();
  await page.keyboard.press("Escape");
  await page.keyboard.press("2");
  await page.keyboard.press("?");
  assert.equal(await page.getByRole("dialog").count(), 0);
  assert.equal(new URL(page.url()).pathname, "/");
  await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
  await page.getByLabel("Single-key shortcuts").check();
  await page.keyboard.press("Escape");
  await page.keyboard.press("3");
  await page.waitForURL(/overview$/);
});
