// The page: what is selected, when to ask the gateway again, and the form.

import { ApiError, apiKey, getFailures, getImports, getStats, getStatus, randomKey, startImport } from "./api.js";
import { isUnderWay, wireControls } from "./control.js";
import { STATUS, nameOf, resetDetail, showDetail, showFailures } from "./detail.js";
import { $, element, showProblem, text } from "./dom.js";
import { bytes, count, when } from "./format.js";
import { readFolder } from "./folder.js";
import { clearGallery, showImages } from "./gallery.js";

let selected = null;
let listSize = 20;
let turn = 0; // rises when the selection changes: answers to older questions are dropped
let failedShown = 0;
let speed = { images: NaN, bytes: NaN, at: 0, done: 0, total: 0 };

/* Asking again: one timer per question, slower when nothing moves, silent while the tab is hidden. */

const failing = new Set();

function poller(ask) {
  let timer = 0;
  let running = null;
  let failures = 0;
  async function run() {
    clearTimeout(timer);
    running?.abort();
    const controller = new AbortController();
    running = controller;
    let next;
    try {
      next = await ask(controller.signal);
      if (running !== controller) return;
      failures = 0;
      failing.delete(ask);
      $("offline").hidden = failing.size === 0;
    } catch (error) {
      if (running !== controller) return;
      failures += 1;
      failing.add(ask);
      next = Math.max(Math.min(15000, 1000 * 2 ** Math.min(failures, 4)), (error.retryAfter ?? 0) * 1000);
      trouble(error);
    }
    running = null;
    if (!document.hidden && next) timer = setTimeout(run, next);
  }
  return {
    run,
    stop() {
      clearTimeout(timer);
      running?.abort();
      running = null;
      failing.delete(ask);
    },
  };
}

function trouble(error) {
  if (!(error instanceof ApiError)) {
    console.error(error);
    return;
  }
  if (error.status === 401) {
    askForKey();
    return;
  }
  if (error.status === 0 || error.status >= 500) {
    text($("offline"), `${error.title}. ${error.detail ?? ""} Trying again…`);
    $("offline").hidden = false;
  }
}

/* The header and the list */

const stats = poller(async (signal) => {
  const answer = await getStats(signal);
  text($("stat-images"), count(answer.total_images));
  text($("stat-size"), bytes(answer.total_size_bytes));
  return 5000;
});

function importEntry(job) {
  const link = element("a", { href: `#/imports/${encodeURIComponent(job.job_id)}` });
  link.append(
    element("span", { className: "name", textContent: nameOf(job) }),
    element(
      "span",
      { className: "line" },
      element("span", { className: `pill ${job.status}`, textContent: STATUS[job.status] ?? job.status }),
      element("span", { textContent: `${count(job.processed)} / ${job.listing ? "≥ " : ""}${count(job.total)}${job.failed ? ` · ${count(job.failed)} failed` : ""}` }),
    ),
    element("span", { className: "line" }, element("span", { textContent: when(job.started_at) })),
  );
  if (job.job_id === selected) link.setAttribute("aria-current", "true");
  const item = element("li", {}, link);
  item.dataset.job = job.job_id;
  item.dataset.state = JSON.stringify([job.job_id, nameOf(job), job.status, job.processed, job.total, job.failed, job.listing, job.job_id === selected]);
  return item;
}

// Unchanged entries keep their node, so that keyboard focus stays where it is.
function showList(jobs) {
  const list = $("list");
  const old = new Map([...list.children].map((item) => [item.dataset.job, item]));
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("li").dataset.job : null;
  const items = jobs.map((job) => {
    const made = importEntry(job);
    const known = old.get(job.job_id);
    return known?.dataset.state === made.dataset.state ? known : made;
  });
  if (items.length !== list.children.length || items.some((item, i) => item !== list.children[i])) {
    list.replaceChildren(...items);
    if (focused) items.find((item) => item.dataset.job === focused)?.querySelector("a").focus({ preventScroll: true });
  }
}

const imports = poller(async (signal) => {
  const answer = await getImports(listSize, signal);
  text($("stat-imports"), count(answer.total));
  text($("list-state"), answer.imports.length === 0 ? "No imports yet. Paste a folder link above to start the first one." : "");
  $("list-state").hidden = answer.imports.length > 0;
  showList(answer.imports);
  $("list-more").hidden = answer.total <= listSize || listSize >= 100;
  return answer.imports.some((job) => job.status === "processing") ? 2000 : 5000;
});

/* The selected import */

// Speed over the last few seconds, smoothed; the gateway's average until there are two answers.
function measure(job) {
  const now = performance.now();
  const done = job.processed + job.failed;
  if (job.status !== "processing") {
    const idle = job.status === "paused";
    speed = { ...speed, images: idle ? NaN : job.rate, bytes: idle ? NaN : job.bytes_per_second, at: 0 };
    return speed;
  }
  if (!speed.at) {
    speed = { images: job.rate ?? 0, bytes: job.bytes_per_second ?? 0, at: now, done, total: job.bytes };
    return speed;
  }
  const seconds = (now - speed.at) / 1000;
  if (seconds < 0.5) return speed;
  const mix = 1 - Math.exp(-seconds / 5);
  const blend = (old, fresh) => old + (Math.max(0, fresh) - old) * mix;
  speed = {
    images: blend(speed.images, (done - speed.done) / seconds),
    bytes: blend(speed.bytes, (job.bytes - speed.total) / seconds),
    at: now,
    done,
    total: job.bytes,
  };
  return speed;
}

