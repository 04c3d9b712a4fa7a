import { useEffect, useState } from "react";
import { Link } from "wouter";
import { ApiError } from "../../api/client";
import { meterOf } from "../../api/live";
import { useImport, useOverview, useReopened } from "../../api/queries";
import { between, bytes, count, duration, NONE, percent, rate, timeLeft, when } from "../../lib/format";
import { secondsLeft } from "../../lib/speed";
import type { Import } from "../../api/types";
import { announce } from "../../ui/announce";
import { Chart } from "../../ui/chart";
import { useQueryParams, useTitle } from "../../ui/hooks";
import { Icon } from "../../ui/icon";
import { Later } from "../../ui/later";
import { Empty, Problem, Skeleton } from "../../ui/problem";
import { Bar, dependency, nameOf, Pill, settled, summary } from "../../ui/progress";
import { Controls } from "./controls";
import { Entries } from "./entries";
import { Failures } from "./failures";
import { Newest } from "./newest";
import { Timeline } from "./timeline";

function Figure({ name, value, note, kind }: { name: string; value: string; note?: string; kind?: string }) {
  return (
    <div className="figure">
      <dt>
        {kind && <i className={`dot ${kind}`} aria-hidden="true" />}
        {name}
      </dt>
      <dd>
        {value}
        {note && <span className="figure-note">{note}</span>}
      </dd>
    </div>
  );
}

/** How many of the waiting images are being worked on: as every worker told a second ago. */
function useRunning(job: Import): number | null {
  const overview = useOverview().data;
  const rest = job.total - settled(job) - job.retrying;
  if (job.status !== "processing") return 0;
  if (!overview?.queue) return null;
  const held = overview.fleet.reduce((sum, member) => sum + (member.holds[job.id] ?? 0), 0);
  return Math.min(rest, held);
}

function Figures({ job }: { job: Import }) {
  const running = useRunning(job);
  const rest = Math.max(0, job.total - settled(job) - job.retrying);
  const over = job.status === "completed" || job.status === "failed" || job.status === "cancelled";
  const speed = meterOf(job.id).speed;
  const moving = job.status === "processing";
  const items = moving ? (speed?.items ?? job.rate) : job.rate;
  const size = moving ? (speed?.bytes ?? job.bytes_per_second) : job.bytes_per_second;
  const left = moving && !job.listing ? secondsLeft(job.total - settled(job), items) : null;
  return (
    <>
      <dl className="figures">
        <Figure name="Listed" value={`${job.listing ? "≥ " : ""}${count(job.total)}`} />
        {running === null ? (
          <Figure name="Queued or running" value={count(rest)} />
        ) : (
          <>
            <Figure name="Queued" value={count(over ? 0 : rest - running)} />
            <Figure name="Running" value={count(running)} />
          </>
        )}
        {job.retrying > 0 && <Figure name="To be retried" value={count(job.retrying)} kind="retrying" />}
        <Figure name="Imported" value={count(job.imported_count)} kind="imported" note={bytes(job.bytes)} />
        <Figure name="Skipped" value={count(job.skipped)} kind="skipped" />
        <Figure name="Failed" value={count(job.failed)} kind="failed" />
      </dl>
      <dl className="figures rates">
        <Figure name={moving ? "Images/s" : "Images/s, average"} value={job.status === "paused" ? NONE : rate(items)} />
        <Figure name={moving ? "MB/s" : "MB/s, average"} value={job.status === "paused" ? NONE : rate(size / 1e6)} />
        {over ? <Figure name="Took" value={duration(between(job.started_at, job.finished_at))} /> : <Figure name="Time left" value={job.listing && moving ? "still listing" : timeLeft(left)} />}
      </dl>
    </>
  );
}

function Waiting({ waiting }: { waiting: Record<string, string> }) {
  const waits = Object.entries(waiting);
  if (waits.length === 0) return null;
  return (
    <div className="notice-box" role="status">
      <Icon name="clock" />
      <div>
        <p>
          <strong>Work waits; nothing is lost and nothing fails by it.</strong>
        </p>
        {waits.map(([what, why]) => (
          <p key={what}>
            For {dependency(what)}: {why}
          </p>
        ))}
      </div>
    </div>
  );
}

