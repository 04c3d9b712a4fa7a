// What the pasted text says, before it is sent. The gateway decides; this only helps while typing.

const ID = /^[A-Za-z0-9_-]{1,128}$/;
const COPY = "Open the folder in Google Drive and copy the address from the browser.";
const TOP = `This is the top of My Drive, which differs for everyone who opens it. ${COPY}`;
const CUT = "This link is cut off or damaged: the folder's id is missing. Copy the whole address from the browser.";
const DOCUMENT = `This is a Google document, which holds no images. ${COPY}`;
const DOCUMENTS = ["document", "spreadsheets", "presentation", "forms", "drawings"];

const no = (problem) => ({ ok: false, problem });
const yes = (id) => (id === "root" || id === "my-drive" ? no(TOP) : { ok: true, id });

// The path without what only says who is looking, and with what.
function withoutPrefixes(path) {
  let parts = path;
  for (;;) {
    if (parts[0] === "drive" || parts[0] === "mobile") parts = parts.slice(1);
    else if (parts[0] === "a" && parts.length > 1) parts = parts.slice(2);
    else if (parts[0] === "u" && /^\d+$/.test(parts[1] ?? "")) parts = parts.slice(2);
    else return parts;
  }
}

export function readFolder(text) {
  const input = text.trim().replace(/^<(.*)>$/s, "$1").trim();
  if (!input) return no("");
  if (ID.test(input)) return yes(input);

  let url;
  try {
    url = new URL(/^[a-z][a-z0-9]*:\/\//i.test(input) ? input : `https://${input.replace(/^\/+/, "")}`);
  } catch {
    return no(`This is neither a Google Drive link nor a folder id. ${COPY}`);
  }
  if (!["http:", "https:"].includes(url.protocol)) return no(`This is not a web address. ${COPY}`);
  const host = url.hostname.replace(/\.$/, "");
  if (host === "docs.google.com") return no(DOCUMENT);
  if (host !== "drive.google.com") {
    return no(host.includes(".") ? `${host} is not drive.google.com. ${COPY}` : `This is neither a Google Drive link nor a folder id. ${COPY}`);
  }

  const [kind, id] = withoutPrefixes(url.pathname.split("/").filter(Boolean));
  if (kind === "folders") return id && ID.test(id) ? yes(id) : no(CUT);
  if (kind === "open" || kind === "folderview" || kind === "embeddedfolderview") {
    const given = url.searchParams.get("id")?.trim() ?? "";
    return ID.test(given) ? yes(given) : no(CUT);
  }
  if (kind === "file" || kind === "uc" || kind === "thumbnail") {
    return no("This link leads to one file. Open the folder that holds it, then copy the address from the browser.");
  }
  if (DOCUMENTS.includes(kind)) return no(DOCUMENT);
  if (kind === undefined || kind === "my-drive") return no(TOP);
  return no(`This page of Google Drive is no folder. ${COPY}`);
}
