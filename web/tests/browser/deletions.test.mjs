// Images that leave while somebody looks at them.

import assert from "node:assert/strict";
import test from "node:test";
import { assertCalm, bed, until } from "./support.mjs";

const at = bed({});

/** A gallery of a fresh import of `n` images, and their names in its order. */
async function gallery(n, seed) {
  const id = await at.fleet.import(`sim-n${n}-s2k-seed${seed}`);
  await at.fleet.ended(id);
  const { images } = await at.fleet.api(`/api/images?import=${id}&per_page=100`);
  assert.equal(images.length, n);
  const page = await at.tab();
  await page.open(`/gallery?import=${id}`);
  await page.getByRole("list", { name: `${n} images` }).waitFor();
  await until("thumbnails are shown", async () => (await page.locator(".tile img.ready").count()) === n);
  return { page, dialog: page.getByRole("dialog"), names: images.map((image) => image.name) };
}

async function removeShown(dialog) {
  await dialog.getByRole("button", { name: "Delete…" }).click();
  await dialog.getByRole("button", { name: "Delete image" }).click();
  await dialog.getByText("Being deleted…").waitFor();
}

test("after a deletion the next step shows the neighbour, forwards and backwards", async () => {
  const { page, dialog, names } = await gallery(6, 21);
  await page.getByRole("button", { name: names[1] }).click();
  await dialog.getByText("2 of 6").waitFor();
  await removeShown(dialog);
  await page.locator(".tiles[aria-label='5 images']").waitFor();
  await dialog.getByRole("heading", { name: names[1] }).waitFor();
  await page.keyboard.press("ArrowRight");
  await dialog.getByRole("heading", { name: names[2] }).waitFor();
  await dialog.getByText("2 of 5").waitFor();

  await removeShown(dialog);
  await page.locator(".tiles[aria-label='4 images']").waitFor();
  await page.keyboard.press("ArrowLeft");
  await dialog.getByRole("heading", { name: names[0] }).waitFor();
  await dialog.getByText("1 of 4").waitFor();
  assertCalm(page);
});

test("two images on their way out are marked, and no other is", async () => {
  const { page, dialog, names } = await gallery(5, 22);
  // Taken, and not carried out while this test looks.
  const held = [];
  await page.route(/\/api\/images\/\d+$/, (route) => (route.request().method() === "DELETE" ? void held.push(route) : route.continue()));
  await page.getByRole("button", { name: names[0] }).click();
  for (const name of [names[0], names[1]]) {
    await dialog.getByRole("heading", { name }).waitFor();
    await dialog.getByRole("button", { name: "Delete…" }).click();
    await dialog.getByRole("button", { name: "Delete image" }).click();
    await dialog.getByRole("button", { name: "Deleting…" }).waitFor();
    await page.keyboard.press("ArrowRight");
  }
  await dialog.getByRole("heading", { name: names[2] }).waitFor();
  await until("both are asked for", () => held.length === 2);
  for (const route of held) await route.fulfill({ status: 202, json: { message: "Deletion queued" } });
  const marked = () => page.locator(".tile.gone").evaluateAll((all) => all.map((tile) => tile.getAttribute("aria-label")));
  await until("both are marked", async () => (await marked()).length === 2);
  assert.deepEqual(await marked(), [`${names[0]}, being deleted`, `${names[1]}, being deleted`]);
  await dialog.getByRole("button", { name: "Delete…" }).waitFor();
  await page.keyboard.press("ArrowLeft");
  await dialog.getByRole("heading", { name: names[1] }).waitFor();
  await dialog.getByText("Being deleted…").waitFor();
  assertCalm(page);
});

test("a store that is emptied says so", async () => {
  const { page, dialog } = await gallery(4, 23);
  await page.getByRole("combobox", { name: "Import", exact: true }).selectOption("");
  await until("all imports are shown", () => !new URL(page.url()).search);
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("button", { name: "Delete all images…" }).click();
  const { total } = await at.fleet.api("/api/images?per_page=1");
  await dialog.getByRole("button", { name: `Delete ${total} images` }).click();
  await dialog.getByText(`${total} images of ${total} queued.`).waitFor();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await page.getByText("No images yet.").waitFor();
  assertCalm(page);
});
