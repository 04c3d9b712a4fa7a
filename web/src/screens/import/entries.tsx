import { memo } from "react";
import { useItems } from "../../api/queries";
import type { Import, ItemState } from "../../api/types";
import { ago, bytes, when, words } from "../../lib/format";
import { Button } from "../../ui/button";
import { useChanged, useNow, useQueryParams, useThrottled } from "../../ui/hooks";
import { Problem, Skeleton } from "../../ui/problem";
import { settled } from "../../ui/progress";

export const ITEM_STATE: Record<ItemState, string> = {
  queued: "Queued",
  retrying: "To be retried",
  imported: "Imported",
  skipped: "Skipped",
  failed: "Failed",
};
const STATES = Object.keys(ITEM_STATE) as ItemState[];
const REFRESH_MS = 4_000;

/** Every entry of the folder with its state; each opens its own history. */
export const Entries = memo(function Entries({ job }: { job: Import }) {
  const [params, change] = useQueryParams();
  const state = params.get("entries");
  const open = state !== null;
  const list = useItems(job.id, state === "all" ? "" : (state ?? ""), open);
  const now = useNow(5000, open);
  const moved = useThrottled(settled(job) + job.total, REFRESH_MS);
  // Only the first page follows: later ones would shift under the reader.
  useChanged(moved, () => {
    if (open && (list.data?.pages.length ?? 0) <= 1) void list.refetch();
  });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const chip = (value: string, label: string) => (
    <button key={value} type="button" className="chip" aria-pressed={state === value} onClick={() => change({ entries: value })}>
      {label}
    </button>
  );
  return (
    <section className="card" aria-labelledby="entries-title">
      <div className="heading">
        <h2 id="entries-title">Entries of the folder</h2>
        <Button look="ghost" aria-expanded={open} icon={open ? "down" : "right"} onClick={() => change({ entries: open ? undefined : "all" })}>
          {open ? "Hide" : "Show"}
        </Button>
      </div>
      {open && (
        <>
          <div className="chips" role="group" aria-label="Entries by state">
            {chip("all", "All")}
            {STATES.map((each) => chip(each, ITEM_STATE[each]))}
          </div>
          {list.error && <Problem error={list.error} again={() => void list.refetch()} />}
          {list.isPending && <Skeleton rows={6} className="line" />}
          {list.isSuccess && items.length === 0 && <p className="muted">{state === "all" ? "Nothing is listed yet." : "None is in this state."}</p>}
          <ul className={`entries ${list.isPlaceholderData ? "stale" : ""}`} aria-label="Entries">
            {items.map((item) => (
              <li key={item.item_id}>
                <button type="button" className="link" data-row onClick={() => change({ item: item.item_id }, true)}>
                  {item.name ?? item.item_id}
                </button>
                <span className={`state ${item.state}`}>{ITEM_STATE[item.state] ?? item.state}</span>
                <span className="sub">{item.cause ? words(item.cause) : ""}</span>
                <span className="sub number">{item.size === null ? "" : bytes(item.size)}</span>
                <time className="sub number" dateTime={item.updated_at} title={when(item.updated_at)}>
                  {ago(item.updated_at, now)}
                </time>
              </li>
            ))}
          </ul>
          {list.hasNextPage && (
            <p className="list-end">
              <Button busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
                Show more
              </Button>
            </p>
          )}
        </>
      )}
    </section>
  );
});
