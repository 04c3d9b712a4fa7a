// The gateway goes and comes back, and the page with it.

import assert from "node:assert/strict";
import test from "node:test";
import { assertCalm, bed, until } from "./support.mjs";

// What a dead worker held is handed out again after NATS_ACK_WAIT.
const at = bed({ NATS_ACK_WAIT: "3s", WORKER_CONCURRENCY: "8" });
/** What browsers say by themselves of a server that is gone. */
const GONE = /Failed to load resource|ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY/;

test("an import is followed across the death of everything", async () => {
  // Drive is slow until the page is live again: what has ended is followed no more.
  await at.fleet.faults({ latency_ms: 2000 });
  const id = await at.fleet.import("sim-n200-s1k-seed6");
  const page = await at.tab();
  const list = await at.tab();
  await page.clock.install();
  await page.open(`/imports/${id}`);
  await list.open("/");
  await list.locator(".import-row").waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  const bar = page.getByRole("progressbar", { name: "Progress" });
  await until("some are done", async () => /^[1-9]/.test(await bar.getAttribute("aria-valuetext")));

  await at.fleet.kill();
  for (const each of [page, list]) {
    await each.getByText("The gateway cannot be reached.").waitFor();
    await each.getByText("Offline", { exact: true }).waitFor();
  }
  assert.equal(await page.getByRole("status").getByRole("button", { name: /Try now/ }).count(), 0, "seconds that pass are not told");
  // What was known stays to be read.
  assert.ok(await page.getByRole("heading", { level: 1 }).isVisible());
  assert.ok(await list.locator(".import-row").isVisible());
  const before = await bar.getAttribute("aria-valuetext");

  // The page's own timers stand still, so that it is the click that connects. If it was just due to try by
  // itself, the button is gone, and comes back only while they run.
  const tryNow = page.getByRole("button", { name: /Try now/ });
  await until("the page's timers stand still while it waits", async () => {
    await page.clock.resume();
    await tryNow.waitFor();
    await page.clock.pauseAt(await page.evaluate(() => Date.now() + 1000));
    return tryNow.isVisible();
  });
  await at.fleet.up();
  const asked = page.waitForRequest(new RegExp(`/api/imports/${id}/events$`));
  await tryNow.click();
  await asked;
  await page.clock.resume();
  await page.getByText("Live", { exact: true }).waitFor();
  await at.fleet.faults({});
  await page.locator(".offline").waitFor({ state: "detached" });
  await page.locator(".pill.completed").waitFor();
  assert.notEqual(await bar.getAttribute("aria-valuetext"), before);
  // By itself, without a click.
  await list.getByText("Live", { exact: true }).waitFor();
  await list.locator(".import-row .pill.completed").waitFor();
  assertCalm(page, GONE);
  assertCalm(list, GONE);
});

test("a page that is opened while the database is away shows what it can, and the rest later", async () => {
  const page = await at.tab();
  await page.route("**/api/imports?*", (route) =>
    route.fulfill({
      status: 503,
      contentType: "application/problem+json",
      body: JSON.stringify({ title: "The database is not ready", detail: "Imports go on meanwhile. Ask again.", code: "database_unavailable", request_id: "r-1" }),
    }),
  );
  await page.open("/");
  await page.getByText("The database is not ready").waitFor();
  await page.getByText("r-1").waitFor();
  await page.unroute("**/api/imports?*");
  await page.locator(".import-row").first().waitFor();
  assert.equal(await page.getByText("The database is not ready").count(), 0);
});
