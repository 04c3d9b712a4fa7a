// The newest images of one import, added as they arrive.

import { apiKey, getBlob } from "./api.js";
import { $, element, text } from "./dom.js";
import { bytes } from "./format.js";

const LIMIT = 60;
// What the gateway serves inline; other types are offered as a download.
const SHOWN = new Set(["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"]);

const tiles = new Map(); // image id -> { node, release }
let waiting = [];
let loading = 0;

const contentPath = (image) => `/api/images/${image.id}/content`;

// A CDN's address is used as it is; the gateway's own is used relative to this page.
function source(image) {
  const url = new URL(image.storage_path, location.href);
  return url.pathname.endsWith(contentPath(image)) ? contentPath(image) : url.href;
}

// Images in the page cannot send the API key, so with a key the bytes are fetched and shown as blobs,
// four at a time and only when they come into view.
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    observer.unobserve(entry.target);
    waiting.push(entry.target);
  }
  pump();
}, { rootMargin: "200px" });

async function pump() {
  while (loading < 4 && waiting.length > 0) {
    const img = waiting.shift();
    if (!img.isConnected) continue;
    loading += 1;
    getBlob(img.dataset.path)
      .then((blob) => {
        if (img.isConnected) img.src = URL.createObjectURL(blob);
      })
      .catch(() => img.dispatchEvent(new Event("error")))
      .finally(() => {
        loading -= 1;
        pump();
      });
  }
}

function tile(image) {
  const item = element("li");
  const fallback = () => {
    item.replaceChildren(element("span", { className: "tile", textContent: `${image.name} (no preview)`, title: image.name }));
  };
  if (!SHOWN.has(image.mime_type)) {
    fallback();
    return { node: item, release() {} };
  }
  const img = element("img", { alt: image.name, loading: "lazy", decoding: "async" });
  img.addEventListener("load", () => img.classList.add("ready"));
  img.addEventListener("error", fallback);
  const url = source(image);
  if (apiKey.get() && url === contentPath(image)) {
    img.dataset.path = url;
    observer.observe(img);
  } else {
    img.src = url;
  }
  const button = element("button", { type: "button", title: image.name }, img);
  button.addEventListener("click", () => open(image, img.src));
  item.append(button);
  return {
    node: item,
    release() {
      observer.unobserve(img);
      if (img.src.startsWith("blob:")) URL.revokeObjectURL(img.src);
    },
  };
}

function open(image, url) {
  if (!url) return;
  text($("viewer-title"), image.name);
  Object.assign($("viewer-image"), { src: url, alt: image.name });
  const pixels = image.width && image.height ? `${image.width} × ${image.height} · ` : "";
  text($("viewer-meta"), `${pixels}${bytes(image.size)} · ${image.mime_type} · ${image.key ?? ""}`);
  $("viewer-source").href = `https://drive.google.com/file/d/${encodeURIComponent(image.google_drive_id)}/view`;
  $("viewer").showModal();
}

export function clearGallery() {
  for (const { node, release } of tiles.values()) {
    release();
    node.remove();
  }
  tiles.clear();
  waiting = [];
  $("gallery-empty").hidden = false;
}

// `images` is newest first.
export function showImages(images) {
  const newest = images.slice(0, LIMIT);
  const keep = new Set(newest.map((image) => image.id));
  for (const [id, { node, release }] of tiles) {
    if (keep.has(id)) continue;
    release();
    node.remove();
    tiles.delete(id);
  }
  let before = $("gallery").firstElementChild;
  for (const image of newest) {
    const known = tiles.get(image.id);
    if (known) {
      if (known.node === before) before = before.nextElementSibling;
      else $("gallery").insertBefore(known.node, before);
      continue;
    }
    const made = tile(image);
    tiles.set(image.id, made);
    $("gallery").insertBefore(made.node, before);
  }
  $("gallery-empty").hidden = tiles.size > 0;
}
