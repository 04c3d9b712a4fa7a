// Lists: what they follow, what is done to all that match, what is exported.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { assertCalm, bed, until } from "./support.mjs";

const at = bed({ WORKER_MAX_ATTEMPTS: "2", WORKER_CONCURRENCY: "4" });
const row = (page, id) => page.locator(".import-row", { has: page.locator(`a[href="/imports/${id}"]`) });
const inDialog = (page) => page.evaluate(() => document.activeElement.closest("dialog") !== null);

test("what ended while another import was looked at is shown so on the way back", async () => {
  await at.fleet.faults({ latency_ms: 700 });
  const long = await at.fleet.import("sim-n2000-s1k-seed31");
  const page = await at.tab();
  await page.open("/");
  await row(page, long).locator(".pill.processing").waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  const short = await at.fleet.import("sim-n12-s1k-seed32");
  await row(page, short).locator(".pill.processing").waitFor();

  await row(page, long).getByRole("link").click();
  const bar = page.getByRole("progressbar", { name: "Progress" });
  await bar.waitFor();
  await at.fleet.ended(short);
  const before = await bar.getAttribute("aria-valuetext");
  await until("the long one is followed", async () => (await bar.getAttribute("aria-valuetext")) !== before);
  await page.getByRole("link", { name: "Imports", exact: true }).first().click();
  await row(page, short).locator(".pill.completed").waitFor();
  await row(page, long).locator(".pill.processing").waitFor();

  // One that comes to match stands where it belongs, not only on top.
  await page.getByRole("link", { name: /^Cancelled/ }).click();
  await page.getByText("No import matches.").waitFor();
  const newest = await at.fleet.import("sim-n2000-s1k-seed33");
  await at.fleet.api(`/api/imports/${newest}/cancel`, { method: "POST", body: "{}" });
  await row(page, newest).waitFor();
  await at.fleet.api(`/api/imports/${long}/cancel`, { method: "POST", body: "{}" });
  await row(page, long).waitFor();
  assert.deepEqual(await page.locator(".import-row a.row-link").evaluateAll((all) => all.map((link) => link.getAttribute("href"))), [newest, long].map((id) => `/imports/${id}`));
  await at.fleet.faults({});
  assertCalm(page);
});

test("a command to all that match counts first, reports, and keeps the keyboard", async () => {
  await at.fleet.faults({ latency_ms: 500 });
  const running = await at.fleet.import("sim-n2000-s1k-seed34");
  const over = await at.fleet.import("sim-n2-s1k-seed35");
  await at.fleet.ended(over);
  const page = await at.tab();
  const dialog = page.getByRole("dialog");
  const choose = async (menu, action) => {
    await page.getByRole("button", { name: menu }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: action }).focus();
    await page.keyboard.press("Enter");
  };

  await page.open("/?status=completed");
  await row(page, over).waitFor();
  await choose("All that match", "Pause…");
  await dialog.getByText(/match(es)? can(not)? do this now\./).waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Pause", exact: true }).getAttribute("aria-disabled"), "true");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "All that match", "the focus is where it came from");

  await page.open(`/?q=${running}`);
  await row(page, running).locator(".pill.processing").waitFor();
  await choose("All that match", "Cancel…");
  const cancel = dialog.getByRole("button", { name: "Cancel 1 import" });
  await cancel.focus();
  await page.keyboard.press("Enter");
  await dialog.getByRole("status").getByText("1 of 1 import accepted.").waitFor();
  assert.ok(await inDialog(page), "the pressed button is gone, the focus is not");
  await page.keyboard.press("Escape");
  await row(page, running).locator(".pill.cancelled").waitFor();
  await at.fleet.faults({});
  assertCalm(page);
});

test("the gallery is narrowed down by type, and exported as it is narrowed down", async () => {
  // One of every kind.
  const id = await at.fleet.import("museum");
  await at.fleet.ended(id);
  const { images } = await at.fleet.api(`/api/images?import=${id}&per_page=100`);
  const kinds = new Map(images.map(({ mime_type }) => [mime_type, images.filter((each) => each.mime_type === mime_type)]));
  assert.ok(kinds.size > 4, [...kinds.keys()].join());
  const page = await at.tab();
  await page.open(`/gallery?import=${id}`);
  await page.getByRole("list", { name: `${images.length} images` }).waitFor();
  assert.equal(await page.locator('option[value="image/heif"]').textContent(), "HEIC", "as workers call it");
  for (const [type, some] of kinds) {
    await page.getByLabel("Type", { exact: true }).selectOption(type);
    await page.locator(`.tiles[aria-label="${some.length} images"]`).waitFor();
    assert.equal(new URL(page.url()).searchParams.get("type"), type);
  }

  const [type, some] = [...kinds].at(-1);
  for (const [format, lines] of [
    ["CSV", some.length + 1],
    ["NDJSON", some.length],
  ]) {
    await page.getByRole("button", { name: "More" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: `Export all that match as ${format}` }).click()]);
    const text = await readFile(await download.path(), "utf8");
    assert.equal(text.trim().split(/\r?\n/).length, lines, `${format} of ${type}:\n${text}`);
    for (const { name } of some) assert.ok(text.includes(name), `${name} in ${format}`);
  }
  assertCalm(page);
});