const detail = poller(async (signal) => {
  const mine = turn;
  let job;
  try {
    job = await getStatus(selected, signal);
  } catch (error) {
    if (mine === turn && error.status === 404) {
      showProblem($("detail-problem"), { ...error, title: "No such import", detail: "It may be from another gateway, or its link is incomplete." });
      $("detail-body").hidden = true;
      return 0;
    }
    throw error;
  }
  if (mine !== turn) return 0;
  showProblem($("detail-problem"), null);
  $("detail-body").hidden = false;
  showDetail(job, measure(job));
  showImages(job.imported ?? []);
  document.title = job.status === "processing" && !job.listing && job.total > 0
    ? `${Math.floor(((job.processed + job.failed) / job.total) * 100)}% · ${nameOf(job)} · Imagefleet`
    : `${nameOf(job)} · Imagefleet`;
  if (job.failed !== failedShown) {
    const failures = job.failed > 0 ? (await getFailures(selected, signal)).failures : [];
    if (mine !== turn) return 0;
    showFailures(failures);
    failedShown = job.failed;
  }
  if (job.status === "processing" || isUnderWay()) return 1000;
  return job.status === "paused" ? 3000 : 10000;
});

function select() {
  if (turn > 0 && location.hash && !location.hash.startsWith("#/")) return; // the skip link
  const match = /^#\/imports\/([^/]+)$/.exec(location.hash);
  let next = null;
  try {
    next = match ? decodeURIComponent(match[1]) : null;
  } catch {
    // A damaged link selects nothing.
  }
  if (next === selected && turn > 0) return;
  selected = next;
  turn += 1;
  failedShown = 0;
  speed = { images: NaN, bytes: NaN, at: 0, done: 0, total: 0 };
  detail.stop();
  resetDetail();
  clearGallery();
  showProblem($("detail-problem"), null);
  $("detail-body").hidden = true;
  $("detail-empty").hidden = selected !== null;
  document.body.classList.toggle("showing-detail", selected !== null);
  document.title = "Imagefleet";
  for (const link of $("list").querySelectorAll("a")) {
    if (link.closest("li").dataset.job === selected) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (selected) detail.run();
}

/* The form */

let attempt = { body: "", key: "" };

function hint() {
  const found = readFolder($("folder").value);
  const box = $("folder-hint");
  box.classList.toggle("good", found.ok);
  box.classList.toggle("bad", !found.ok && found.problem !== "");
  $("folder").setAttribute("aria-invalid", String(!found.ok && found.problem !== ""));
  if (found.ok) text(box, `Folder ${found.id}`);
  else text(box, found.problem || "Share the folder with “Anyone with the link”.");
  return found;
}

async function start(event) {
  event.preventDefault();
  if (!hint().ok && !$("folder").value.trim()) {
    text($("folder-hint"), "Paste the address of a Google Drive folder.");
    $("folder-hint").classList.add("bad");
    $("folder").focus();
    return;
  }
  const body = { folder_url: $("folder").value.trim(), recursive: $("recursive").checked, skip_unchanged: $("skip-unchanged").checked };
  if ($("prefix").value.trim()) body.destination_prefix = $("prefix").value.trim();
  // The same attempt keeps its key, so that a repeated click after a lost answer starts nothing twice.
  const wire = JSON.stringify(body);
  if (attempt.body !== wire) attempt = { body: wire, key: randomKey() };

  const button = $("start-button");
  button.disabled = true;
  text(button, "Starting…");
  showProblem($("start-problem"), null);
  try {
    const answer = await startImport(body, attempt.key);
    attempt = { body: "", key: "" };
    $("folder").value = "";
    hint();
    location.hash = `#/imports/${encodeURIComponent(answer.job_id)}`;
    imports.run();
    $("detail").focus();
  } catch (error) {
    if (error.status === 401) askForKey();
    showProblem($("start-problem"), error);
  } finally {
    button.disabled = false;
    text(button, "Import");
  }
}

/* The API key */

let declined = false;

function askForKey(byHand = false) {
  $("key-button").hidden = false;
  if ($("key-dialog").open || (declined && !byHand)) return;
  text($("list-state"), "An API key is needed.");
  text($("key-text"), apiKey.get() && !byHand
    ? "The gateway refused this key. Enter another one; it is kept in this tab only, until you close it."
    : "This gateway asks for a key. It is kept in this tab only, until you close it.");
  $("key").value = "";
  $("key-dialog").returnValue = "";
  $("key-dialog").showModal();
}

function keyGiven() {
  const choice = $("key-dialog").returnValue;
  declined = choice !== "use";
  if (choice === "use") apiKey.set($("key").value.trim());
  if (choice === "forget") apiKey.set("");
  $("key").value = "";
  if (choice === "use") refresh();
}

/* Wiring */

function refresh() {
  stats.run();
  imports.run();
  if (selected) detail.run();
}

wireControls((error) => {
  if (error?.status === 401) askForKey();
  if (!selected) return;
  detail.run();
  imports.run();
});
$("start-form").addEventListener("submit", start);
$("folder").addEventListener("input", () => {
  showProblem($("start-problem"), null);
  hint();
});
$("list-more").addEventListener("click", () => {
  listSize = 100;
  imports.run();
});
$("key-button").addEventListener("click", () => askForKey(true));
$("key-dialog").addEventListener("close", keyGiven);
// Enter in the field must use the key, not the first button of the form.
$("key").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  $("key-dialog").close("use");
});
$("viewer").addEventListener("close", () => $("viewer-image").removeAttribute("src"));
addEventListener("hashchange", select);
addEventListener("online", refresh);
addEventListener("offline", () => trouble(new ApiError({ title: "You are offline", detail: "" })));
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stats.stop();
    imports.stop();
    detail.stop();
  } else {
    refresh();
  }
});

$("key-button").hidden = !apiKey.get();
select();
stats.run();
imports.run();
