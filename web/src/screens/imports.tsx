import { useEffect, useMemo, useState } from "react";
import { Link } from "wouter";
import { meterOf, takeReading } from "../api/live";
import { useImports, useMayWrite, useOverview } from "../api/queries";
import type { Command, Import, ImportStatus } from "../api/types";
import type { ImportFilter } from "../api/calls";
import { ago, between, compact, count, duration, plural, rate, timeLeft, when } from "../lib/format";
import { secondsLeft } from "../lib/speed";
import { Button } from "../ui/button";
import { useNow, useQueryParams } from "../ui/hooks";
import { Menu } from "../ui/menu";
import { Empty, Problem, Skeleton } from "../ui/problem";
import { Bar, nameOf, Pill, settled, STATUS, summary } from "../ui/progress";
import { SearchField } from "../ui/search";
import { BulkDialog } from "./bulk";

const STATES = Object.keys(STATUS) as ImportStatus[];

function Row({ job, now }: { job: Import; now: number }) {
  const done = settled(job);
  const over = job.status !== "processing" && job.status !== "paused";
  const speed = job.status === "processing" ? (meterOf(job.id).speed?.items ?? job.rate) : over && job.rate > 0 ? job.rate : null;
  const left = job.status === "processing" && !job.listing ? secondsLeft(job.total - done, speed) : null;
  const line = summary(job, {});
  return (
    <li className="import-row">
      <div className="import-name">
        <Link href={`/imports/${encodeURIComponent(job.id)}`} data-row className="row-link">
          {nameOf(job)}
        </Link>
        <span className="sub">
          <time dateTime={job.created_at} title={when(job.created_at)}>
            {ago(job.created_at, now)}
          </time>
          {job.requested_by ? ` · ${job.requested_by}` : ""}
        </span>
      </div>
      <Pill status={job.status} />
      <div className="import-progress">
        <Bar job={job} label={`Progress of ${nameOf(job)}`} text={line} />
        <span className="sub">
          {job.listing && job.total === 0 ? "Listing…" : `${compact(done)} of ${job.listing ? "≥ " : ""}${compact(job.total)}`}
          {job.failed > 0 && <span className="bad"> · {compact(job.failed)} failed</span>}
        </span>
      </div>
      <div className="import-rate">
        <span className="label">Images/s</span>
        {rate(speed)}
      </div>
      <div className="import-time">
        {job.status === "processing" ? (
          <>
            <span className="label">Left</span>
            {job.listing ? "still listing" : `${timeLeft(left)}${left === null ? "" : " left"}`}
          </>
        ) : (
          <>
            <span className="label">Took</span>
            {duration(between(job.started_at, job.finished_at))}
          </>
        )}
      </div>
    </li>
  );
}

function Filters({ filter, change }: { filter: ImportFilter; change: (changes: { status?: string | undefined; q?: string | undefined }) => void }) {
  const counts = useOverview().data?.imports ?? undefined;
  const total = counts && Object.values(counts).reduce((sum, n) => sum + n, 0);
  const [params] = useQueryParams();
  const href = (status: string): string => {
    const next = new URLSearchParams(params);
    if (status) next.set("status", status);
    else next.delete("status");
    return `/?${next.toString()}`.replace(/\?$/, "");
  };
  return (
    <div className="filters">
      <nav className="chips" aria-label="Imports by state">
        {["", ...STATES].map((status) => {
          const n = status ? counts?.[status as ImportStatus] : total;
          return (
            <Link key={status} href={href(status)} className="chip" aria-current={(filter.status ?? "") === status ? "true" : undefined}>
              {status ? STATUS[status as ImportStatus] : "All"}
              <span className="chip-count">{n === undefined ? "" : compact(n)}</span>
            </Link>
          );
        })}
      </nav>
      <SearchField label="Search imports" placeholder="Folder name or id" value={filter.q ?? ""} onChange={(q) => change({ q })} />
    </div>
  );
}

const BULK: [Command, string][] = [
  ["retry", "Retry failed images…"],
  ["pause", "Pause…"],
  ["resume", "Resume…"],
  ["cancel", "Cancel…"],
];

export function ImportList() {
  const [params, change] = useQueryParams();
  const status = params.get("status") ?? "";
  const q = params.get("q") ?? "";
  const filter = useMemo<ImportFilter>(() => ({ ...(status && { status }), ...(q && { q }) }), [status, q]);
  const list = useImports(filter);
  const now = useNow(5000);
  const mayWrite = useMayWrite();
  const [bulk, setBulk] = useState<Command | null>(null);
  const rows = list.data?.pages.flatMap((page) => page.imports) ?? [];
  const total = list.data?.pages[0]?.total ?? 0;
  // Rates fall while nothing arrives.
  useEffect(() => {
    for (const job of list.data?.pages.flatMap((page) => page.imports) ?? []) if (job.status === "processing") takeReading(job);
  }, [now, list.data]);
  const filtered = status !== "" || q !== "";

  return (
    <section className="card" aria-labelledby="imports-title">
      <div className="heading">
        <h2 id="imports-title">Imports</h2>
        {mayWrite && rows.length > 0 && (
          <Menu label={filtered ? "All that match" : "All imports"}>
            {BULK.map(([action, label]) => (
              <button key={action} type="button" onClick={() => setBulk(action)}>
                {label}
              </button>
            ))}
          </Menu>
        )}
      </div>
      <Filters filter={filter} change={change} />
      {list.error && <Problem error={list.error} again={() => void list.refetch()} />}
      {list.isPending && <Skeleton rows={4} className="import" />}
      {list.isSuccess && rows.length === 0 && (
        <Empty title={filtered ? "No import matches." : "No imports yet."}>
          {filtered ? <Button onClick={() => change({ status: undefined, q: undefined })}>Show all imports</Button> : <p>Paste a folder link above to start the first one.</p>}
        </Empty>
      )}
      {rows.length > 0 && (
        <div className="imports-head" aria-hidden="true">
          <span>Folder</span>
          <span>State</span>
          <span>Progress</span>
          <span>Images/s</span>
          <span>Time</span>
        </div>
      )}
      <ul className={`imports ${list.isPlaceholderData ? "stale" : ""}`} aria-label="Imports">
        {rows.map((job) => (
          <Row key={job.id} job={job} now={now} />
        ))}
      </ul>
      {rows.length > 0 && (
        <p className="list-end">
          {list.hasNextPage ? (
            <Button busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
              {list.isFetchingNextPage ? "Loading…" : `Show more of ${count(total)}`}
            </Button>
          ) : (
            <span className="muted">{plural(rows.length, "import")}</span>
          )}
        </p>
      )}
      {bulk && <BulkDialog action={bulk} filter={filter} onClose={() => setBulk(null)} />}
    </section>
  );
}

