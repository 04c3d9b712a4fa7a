// What people come for: paste, watch, see what failed, retry, look, delete.

import assert from "node:assert/strict";
import test from "node:test";
import { assertCalm, bed, until } from "./support.mjs";

const at = bed({ WORKER_MAX_ATTEMPTS: "2", WORKER_CONCURRENCY: "8" });
const url = (id) => `https://drive.google.com/drive/folders/${id}?usp=sharing`;
/** The figure without what stands beneath it. */
const number = async (locator) => Number((await locator.evaluate((node) => node.firstChild.textContent)).replace(/\D/g, ""));

async function paste(page, id) {
  await page.open("/");
  await page.getByLabel("Folder link").fill(url(id));
  await page.getByText(`Folder ${id}`).waitFor();
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]{36}$/);
  return page.url().split("/").at(-1);
}

const figure = (page, name) => page.locator(".figure", { has: page.getByText(name, { exact: true }) }).locator("dd");

test("a folder is watched to its end without a reload, and what failed says what to do", async () => {
  await at.fleet.faults({ latency_ms: 500, jitter_ms: 300 });
  const page = await at.tab();
  await page.open("/");
  await page.getByLabel("Folder link").fill("https://drive.google.com/file/d/1AbCdEf/view");
  await page.getByText("This link leads to one file.").waitFor();
  const id = await paste(page, "demo-photographs-n60");
  await page.evaluate(() => (window.notReloaded = true));

  const seen = new Set();
  const bar = page.getByRole("progressbar", { name: "Progress" });
  const look = async () => seen.add(await bar.getAttribute("aria-valuetext"));
  // Drive is slow until then, so that a slow machine sees it, too.
  await until("the bar moves", async () => (await look()).size >= 4);
  await at.fleet.faults({});
  await page.locator(".pill.completed").waitFor();
  await look();
  assert.ok(seen.size >= 5, `the bar moved: ${[...seen].join(" | ")}`);
  assert.ok(await page.evaluate(() => window.notReloaded), "the page was not loaded again");
  await page.getByRole("heading", { level: 1, name: "Photographs" }).waitFor();

  const job = await at.fleet.api(`/api/imports/${id}`);
  assert.equal(await number(figure(page, "Failed")), 3);
  await until("the figures are the gateway's", async () => (await number(figure(page, "Skipped"))) === job.skipped);
  await page.getByText(/Finished: \d+ of \d+ images done, 3 failed\./).first().waitFor();
  await until("each cause is a group", async () => (await page.locator(".failure").count()) === 3);
  const empty = page.locator(".failure", { hasText: "empty_file" });
  await empty.getByText("The file has zero bytes. Upload it to Drive again.").waitFor();
  await until("pictures arrive", () => page.locator(".strip img.ready").count());

  // The history of one image, which its address keeps.
  await empty.getByRole("button", { name: "Show the image" }).click();
  await empty.locator(".failed-items button").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Given up").first().waitFor();
  await page.reload();
  await dialog.getByText("Given up").first().waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.ok(!page.url().includes("item="), page.url());
  assertCalm(page);
});

test("a cause that is mended is retried as a group, after a count", async () => {
  await at.fleet.faults({ download_quota: 1 });
  const page = await at.tab();
  await paste(page, "sim-n7-s1k-seed3");
  const group = page.locator(".failure", { hasText: "download_quota_exceeded" });
  await group.getByRole("button", { name: /Retry these 7/ }).waitFor();
  await page.locator(".pill.completed").waitFor();

  await at.fleet.faults({});
  await group.getByRole("button", { name: /Retry these 7/ }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("7 failed images will be queued again.").waitFor();
  await dialog.getByRole("button", { name: "Retry 7 images" }).click();
  await until("all seven are imported", async () => (await number(figure(page, "Imported"))) === 7);
  await group.waitFor({ state: "detached" });
  await page.getByText("Finished: all 7 images done.").first().waitFor();
  assertCalm(page);
});

test("one image is retried, and its history and its group follow without a reload", async () => {
  await at.fleet.faults({ download_quota: 1 });
  const page = await at.tab();
  await paste(page, "sim-n5-s1k-seed12");
  const group = page.locator(".failure", { hasText: "download_quota_exceeded" });
  await page.locator(".pill.completed").waitFor();
  await group.getByRole("button", { name: "Show all 5" }).click();
  const items = group.locator(".failed-items li");
  await until("all five are listed", async () => (await items.count()) === 5);
  await items.first().getByRole("button").click();
  const history = page.getByRole("dialog").first();
  await history.getByText("Given up").first().waitFor();

  await at.fleet.faults({});
  await history.getByRole("button", { name: "Retry this image…" }).click();
  await page.getByRole("button", { name: "Retry 1 image" }).click();
  await history.locator(".state.imported").waitFor();
  assert.ok(await page.evaluate(() => document.activeElement.closest("dialog") !== null), "its button is gone, the focus is not");
  await until("the other four are listed", async () => (await items.count()) === 4);
  await page.keyboard.press("Escape");
  await history.waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.id), "main", "where it came from is gone");
  assertCalm(page);
});