function Head({ job }: { job: Import }) {
  const folder = job.folder && (/^https?:/.test(job.folder) ? job.folder : `https://drive.google.com/drive/folders/${encodeURIComponent(job.folder)}`);
  const options = [
    job.recursive ? "with subfolders" : "without subfolders",
    job.skip_unchanged ? "skips what is unchanged" : "imports everything again",
    job.destination_prefix ? `into ${job.destination_prefix}` : "",
  ];
  return (
    <>
      <p className="crumbs">
        <Link href="/">Imports</Link>
      </p>
      <div className="heading title">
        <h1>{nameOf(job)}</h1>
        <Pill status={job.status} />
      </div>
      <p className="meta">
        {folder && (
          <a href={folder} target="_blank" rel="noreferrer noopener">
            Folder in Google Drive
          </a>
        )}
        <span>Started {when(job.started_at ?? job.created_at)}</span>
        {job.requested_by && <span>by {job.requested_by}</span>}
        <span>{options.filter(Boolean).join(", ")}</span>
      </p>
    </>
  );
}

function Screen({ job }: { job: Import }) {
  const overview = useOverview().data;
  const open = job.status === "processing" || job.status === "paused";
  const waiting = open ? (overview?.waiting_for ?? {}) : {};
  const line = summary(job, job.status === "processing" ? waiting : {});
  const [params, change] = useQueryParams();
  const [, setTick] = useState(0);
  const moving = job.status === "processing";
  useTitle(moving && !job.listing && job.total > 0 ? `${percent(settled(job), job.total)} · ${nameOf(job)}` : nameOf(job));
  useEffect(() => announce(line), [line]);
  // Rates fall while nothing arrives.
  useEffect(() => {
    if (!moving) return undefined;
    const timer = setInterval(() => {
      meterOf(job.id).push({ at: performance.now() / 1000, items: settled(job), bytes: job.bytes });
      setTick((n) => n + 1);
    }, 1000);
    return () => clearInterval(timer);
  }, [job, moving]);
  const item = params.get("item");

  return (
    <>
      <section className="card" aria-label="Progress">
        <Head job={job} />
        <Controls job={job} />
        <Bar job={job} label="Progress" text={line} />
        <p className="summary">{line}</p>
        <Waiting waiting={waiting} />
        {job.error && (
          <div className="problem">
            <p className="problem-title">The import failed</p>
            <p>{job.error}</p>
            {job.advice && job.advice !== job.error && <p>{job.advice}</p>}
          </div>
        )}
        {!job.error && job.advice && <p className="notice-box">{job.advice}</p>}
        <Figures job={job} />
        {(moving || meterOf(job.id).points.length > 1) && <Chart meter={meterOf(job.id)} label="Images a second" moving={moving} />}
      </section>
      <Later>
        <div className="import-columns">
          <Failures job={job} />
          <Newest job={job} />
        </div>
        <Entries job={job} />
      </Later>
      {item && <Timeline job={job} item={item} onClose={() => change({ item: undefined })} />}
    </>
  );
}

export default function ImportScreen({ id }: { id: string }) {
  const found = useImport(id);
  useReopened(id);
  if (found.data) return <Screen job={found.data} />;
  if (found.isPending) {
    return (
      <section className="card" aria-busy="true">
        <Skeleton rows={1} className="head" />
        <Skeleton rows={1} className="body" />
      </section>
    );
  }
  const unknown = found.error instanceof ApiError && found.error.status === 404;
  return (
    <section className="card">
      <h1>{unknown ? "No such import" : "Import"}</h1>
      {unknown ? (
        <Empty title="It may be from another gateway, or its link is incomplete.">
          <p>
            <code>{id}</code>
          </p>
          <Link href="/">To the imports</Link>
        </Empty>
      ) : (
        <Problem error={found.error} again={() => void found.refetch()} />
      )}
    </section>
  );
}

