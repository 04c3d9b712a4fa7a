// Pause, resume, cancel and retry: what is possible now, what was asked, and what came of it.

import { command, randomKey } from "./api.js";
import { $, showProblem, text } from "./dom.js";
import { count } from "./format.js";

const ASKING = { pause: "Pausing…", resume: "Resuming…", cancel: "Cancelling…", retry: "Queueing again…" };
const BUTTONS = ["pause", "resume", "retry", "cancel"];

let shown = null; // the import as it was shown last
let asked = null; // the command that is under way
let onAsked = () => {};

function possible(job) {
  const open = job.status === "processing" || job.status === "paused";
  return {
    pause: job.status === "processing",
    resume: job.status === "paused",
    cancel: open,
    retry: job.failed > 0 && job.status !== "cancelled",
  };
}

// A command is stored at once and carried out a moment later: only the status shows that it was.
function hasEffect(job) {
  switch (asked.action) {
    case "pause":
      return job.status !== "processing";
    case "resume":
      return job.status !== "paused";
    case "cancel":
      return job.status !== "processing" && job.status !== "paused";
    default:
      return job.updated_at !== asked.seen;
  }
}

export const isUnderWay = () => asked !== null;

export function resetControls() {
  shown = null;
  asked = null;
  text($("control-state"), "");
  showProblem($("control-problem"), null);
  if ($("cancel-dialog").open) $("cancel-dialog").close("keep");
}

export function showControls(job) {
  shown = job;
  if (asked && hasEffect(job)) {
    asked = null;
    text($("control-state"), "");
  }
  const can = possible(job);
  const focused = document.activeElement;
  for (const action of BUTTONS) {
    $(`control-${action}`).hidden = !can[action];
    // Not `disabled`, which would throw the keyboard's focus away.
    $(`control-${action}`).setAttribute("aria-disabled", String(asked?.action === action));
  }
  text($("control-retry"), `Retry ${count(job.failed)} failed`);
  $("controls").hidden = !BUTTONS.some((action) => can[action]);
  $("failure-list").classList.toggle("final", !can.retry);
  if (!can.cancel && $("cancel-dialog").open) $("cancel-dialog").close("keep");
  // Pause becomes Resume under the keyboard's focus, and back.
  if (focused?.hidden && $("controls").contains(focused)) {
    ($("controls").querySelector("button:not([hidden])") ?? $("detail")).focus({ preventScroll: true });
  }
}

async function ask(action, body = {}) {
  if (!shown || asked?.action === action) return;
  const job = shown;
  const mine = { action, seen: job.updated_at };
  asked = mine;
  showProblem($("control-problem"), null);
  text($("control-state"), ASKING[action]);
  showControls(job);
  try {
    const answer = await command(job.job_id, action, { ...body, requested_by: "page" }, randomKey());
    if (asked === mine) text($("control-state"), answer.message);
  } catch (error) {
    if (asked !== mine) return;
    asked = null;
    text($("control-state"), "");
    showProblem($("control-problem"), error);
    showControls(shown ?? job);
    onAsked(error);
    return;
  }
  onAsked(null);
}

export function groupButton(group) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet retry";
  button.textContent = group.count === 1 ? "Retry this one" : `Retry these ${count(group.count)}`;
  button.setAttribute("aria-label", `${button.textContent} that failed with ${group.cause}`);
  button.addEventListener("click", () => ask("retry", { cause: group.cause }));
  return button;
}

export function wireControls(after) {
  onAsked = after;
  for (const action of ["pause", "resume", "retry"]) $(`control-${action}`).addEventListener("click", () => ask(action));
  $("control-cancel").addEventListener("click", () => {
    $("cancel-dialog").returnValue = "keep";
    $("cancel-dialog").showModal();
  });
  $("cancel-dialog").addEventListener("close", () => {
    if ($("cancel-dialog").returnValue === "cancel") ask("cancel");
  });
}
