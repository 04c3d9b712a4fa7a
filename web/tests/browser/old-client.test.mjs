// The React client of the system before this one, from its own origin, unchanged.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import test from "node:test";
import { root } from "../load.mjs";
import { assertCalm, bed, freePort } from "./support.mjs";

const port = await freePort();
const origin = `http://localhost:${port}`;
const at = bed({ CORS_ORIGINS: origin });

/** What its components did, in the order a person clicks. */
async function oldClient(API) {
  const axios = window.axios;
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const started = await axios.post(`${API}/api/import/google-drive`, { folder_url: "https://drive.google.com/drive/folders/sim-n25-s2k-seed9" });
  let status;
  do {
    await sleep(2000);
    status = (await axios.get(`${API}/api/import/status/${started.data.job_id}`)).data;
  } while (status.status !== "completed");
  const pages = [];
  for (const page of [1, 2]) pages.push((await axios.get(`${API}/api/images?page=${page}&per_page=20`)).data);
  const image = pages[0].images[0];
  const shown = await new Promise((resolve) => {
    const img = document.createElement("img");
    img.onload = () => resolve(img.naturalWidth);
    img.onerror = () => resolve(0);
    img.src = image.storage_path;
    document.body.append(img);
  });
  const before = (await axios.get(`${API}/api/stats`)).data;
  const deleted = (await axios.delete(`${API}/api/images/${image.id}`)).data;
  const end = Date.now() + 60000;
  let after = before;
  while (after.total_images === before.total_images && Date.now() < end) {
    await sleep(100);
    after = (await axios.get(`${API}/api/stats`)).data;
  }
  const refused = await axios.post(`${API}/api/import/google-drive`, { folder_url: "https://example.com" }).catch((error) => ({ status: error.response.status, error: error.response.data.error }));
  return { started: { status: started.status, data: started.data }, status, pages, shown, before, deleted, after, refused };
}

test("the old client works unchanged from another origin", async () => {
  const axios = readFileSync(join(root, "node_modules/axios/dist/axios.min.js"));
  const server = createServer((request, response) => {
    const script = request.url === "/axios.js";
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    response.end(script ? axios : "<!doctype html><title>Old client</title><link rel=icon href=data:,><script src=/axios.js></script>");
  });
  server.listen(port, "localhost");
  await once(server, "listening");
  try {
    const page = await at.tab({ baseURL: origin });
    await page.goto(origin);
    const said = await page.evaluate(oldClient, at.fleet.url);
    assert.equal(said.started.status, 202);
    assert.ok(said.started.data.message && said.started.data.status_url);
    assert.equal(said.status.total, 25);
    assert.equal(said.status.processed, 25);
    assert.equal(said.status.failed, 0);
    assert.equal(said.status.imported.length, 25);
    assert.deepEqual(said.pages.map((page) => page.images.length), [20, 5]);
    assert.deepEqual([said.pages[0].total, said.pages[0].page, said.pages[0].per_page, said.pages[0].total_pages], [25, 1, 20, 2]);
    for (const field of ["id", "name", "google_drive_id", "size", "mime_type", "storage_path", "storage_provider", "created_at"]) {
      assert.ok(said.pages[0].images[0][field] !== undefined, field);
    }
    assert.ok(said.shown > 0, "the image is shown");
    assert.equal(said.before.total_images, 25);
    assert.ok(said.before.total_size_bytes > 0 && said.before.local_images === 25);
    assert.equal(said.deleted.success, true);
    assert.equal(said.after.total_images, 24);
    assert.equal(said.refused.status, 400);
    assert.ok(said.refused.error.length > 0);
    assertCalm(page, new RegExp(`400|^request to ${at.fleet.url}/`));
  } finally {
    server.close();
  }
});
