// What the pasted text says, before it is sent. The gateway decides; this only helps while typing.

export type Folder = { ok: true; id: string } | { ok: false; problem: string };

const ID = /^[A-Za-z0-9_-]{1,128}$/;
const COPY = "Open the folder in Google Drive and copy the address from the browser.";
const TOP = `This is the top of My Drive, which differs for everyone who opens it. ${COPY}`;
const CUT = "This link is cut off or damaged: the folder's id is missing. Copy the whole address from the browser.";
const DOCUMENT = `This is a Google document, which holds no images. ${COPY}`;
const NEITHER = `This is neither a Google Drive link nor a folder id. ${COPY}`;
const FILE = "This link leads to one file. Open the folder that holds it, then copy the address from the browser.";
const DOCUMENTS = ["document", "spreadsheets", "presentation", "forms", "drawings"];

const no = (problem: string): Folder => ({ ok: false, problem });
const yes = (id: string): Folder => (id === "root" || id === "my-drive" ? no(TOP) : { ok: true, id });

/** The path without what only says who is looking, and with what. */
function withoutPrefixes(path: string[]): string[] {
  const [first, second] = path;
  if (first === "drive" || first === "mobile") return withoutPrefixes(path.slice(1));
  if (first === "a" && path.length > 1) return withoutPrefixes(path.slice(2));
  if (first === "u" && /^\d+$/.test(second ?? "")) return withoutPrefixes(path.slice(2));
  return path;
}

function parse(input: string): URL | null {
  const address = /^[a-z][a-z0-9]*:\/\//i.test(input) ? input : `https://${input.replace(/^\/+/, "")}`;
  return URL.canParse(address) ? new URL(address) : null;
}

/** The folder that `text` names, or why it names none; an empty problem for an empty text. */
export function readFolder(text: string): Folder {
  const input = text.trim().replace(/^<(.*)>$/s, "$1").trim();
  if (!input) return no("");
  if (ID.test(input)) return yes(input);

  const url = parse(input);
  if (!url) return no(NEITHER);
  if (!["http:", "https:"].includes(url.protocol)) return no(`This is not a web address. ${COPY}`);
  const host = url.hostname.replace(/\.$/, "");
  if (host === "docs.google.com") return no(DOCUMENT);
  if (host !== "drive.google.com") return no(host.includes(".") ? `${host} is not drive.google.com. ${COPY}` : NEITHER);

  const [kind, id] = withoutPrefixes(url.pathname.split("/").filter(Boolean));
  switch (kind) {
    case undefined:
    case "my-drive":
      return no(TOP);
    case "folders":
      return id && ID.test(id) ? yes(id) : no(CUT);
    case "open":
    case "folderview":
    case "embeddedfolderview": {
      const given = url.searchParams.get("id")?.trim() ?? "";
      return ID.test(given) ? yes(given) : no(CUT);
    }
    case "file":
    case "uc":
    case "thumbnail":
      return no(FILE);
    default:
      return no(DOCUMENTS.includes(kind) ? DOCUMENT : `This page of Google Drive is no folder. ${COPY}`);
  }
}
