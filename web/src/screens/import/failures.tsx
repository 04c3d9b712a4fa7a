import { useQueryClient } from "@tanstack/react-query";
import { memo, useLayoutEffect, useRef, useState } from "react";
import { useFailedItems, useFailures, useMayWrite } from "../../api/queries";
import type { FailureGroup, Import } from "../../api/types";
import { ago, count, plural, when, words } from "../../lib/format";
import { Button } from "../../ui/button";
import { useChanged, useNow, useQueryParams, useThrottled } from "../../ui/hooks";
import { Problem, Skeleton } from "../../ui/problem";
import { RetryDialog } from "./retry";

const REFRESH_MS = 2_000;

function Items({ job, cause }: { job: Import; cause: string }) {
  const list = useFailedItems(job.id, cause, true);
  const [, change] = useQueryParams();
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      {list.error && <Problem error={list.error} again={() => void list.refetch()} />}
      {list.isPending && <Skeleton rows={3} className="line" />}
      <ul className="failed-items" aria-label={`Failed with ${cause}`}>
        {items.map((item) => (
          <li key={item.item_id}>
            <button type="button" className="link" data-row onClick={() => change({ item: item.item_id }, true)}>
              {item.name}
            </button>
            <span className="sub">
              {item.message || item.advice} · {plural(item.attempts, "attempt")}
            </span>
          </li>
        ))}
      </ul>
      {list.hasNextPage && (
        <Button busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          Show more
        </Button>
      )}
    </>
  );
}

function Group({ group, job, now }: { group: FailureGroup; job: Import; now: number }) {
  const [open, setOpen] = useState(false);
  const [retry, setRetry] = useState(false);
  const mayWrite = useMayWrite();
  const label = group.count === 1 ? "Retry this one…" : `Retry these ${count(group.count)}…`;
  const samples = group.samples.slice(0, 3);
  return (
    <li className="failure">
      <div className="failure-head">
        <h3>
          <span className="failure-count">{count(group.count)}</span> {words(group.cause)} <code>{group.cause}</code>
        </h3>
        {job.status !== "cancelled" && (
          <Button icon="retry" aria-label={`${label} that failed with ${group.cause}`} blocked={mayWrite ? undefined : "This API key may only read"} onClick={() => setRetry(true)} data-row>
            {label}
          </Button>
        )}
      </div>
      <p className="failure-advice">{group.advice}</p>
      <p className="sub">
        First seen <time dateTime={group.first_seen} title={when(group.first_seen)}>{ago(group.first_seen, now)}</time>, last{" "}
        <time dateTime={group.last_seen} title={when(group.last_seen)}>{ago(group.last_seen, now)}</time>.
        {!open && samples.length > 0 && <> For example {samples.map((sample) => sample.name).join(", ")}.</>}
      </p>
      <Button look="ghost" icon={open ? "down" : "right"} aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? "Hide the images" : group.count === 1 ? "Show the image" : `Show all ${count(group.count)}`}
      </Button>
      {open && <Items job={job} cause={group.cause} />}
      {retry && <RetryDialog job={job} narrowed={{ cause: group.cause }} advice={group.advice} onClose={() => setRetry(false)} />}
    </li>
  );
}

export const Failures = memo(function Failures({ job }: { job: Import }) {
  const failed = useThrottled(job.failed, REFRESH_MS);
  const groups = useFailures(job.id, failed > 0);
  const now = useNow(5000, failed > 0);
  const cache = useQueryClient();
  useChanged(failed, () => {
    if (failed > 0) void groups.refetch();
    for (const key of ["failed-items", "item"]) void cache.invalidateQueries({ queryKey: [key, job.id] });
  });
  const list = groups.data ?? [];
  const title = useRef<HTMLHeadingElement>(null);
  const within = useRef(false);
  // A group that is mended goes, with the button that was pressed.
  useLayoutEffect(() => {
    if (!within.current || document.activeElement !== document.body) return;
    within.current = false;
    (title.current ?? document.getElementById("main"))?.focus({ preventScroll: true });
  }, [list.length, job.failed]);
  if (job.failed === 0) return null;
  return (
    <section className="card" aria-labelledby="failures-title" onFocus={() => (within.current = true)} onBlur={() => (within.current = false)}>
      <h2 id="failures-title" ref={title} tabIndex={-1}>What failed, and what to do</h2>
      {groups.error && <Problem error={groups.error} again={() => void groups.refetch()} />}
      {groups.isPending && <Skeleton rows={1} className="failure" />}
      <ul className="failures">
        {list.map((group) => (
          <Group key={group.cause} group={group} job={job} now={now} />
        ))}
      </ul>
    </section>
  );
});
