// A gateway that asks for a key.

import assert from "node:assert/strict";
import test from "node:test";
import { assertCalm, bed, until } from "./support.mjs";

const KEY = "a-key-of-this-test-0123456789";
const at = bed({ API_KEYS: KEY });
const REFUSED = /401/;

test("the key is asked for, kept in this tab only, and sent for images too", async () => {
  const id = await at.fleet.import("sim-n8-s2k-seed8");
  await at.fleet.ended(id);
  const page = await at.tab();
  const addresses = [];
  page.on("request", (request) => addresses.push(request.url()));
  await page.open(`/gallery?import=${id}`);
  const dialog = page.getByRole("dialog", { name: "API key" });
  await dialog.getByText("This gateway asks for a key.").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.type), "password");
  await page.keyboard.type("a wrong one");
  await page.keyboard.press("Enter");
  await dialog.getByText("The gateway refused this key.").waitFor();
  await page.keyboard.type(KEY);
  await page.keyboard.press("Enter");
  await page.getByRole("list", { name: "8 images" }).waitFor();
  await until("images are shown as blobs", async () => (await page.locator('.tile img.ready[src^="blob:"]').count()) === 8);
  await page.locator(".tile").first().click();
  await page.locator('dialog img.picture[src^="blob:"]').waitFor();
  await page.keyboard.press("Escape");

  assert.ok(addresses.every((address) => !address.includes(KEY)), "no address holds the key");
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage)), "{}");
  await page.reload();
  await page.getByRole("list", { name: "8 images" }).waitFor();
  const another = await page.context().newPage();
  await another.goto(at.fleet.url);
  await another.getByRole("dialog", { name: "API key" }).waitFor();

  await page.open("/");
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByRole("button", { name: "API key" }).click();
  await dialog.getByRole("button", { name: "Forget the key" }).click();
  await until("the key is forgotten", () => page.evaluate(() => sessionStorage.length === 0));
  assertCalm(page, REFUSED);
});
