// One import: progress, figures, failures.

import { groupButton, resetControls, showControls } from "./control.js";
import { $, element, showProblem, text } from "./dom.js";
import { count, duration, plural, rate, when } from "./format.js";

export const STATUS = { processing: "Importing", completed: "Completed", failed: "Failed", cancelled: "Cancelled", paused: "Paused" };

export const nameOf = (job) => job.folder_name || job.folder || job.job_id;

function summary(job) {
  const done = job.processed + job.failed;
  switch (job.status) {
    case "completed":
      if (job.total === 0) return `Finished, with nothing to import. ${job.advice ?? ""}`;
      return job.failed > 0
        ? `Finished: ${count(job.processed)} of ${plural(job.total, "entry", "entries")} done, ${count(job.failed)} failed.`
        : `Finished: all ${plural(job.total, "entry", "entries")} done.`;
    case "failed":
      return "This import could not go on.";
    case "cancelled":
      return `Cancelled after ${count(done)} of ${count(job.total)}. What was stored stays.`;
    case "paused":
      return `Paused at ${count(done)} of ${job.listing ? "at least " : ""}${count(job.total)}.`;
    default: {
      const waits = Object.entries(job.waiting_for ?? {}).map(([dependency, why]) => `${dependency}: ${why}`);
      if (waits.length > 0) return `Waiting. ${waits.join("; ")}`;
      if (job.listing) return job.total === 0 ? "Listing the folder…" : `${count(done)} done. Still listing, at least ${plural(job.total, "image", "images")}.`;
      return `${count(done)} of ${plural(job.total, "image", "images")}.`;
    }
  }
}

let announced = { text: "", at: 0, status: "" };

// Screen readers hear of a change of state at once, and of progress every ten seconds.
function announce(job, line) {
  const now = Date.now();
  if (job.status === announced.status && (line === announced.text || now - announced.at < 10000)) return;
  announced = { text: line, at: now, status: job.status };
  text($("announce"), line);
}

export function resetDetail() {
  announced = { text: "", at: 0, status: "" };
  text($("announce"), "");
  $("failures").hidden = true;
  $("failure-list").replaceChildren();
  resetControls();
}

export function showDetail(job, speed) {
  showControls(job);
  text($("detail-title"), nameOf(job));
  text($("detail-status"), STATUS[job.status] ?? job.status);
  $("detail-status").className = `pill ${job.status}`;
  text($("detail-meta"), [job.started_at && `Started ${when(job.started_at)}`, job.job_id].filter(Boolean).join(" · "));

  const total = Math.max(job.total, 1);
  const share = (n) => `${Math.min(100, (n / total) * 100)}%`;
  $("bar-imported").style.width = share(job.imported_count);
  $("bar-skipped").style.width = share(job.skipped);
  $("bar-failed").style.width = share(job.failed);
  const bar = $("bar");
  bar.classList.toggle("listing", job.status === "processing" && job.listing);
  const line = summary(job);
  if (job.listing) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", job.processed + job.failed);
  bar.setAttribute("aria-valuemax", total);
  bar.setAttribute("aria-valuetext", line);
  text($("detail-summary"), line);
  announce(job, line);

  text($("n-imported"), count(job.imported_count));
  text($("n-skipped"), count(job.skipped));
  text($("n-failed"), count(job.failed));
  text($("n-total"), job.listing ? `≥ ${count(job.total)}` : count(job.total));
  text($("n-rate"), rate(speed.images));
  text($("n-bandwidth"), rate(speed.bytes / 1e6));
  if (job.status === "processing" || job.status === "paused") {
    text($("time-label"), "Time left");
    text($("n-eta"), job.status === "paused" || job.listing || job.eta_seconds == null ? "–" : duration(job.eta_seconds));
  } else {
    text($("time-label"), "Took");
    text($("n-eta"), job.started_at && job.finished_at ? duration((new Date(job.finished_at) - new Date(job.started_at)) / 1000) : "–");
  }
  showProblem($("import-error"), job.error ? { title: "The import failed", detail: [job.error, job.advice].filter((part, i, all) => part && all.indexOf(part) === i).join(" ") } : null);
}

function failure(group) {
  const samples = group.samples ?? [];
  const item = element(
    "li",
    {},
    element("p", {}, element("span", { className: "count", textContent: `${count(group.count)} × ` }), element("code", { textContent: group.cause })),
    element("p", { textContent: group.advice }),
  );
  item.dataset.cause = group.cause;
  if (samples.length > 0) {
    const names = samples.map((sample) => element("li", { textContent: sample.message ? `${sample.name}: ${sample.message}` : sample.name }));
    item.append(element("details", {}, element("summary", { textContent: "Examples" }), element("ul", {}, ...names)));
  }
  item.append(groupButton(group));
  return item;
}

export function showFailures(groups) {
  const list = $("failure-list");
  const open = new Set([...list.children].filter((item) => item.querySelector("details[open]")).map((item) => item.dataset.cause));
  list.replaceChildren(...groups.map(failure));
  for (const item of list.children) {
    if (open.has(item.dataset.cause)) item.querySelector("details")?.setAttribute("open", "");
  }
  $("failures").hidden = groups.length === 0;
}
