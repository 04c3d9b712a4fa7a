import { useState } from "react";
import { Link } from "wouter";
import { ApiError } from "../../api/client";
import { useItem, useMayWrite } from "../../api/queries";
import type { Import, ItemEvent } from "../../api/types";
import { between, bytes, duration, when, words } from "../../lib/format";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Problem, Skeleton } from "../../ui/problem";
import { ITEM_STATE } from "./entries";
import { RetryDialog } from "./retry";

const HAPPENED: Record<ItemEvent["state"], string> = {
  retrying: "An attempt failed; another follows",
  failed: "Given up",
  imported: "Imported",
  skipped: "Skipped",
  requeued: "Queued again",
};

function Step({ event, before }: { event: ItemEvent; before: ItemEvent | undefined }) {
  const after = before ? between(before.at, event.at) : null;
  return (
    <li className={`step ${event.state}`}>
      <p className="step-what">
        {HAPPENED[event.state] ?? event.state}
        {event.cause && <code>{event.cause}</code>}
      </p>
      {event.message && <p className="step-message">{event.message}</p>}
      <p className="sub">
        <time dateTime={event.at}>{when(event.at)}</time>
        {after !== null && ` · ${duration(after)} later`} · attempt {event.attempt}
        {event.run > 1 && `, run ${event.run}`}
      </p>
    </li>
  );
}

/** What became of one image, attempt by attempt. */
export function Timeline({ job, item, onClose }: { job: Import; item: string; onClose: () => void }) {
  const found = useItem(job.id, item);
  const [retry, setRetry] = useState(false);
  const mayWrite = useMayWrite();
  const data = found.data;
  const unknown = found.error instanceof ApiError && found.error.status === 404;
  const toRetry = data?.state === "failed" && job.status !== "cancelled";
  return (
    <Dialog
      title={data?.name ?? data?.item_id ?? "Entry"}
      size="medium"
      onClose={onClose}
      actions={
        (toRetry || data?.image_id != null) && (
          <>
            {data?.image_id != null && (
              <Link href={`/gallery?import=${encodeURIComponent(job.id)}&image=${data.image_id}`} className="button plain">
                Show the image
              </Link>
            )}
            {toRetry && (
              <Button look="primary" icon="retry" blocked={mayWrite ? undefined : "This API key may only read"} onClick={() => setRetry(true)}>
                Retry this image…
              </Button>
            )}
          </>
        )
      }
    >
      {found.isPending && <Skeleton rows={4} className="line" />}
      {unknown && <p>This import lists no such entry.</p>}
      {found.error && !unknown && <Problem error={found.error} again={() => void found.refetch()} />}
      {data && (
        <>
          <p className="timeline-now">
            <span className={`state ${data.state}`}>{ITEM_STATE[data.state] ?? data.state}</span>
            {data.cause && <span>{words(data.cause)}</span>}
            {data.size !== null && <span className="muted">{bytes(data.size)}</span>}
          </p>
          {data.message && data.history.length === 0 && <p>{data.message}</p>}
          {data.advice && <p>{data.advice}</p>}
          <h3>Attempts</h3>
          {data.history.length === 0 ? (
            <p className="muted">{data.state === "queued" ? "None yet: it waits for a worker." : "None is recorded."}</p>
          ) : (
            <ol className="timeline">
              {data.history.map((event, n) => (
                <Step key={n} event={event} before={data.history[n - 1]} />
              ))}
            </ol>
          )}
          <p className="meta">
            <a href={`https://drive.google.com/file/d/${encodeURIComponent(data.item_id)}/view`} target="_blank" rel="noreferrer noopener">
              File in Google Drive
            </a>
          </p>
        </>
      )}
      {retry && <RetryDialog job={job} narrowed={{ item_id: item }} {...(data?.advice ? { advice: data.advice } : {})} onClose={() => setRetry(false)} />}
    </Dialog>
  );
}
