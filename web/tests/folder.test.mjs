import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./load.mjs";

const { readFolder } = await load("lib/folder.ts");
const ID = "1AbC-dEf_GhIjKlMnOpQrStUvWxYz0123";

test("every form of a folder's address gives its id", () => {
  for (const form of [
    "https://drive.google.com/drive/folders/ID",
    "http://drive.google.com/drive/folders/ID/",
    "HTTPS://Drive.Google.com/drive/folders/ID",
    "https://drive.google.com./drive/folders/ID",
    "https://drive.google.com/drive/u/17/folders/ID",
    "https://drive.google.com/u/2/drive/folders/ID",
    "https://drive.google.com/drive/mobile/folders/ID",
    "https://drive.google.com/open?usp=sharing&id=ID",
    "https://drive.google.com/folderview?id=ID",
    "https://drive.google.com/embeddedfolderview?id=ID#grid",
    "https://drive.google.com/a/example.com/drive/folders/ID",
    "https://drive.google.com/drive/folders/ID?resourcekey=0-abc&usp=drive_link#top",
    "drive.google.com/drive/folders/ID",
    "//drive.google.com/drive/folders/ID",
    "ID",
    "  <https://drive.google.com/drive/folders/ID>\n",
  ]) {
    assert.deepEqual(readFolder(form.replaceAll("ID", ID)), { ok: true, id: ID }, form);
  }
  assert.deepEqual(readFolder("0ASharedDriveRoot"), { ok: true, id: "0ASharedDriveRoot" });
});

test("what is no folder is told apart", () => {
  const says = (text, part) => {
    const read = readFolder(text);
    assert.equal(read.ok, false, text);
    assert.match(read.problem, part, text);
  };
  says("", /^$/);
  says("   ", /^$/);
  says("my photos", /neither/);
  says("photos/2024", /neither/);
  says("https://example.com/drive/folders/x", /example\.com is not drive\.google\.com/);
  says("ftp://drive.google.com/drive/folders/x", /not a web address/);
  says("javascript:alert(1)", /neither|not a web address/);
  says(`https://drive.google.com/file/d/${ID}/view`, /one file/);
  says("https://drive.google.com/drive/folders/", /cut off/);
  says("https://drive.google.com/open?usp=sharing", /cut off/);
  says("https://drive.google.com/drive/my-drive", /top of My Drive/);
  says("root", /top of My Drive/);
  says(`https://docs.google.com/document/d/${ID}/edit`, /Google document/);
  says("https://drive.google.com/drive/shared-with-me", /no folder/);
  says("x".repeat(129), /neither/);
});
