import assert from "node:assert/strict";
import test from "node:test";

// The module reads these when it is loaded.
globalThis.sessionStorage ??= { getItem: () => null, setItem() {}, removeItem() {} };
const { load } = await import("./load.mjs");
const { patched, matches, isOutdated } = await load("api/live.ts");

const job = (id, more = {}) => ({ id, created_at: `2026-01-0${id}`, status: "processing", folder_name: `Folder ${id}`, ...more });
const list = (...jobs) => ({ pages: [{ imports: jobs, total: jobs.length, next_cursor: null }], pageParams: [null] });
const changed = (...jobs) => new Map(jobs.map((each) => [each.id, each]));

test("a changed import changes its row, and rows keep their places", () => {
  const before = list(job("3"), job("2"));
  const after = patched(before, changed(job("2", { status: "completed" })), {});
  assert.deepEqual(after.pages[0].imports.map((each) => [each.id, each.status]), [["3", "processing"], ["2", "completed"]]);
  assert.equal(before.pages[0].imports[1].status, "processing", "the old answer is left alone");
});

test("a new import that matches comes on top; others do not", () => {
  const after = patched(list(job("3")), changed(job("4"), job("5"), job("6", { status: "paused" })), { status: "processing" });
  assert.deepEqual(after.pages[0].imports.map((each) => each.id), ["5", "4", "3"]);
  assert.equal(after.pages[0].total, 3);
});

test("an older import that matches by now comes in where it belongs", () => {
  const failed = (id) => job(id, { status: "failed" });
  const before = list(failed("7"), failed("5"), failed("2"));
  const after = patched(before, changed(failed("3"), failed("6"), failed("1")), { status: "failed" });
  assert.deepEqual(after.pages[0].imports.map((each) => each.id), ["7", "6", "5", "3", "2", "1"]);
  assert.equal(after.pages[0].total, 6);
  assert.equal(before.pages[0].imports.length, 3, "the old answer is left alone");
});

test("what belongs further down than the list is loaded waits there", () => {
  const page = (cursor, ...jobs) => ({ imports: jobs, total: 9, next_cursor: cursor });
  const before = { pages: [page("a", job("8"), job("7")), page("b", job("5"), job("4"))], pageParams: [null, "a"] };
  const after = patched(before, changed(job("6"), job("2")), {});
  assert.deepEqual(after.pages.map(({ imports }) => imports.map((each) => each.id)), [["8", "7"], ["6", "5", "4"]]);
  assert.deepEqual(after.pages.map(({ total }) => total), [10, 10]);
});

test("a list is outdated where it shows as under way what the stream does not", () => {
  assert.ok(isOutdated(list(job("3"), job("2")), new Set(["3"])));
  assert.ok(!isOutdated(list(job("3"), job("2", { status: "paused" })), new Set(["3", "2"])));
  assert.ok(!isOutdated(list(job("3", { status: "completed" })), new Set()));
  assert.ok(!isOutdated(undefined, new Set()));
});

test("times with more and fewer digits are ordered as times", () => {
  const at = (id, created_at) => job(id, { created_at });
  const after = patched(list(at("a", "2026-01-01T10:00:00.9Z"), at("b", "2026-01-01T10:00:00Z")), changed(at("c", "2026-01-01T10:00:00.512Z")), {});
  assert.deepEqual(after.pages[0].imports.map((each) => each.id), ["a", "c", "b"]);
});

test("a row that no longer matches stays until the list is loaded again", () => {
  const after = patched(list(job("3")), changed(job("3", { status: "completed" })), { status: "processing" });
  assert.deepEqual(after.pages[0].imports.map((each) => each.status), ["completed"]);
});

test("the search is in names, folders and ids, whatever the case", () => {
  assert.ok(matches(job("3", { folder: "1AbC" }), { q: "abc" }));
  assert.ok(matches(job("3", { folder_name: "Summer" }), { q: "sUM" }));
  assert.ok(matches(job("3", { folder_name: null }), { q: "3" }));
  assert.ok(!matches(job("3"), { q: "x" }));
});