test("pause, resume and cancel; other tabs follow", async () => {
  await at.fleet.faults({ latency_ms: 300 });
  const page = await at.tab();
  const other = await at.tab();
  const id = await paste(page, "sim-n3000-s1k-seed4");
  await other.open("/?status=processing");
  const row = other.locator(".import-row", { has: other.locator(`a[href="/imports/${id}"]`) });
  await row.locator(".pill.processing").waitFor();
  // A list that is not followed yet is asked for again, and then without what is paused.
  await other.getByText("Live", { exact: true }).waitFor();

  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  await row.locator(".pill.paused").waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  await page.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("button", { name: "Keep importing" }).click();
  await page.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("button", { name: "Cancel import" }).click();
  await page.locator(".pill.cancelled").waitFor();
  await row.locator(".pill.cancelled").waitFor();
  await at.fleet.faults({});

  // The filter is in the address.
  await other.getByRole("link", { name: /^Cancelled/ }).click();
  await other.waitForURL(/\?status=cancelled$/);
  await row.waitFor();
  await other.getByLabel("Search imports").fill("no such folder");
  await other.getByText("No import matches.").waitFor();
  await other.getByRole("button", { name: "Show all imports" }).click();
  await row.waitFor();
  assert.equal(new URL(other.url()).search, "");
  assertCalm(page);
  assertCalm(other);
});

test("images are found, looked at and deleted: one, some, and all that match", async () => {
  await at.fleet.faults({});
  const id = await at.fleet.import("sim-n60-s2k-seed5");
  await at.fleet.ended(id);
  // All at once, so that the browser has them: one that it asks for while it is deleted is a 404.
  const page = await at.tab({ viewport: { width: 1280, height: 1600 } });
  await page.open(`/gallery?import=${id}`);
  const list = page.getByRole("list", { name: "60 images" });
  await list.waitFor();
  await until("thumbnails are shown", async () => (await list.locator("img.ready").count()) === 60);

  await list.getByRole("button").first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("1 of 60").waitFor();
  const first = new URL(page.url()).searchParams.get("image");
  await page.keyboard.press("ArrowRight");
  await dialog.getByText("2 of 60").waitFor();
  await page.keyboard.press("ArrowLeft");
  await dialog.getByText("1 of 60").waitFor();
  await dialog.getByRole("button", { name: "Delete…" }).click();
  await dialog.getByRole("button", { name: "Keep" }).click();
  await dialog.getByRole("button", { name: "Delete…" }).click();
  await dialog.getByRole("button", { name: "Delete image" }).click();
  await dialog.getByText("Being deleted…").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("list", { name: "59 images" }).waitFor();
  const gone = await fetch(`${at.fleet.url}/api/images/${first}`);
  assert.equal(gone.status, 404);

  await page.getByRole("button", { name: "Select" }).click();
  const tiles = page.getByRole("list", { name: "59 images" }).getByRole("button");
  await tiles.nth(0).click();
  await tiles.nth(1).click();
  await page.getByRole("button", { name: "Delete selected…" }).click();
  await dialog.getByText("2 images: objects and rows, for good.").waitFor();
  await dialog.getByRole("button", { name: "Delete 2 images" }).click();
  await dialog.getByText("2 images of 2 queued.").waitFor();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await page.getByRole("list", { name: "57 images" }).waitFor();

  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("button", { name: "Delete all that match…" }).click();
  await dialog.getByText("57 images: objects and rows, for good.").waitFor();
  const remove = dialog.getByRole("button", { name: "Delete 57 images" });
  assert.equal(await remove.getAttribute("aria-disabled"), "true", "a number this large is typed first");
  await dialog.getByLabel("Type 57 to confirm").fill("57");
  await remove.click();
  await dialog.getByText("57 images of 57 queued.").waitFor();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await page.getByText("No image matches.").waitFor();
  assertCalm(page);
});

test("a failed listing and a wrong link say what to do", async () => {
  const page = await at.tab();
  await paste(page, "no-such-folder-at-all");
  await page.locator(".pill.failed").waitFor();
  await page.getByText("Drive does not know this folder, or it is private.").first().waitFor();
  assertCalm(page);
  await page.open("/imports/no-such-import");
  await page.getByRole("heading", { name: "No such import" }).waitFor();
  // Cut amid an escape, as mail programs do.
  await page.open("/imports/%E0%A4");
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.open("/no/such/screen");
  await page.getByRole("heading", { name: "No such page" }).waitFor();
  assertCalm(page, /404/);
});
