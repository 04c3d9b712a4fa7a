import type { Import } from "../api/types";
import { count, plural } from "../lib/format";

export const STATUS = {
  processing: "Importing",
  paused: "Paused",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
} as const;

const DEPENDENCIES: Record<string, string> = { drive: "Google Drive", nats: "NATS", sql: "the database", store: "the bucket" };
/** What is waited for, as people call it. */
export const dependency = (name: string): string => DEPENDENCIES[name] ?? name;

export const nameOf = (job: Import): string => job.folder_name || job.folder || job.id;
export const settled = (job: Import): number => job.processed + job.failed;

export function Pill({ status }: { status: Import["status"] }) {
  return <span className={`pill ${status}`}>{STATUS[status] ?? status}</span>;
}

/** How far it is, in one line. */
export function summary(job: Import, waiting: Record<string, string>): string {
  const done = settled(job);
  switch (job.status) {
    case "completed":
      if (job.total === 0) return "Finished, with nothing to import.";
      return job.failed > 0
        ? `Finished: ${count(job.processed)} of ${plural(job.total, "image")} done, ${count(job.failed)} failed.`
        : `Finished: all ${plural(job.total, "image")} done.`;
    case "failed":
      return "This import could not go on.";
    case "cancelled":
      return `Cancelled after ${count(done)} of ${count(job.total)}. What was stored stays.`;
    case "paused":
      return `Paused at ${count(done)} of ${job.listing ? "at least " : ""}${count(job.total)}.`;
    default:
      if (Object.keys(waiting).length > 0 && job.total === 0) return "Waiting to list the folder.";
      if (Object.keys(waiting).length > 0) return `Waiting at ${count(done)} of ${job.listing ? "at least " : ""}${count(job.total)}.`;
      if (!job.listing) return `${count(done)} of ${plural(job.total, "image")} done.`;
      return job.total === 0 ? "Listing the folder…" : `${count(done)} done. Still listing, at least ${plural(job.total, "image")}.`;
  }
}

export function Bar({ job, label, text }: { job: Import; label: string; text: string }) {
  const whole = Math.max(job.total, 1);
  const share = (n: number) => ({ width: `${Math.min(100, (n / whole) * 100)}%` });
  const moving = job.status === "processing" && job.listing;
  return (
    <div
      className={`bar ${moving ? "listing" : ""}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={whole}
      aria-valuenow={job.listing ? undefined : Math.min(settled(job), whole)}
      aria-valuetext={text}
    >
      <span className="imported" style={share(job.imported_count)} />
      <span className="skipped" style={share(job.skipped)} />
      <span className="failed" style={share(job.failed)} />
      <span className="retrying" style={share(job.retrying)} />
    </div>
  );
}
