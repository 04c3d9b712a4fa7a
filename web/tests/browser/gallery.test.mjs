// A million images. The gateway's answers are made up here; everything else is real.

import assert from "node:assert/strict";
import test from "node:test";
import { assertCalm, bed, until } from "./support.mjs";

const at = bed({});
const TOTAL = 1_000_000;
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgaGD4DwACggF/H8c0rwAAAABJRU5ErkJggg==", "base64");

const image = (id) => ({
  id,
  name: `Image ${id}.png`,
  google_drive_id: `d${id}`,
  size: 70,
  mime_type: "image/png",
  storage_path: `http://elsewhere.example/api/images/${id}/content`,
  storage_provider: "local",
  created_at: "2026-11-24T10:00:00Z",
  updated_at: "2026-11-24T10:00:00Z",
  modified_time: null,
  width: 1,
  height: 1,
  taken_at: null,
  orientation: null,
  md5: "0".repeat(32),
  sha256: "0".repeat(64),
  bucket: "b",
  key: `${id}.png`,
  path: "",
  import_id: "i",
});

async function serveMillion(page, asked) {
  await page.route(/\/api\/images\?/, (route) => {
    const params = new URL(route.request().url()).searchParams;
    const per = Number(params.get("per_page"));
    const from = params.has("cursor") ? TOTAL - Number(params.get("cursor")) + 1 : (Number(params.get("page") ?? 1) - 1) * per;
    asked.push(params.has("cursor") ? "cursor" : params.has("page") ? "page" : "first");
    const images = Array.from({ length: Math.min(per, TOTAL - from) }, (_, n) => image(TOTAL - from - n));
    const last = images.at(-1).id;
    return route.fulfill({ json: { images, total: TOTAL, next_cursor: last > 1 ? String(last) : null } });
  });
  await page.route(/\/api\/images\/\d+\/content/, (route) => {
    const id = Number(/(\d+)\/content/.exec(route.request().url())[1]);
    return id % 10 === 3 ? route.fulfill({ status: 404, json: { title: "The image is not in the store", detail: "Its object is gone." } }) : route.fulfill({ contentType: "image/png", body: PNG });
  });
}

/** The last place that is on the page. */
const lastOf = async (page) => Number(await page.locator(".tile-place .tile").last().getAttribute("data-index"));

for (const [what, viewport] of [
  ["a desktop", { width: 1280, height: 900 }],
  ["a phone", { width: 360, height: 740 }],
]) {
  test(`a million images are scrolled through on ${what} with a bounded page`, async () => {
    const page = await at.tab({ viewport });
    const asked = [];
    await serveMillion(page, asked);
    await page.open("/gallery");
    await page.getByRole("list", { name: "1,000,000 images" }).waitFor();
    await page.getByRole("button", { name: `Image ${TOTAL}.png` }).waitFor();

    for (let step = 0; step < 12; step += 1) {
      const before = await lastOf(page);
      await page.mouse.wheel(0, 700);
      // Scrolling comes after the wheel's turn: until then, the tiles of before are there. A turn may come
      // to nothing while the scrollbar is put where it belongs.
      await until("tiles are there", async () => {
        if ((await lastOf(page)) > before) return (await page.locator(".tile-place .skeleton").count()) === 0;
        await page.mouse.wheel(0, 40);
        return false;
      });
    }
    assert.ok(asked.includes("cursor"), asked.join());

    // Somewhere in the middle, the way the scrollbar is dragged, and at the very end.
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight / 2));
    await until("the tiles of the middle are there", async () => {
      const tiles = await page.locator(".tile-place .tile[aria-label^=Image]").evaluateAll((all) => all.map((tile) => Number(tile.dataset.index)));
      return tiles.length > 8 && tiles.every((index) => Math.abs(index - TOTAL / 2) < TOTAL / 100);
    });
    assert.ok(asked.includes("page"), asked.join());
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    await page.getByRole("button", { name: "Image 1.png", exact: true }).waitFor();
    const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
    assert.ok(nodes < 2_000, `${nodes} elements`);

    // By keyboard to the first, and a broken one that says why.
    await page.locator('.tile-place .tile[tabindex="0"]').focus();
    await page.keyboard.press("Home");
    await page.getByRole("button", { name: `Image ${TOTAL}.png` }).waitFor();
    await page.keyboard.press("End");
    await page.getByRole("button", { name: "Image 3.png", exact: true }).click();
    await page.getByRole("dialog").getByText("The image is not in the store").waitFor();
    await page.keyboard.press("Escape");
    assertCalm(page, /404/);
  });
}

test("what is done with chosen images stays in sight", async () => {
  for (const viewport of [{ width: 360, height: 740 }, { width: 1280, height: 900 }]) {
    const page = await at.tab({ viewport });
    await serveMillion(page, []);
    await page.open("/gallery");
    await page.getByRole("button", { name: `Image ${TOTAL}.png` }).waitFor();
    await page.getByRole("button", { name: "Select" }).click();
    await page.mouse.wheel(0, 1500);
    await until("it is scrolled", async () => (await page.evaluate(() => window.scrollY)) > 1000);
    const top = await page.locator("header.top").boundingBox();
    const button = await page.getByRole("button", { name: "Delete selected…" }).boundingBox();
    assert.ok(button.y >= top.y + top.height && button.y < 200, `header to ${top.y + top.height}, button at ${button.y}`);
    assertCalm(page, /404/);
  }
});
