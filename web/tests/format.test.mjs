import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./load.mjs";

const format = await load("lib/format.ts");
const { curl } = await load("lib/curl.ts");

test("sizes, counts and times for people", () => {
  const { bytes, count, compact, duration, timeLeft, percent, plural, rate, words } = format;
  assert.deepEqual([0, 999, 1000, 999_949, 999_950, 1.25e9].map(bytes), ["0 B", "999 B", "1 KB", "999.9 KB", "1 MB", "1.3 GB"]);
  assert.equal(bytes(NaN), "–");
  assert.deepEqual([0, 999, 1000, 12_345, 123_456, 1_234_567].map(count), ["0", "999", "1,000", "12,345", "123,456", "1,234,567"]);
  assert.deepEqual([9999, 10_000, 48_213, 999_949, 999_950, 1e9].map(compact), ["9,999", "10K", "48.2K", "999.9K", "1M", "1B"]);
  assert.deepEqual([0.4, 59.6, 3725, 90_061].map(duration), ["0 s", "1 min 0 s", "1 h 2 min", "1 d 1 h"]);
  assert.deepEqual([3, 12, 61, 130, 600, 4000].map(timeLeft), ["a few seconds", "15 s", "1 min 15 s", "2 min 15 s", "10 min", "1 h 10 min"]);
  assert.equal(timeLeft(null), "–");
  assert.deepEqual([percent(999, 1000), percent(1, 0), percent(2, 1)], ["99%", "0%", "100%"]);
  assert.deepEqual([plural(1, "image"), plural(2, "image")], ["1 image", "2 images"]);
  assert.deepEqual([rate(null), rate(0.04), rate(88.44), rate(1234.5)], ["–", "0", "88.4", "1,235"]);
  assert.equal(words("checksum_mismatch"), "Checksum mismatch");
});

test("time left does not flicker while the rate does", () => {
  const shown = new Set([300, 297, 303, 299, 295].map(format.timeLeft));
  assert.ok(shown.size <= 2, [...shown].join());
});

test("moments, where the reader is", () => {
  const at = new Date(2026, 10, 4, 9, 5, 7).toISOString();
  assert.equal(format.when(at), "Nov 4, 2026, 09:05:07");
  assert.equal(format.day(at), "Nov 4, 2026");
  for (const none of [null, undefined, "", "soon"]) assert.deepEqual([format.when(none), format.day(none)], ["–", "–"]);
});

test("ages", () => {
  const now = Date.parse("2026-11-24T12:00:00Z");
  const at = (seconds) => format.ago(new Date(now - seconds * 1000).toISOString(), now);
  assert.deepEqual([1, 31, 58, 3_599, 7_200, 90_000].map(at), ["just now", "30 seconds ago", "1 minute ago", "1 hour ago", "2 hours ago", "yesterday"]);
  assert.equal(at(-30), "just now");
  assert.equal(format.ago(null, now), "–");
});

test("curl lines survive a shell and hold no key", () => {
  assert.equal(curl({ url: "http://a/api/imports/x", withKey: false }), "curl -fsS http://a/api/imports/x");
  assert.equal(
    curl({ url: "http://a/b?c=d&e", method: "POST", body: { folder_url: "it's" }, withKey: true }),
    `curl -fsS -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' -d '{"folder_url":"it'\\''s"}' 'http://a/b?c=d&e'`,
  );
  assert.equal(curl({ url: "http://a/b", method: "POST", withKey: false }), "curl -fsS -X POST http://a/b");
});
