// Every screen, in both themes: accessible, narrow, and quiet.

import assert from "node:assert/strict";
import test from "node:test";
import { assertAccessible, assertCalm, assertNoSideways, bed, DEADLINE, until } from "./support.mjs";

const at = bed({ WORKER_MAX_ATTEMPTS: "2" });
const made = {};

test.before(async () => {
  // Hooks of a file run side by side, and a start has three waits of its own.
  await until("there is a fleet", () => at.fleet, 3 * DEADLINE);
  made.id = await at.fleet.import("demo-photographs-n40");
  await at.fleet.import("no-such-folder-at-all");
  await at.fleet.ended(made.id);
  const [image] = (await at.fleet.api("/api/images?per_page=1")).images;
  made.image = image.id;
  const [group] = (await at.fleet.api(`/api/imports/${made.id}/failures`)).failures;
  made.item = group.samples[0].item_id;
});

/** Each with what shows that it is there. */
const SCREENS = {
  imports: () => ["/", ".import-row"],
  "imports, none": () => ["/?q=nothing+at+all", ".empty"],
  "one import": () => [`/imports/${made.id}`, ".failure"],
  "entries of an import": () => [`/imports/${made.id}?entries=all`, ".entries li"],
  "history of an image": () => [`/imports/${made.id}?item=${made.item}`, "dialog .timeline"],
  "no such import": () => ["/imports/none", ".empty"],
  gallery: () => ["/gallery", ".tile img.ready"],
  "gallery, none": () => ["/gallery?q=nothing+at+all", ".empty"],
  "one image": () => [`/gallery?image=${made.image}`, "dialog .picture"],
  overview: () => ["/overview", ".stats"],
  "no such page": () => ["/none", ".empty"],
};

async function openDialogs(page) {
  await page.open(`/imports/${made.id}`);
  await page.locator(".failure").first().waitFor();
  await page.getByRole("button", { name: /^Retry 3 failed/ }).click();
  await page.getByText("3 failed images will be queued again.").waitFor();
  await assertAccessible(page, "retry");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "More", exact: true }).click();
  await assertAccessible(page, "menu");
  await page.getByRole("button", { name: "Copy as curl…" }).click();
  await page.locator(".scripts").waitFor();
  await assertAccessible(page, "curl");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await page.locator(".keys").waitFor();
  await assertAccessible(page, "help");
}

for (const colorScheme of ["light", "dark"]) {
  test(`every screen is accessible, ${colorScheme}`, async () => {
    const page = await at.tab({ colorScheme });
    for (const [name, where] of Object.entries(SCREENS)) {
      const [path, there] = where();
      await page.open(path);
      await page.locator(there).first().waitFor();
      await assertAccessible(page, `${name}, ${colorScheme}`);
    }
    await openDialogs(page);
    assertCalm(page, /404/);
  });
}

for (const [what, viewport] of [
  ["a window of 320 pixels", { width: 320, height: 640 }],
  ["a laptop at 200%", { width: 640, height: 360 }],
]) {
  test(`nothing scrolls sideways in ${what}`, async () => {
    const page = await at.tab({ viewport, hasTouch: true });
    for (const [name, where] of Object.entries(SCREENS)) {
      const [path, there] = where();
      await page.open(path);
      await page.locator(there).first().waitFor();
      await assertNoSideways(page, `${name}, ${what}`);
    }
    assertCalm(page, /404/);
  });
}

test("what the gateway says is asked for first is asked for once", async () => {
  for (const name of ["imports", "one import", "gallery", "overview"]) {
    const page = await at.tab();
    const [path, there] = SCREENS[name]();
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    const link = (await page.open(path)).headers()["link"] ?? "";
    const [, question] = /<([^>]+)>; rel=preload; as=fetch/.exec(link) ?? assert.fail(`${name}: ${link}`);
    await page.locator(there).first().waitFor();
    // Asked for in other words, it would be asked for twice. A total is one image, and no list.
    const { pathname } = new URL(question, at.fleet.url);
    const alike = asked.map((url) => new URL(url)).filter((url) => url.pathname === pathname && url.searchParams.get("per_page") !== "1");
    assert.deepEqual(alike.map(String), [at.fleet.url + question], `${name}:\n${asked.join("\n")}`);
    assertCalm(page);
  }
});

test("menus unfold within the window", async () => {
  const id = await at.fleet.import("sim-n2-s1k-seed41");
  await at.fleet.ended(id);
  for (const width of [320, 412, 1024, 1280]) {
    const page = await at.tab({ viewport: { width, height: 700 } });
    // On the first, nothing stands before the menu.
    for (const [path, name] of [
      [`/imports/${id}`, "More"],
      ["/gallery", "More"],
      ["/", "All imports"],
    ]) {
      await page.open(path);
      await page.getByRole("button", { name, exact: true }).click();
      const box = await page.locator(".menu-panel:not([hidden])").boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width, `${path} in ${width}: from ${box.x} to ${box.x + box.width}`);
    }
    assertCalm(page);
  }
});
