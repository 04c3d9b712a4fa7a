import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./load.mjs";

const { sseParser } = await load("lib/sse.ts");
const TEXT = "\uFEFFretry: 2000\n\n: keep\n\nevent: import\r\nid: 7\r\ndata: {\"a\":1}\r\n\r\ndata:x\rdata:  y\r\rid: 9\nevent: end\ndata\n\nevent: never\n\nid: bad\0\ndata: z\n\n";
const EXPECTED = [
  { type: "import", data: '{"a":1}', id: "7" },
  { type: "message", data: "x\n y", id: "7" },
  { type: "end", data: "", id: "9" },
  { type: "message", data: "z", id: "9" },
];

test("events come out alike, however the bytes are cut", () => {
  for (let size = 1; size <= TEXT.length; size += 1) {
    const parser = sseParser();
    const events = [];
    for (let at = 0; at < TEXT.length; at += size) events.push(...parser.push(TEXT.slice(at, at + size)));
    assert.deepEqual(events, EXPECTED, `chunks of ${size}`);
    assert.equal(parser.retry, 2000);
  }
});

test("an event that is not ended is not told", () => {
  const parser = sseParser();
  assert.deepEqual(parser.push("data: half\n"), []);
  assert.deepEqual(parser.push("\n"), [{ type: "message", data: "half", id: "" }]);
});
