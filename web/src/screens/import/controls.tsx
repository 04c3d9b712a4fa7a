import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { command } from "../../api/calls";
import { awaitChange } from "../../api/live";
import { useMayWrite } from "../../api/queries";
import type { Command, Import } from "../../api/types";
import { count } from "../../lib/format";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { useShortcut } from "../../ui/keys";
import { notify } from "../../ui/announce";
import { Menu } from "../../ui/menu";
import { Problem } from "../../ui/problem";
import { copyText } from "../../ui/copy";
import { RetryDialog } from "./retry";
import { Scripts } from "./scripts";
import { save } from "../../lib/save";

const ASKING: Record<Command, string> = { pause: "Pausing…", resume: "Resuming…", cancel: "Cancelling…", retry: "Queueing…" };

/** A command is stored at once and carried out a moment later: only the import's state shows that it was. */
function hasEffect(action: Command, job: Import): boolean {
  if (action === "pause") return job.status !== "processing";
  if (action === "resume") return job.status !== "paused";
  return job.status !== "processing" && job.status !== "paused";
}

export function Controls({ job }: { job: Import }) {
  const [asked, setAsked] = useState<Command | null>(null);
  const [dialog, setDialog] = useState<"cancel" | "retry" | "scripts" | null>(null);
  const mayWrite = useMayWrite();
  const cache = useQueryClient();
  const run = useMutation({
    mutationFn: (action: Command) => command(job.id, action),
    onMutate: (action) => setAsked(action),
    onSuccess: ({ message }) => {
      notify(message);
      void awaitChange(cache, job.id);
    },
    onError: () => setAsked(null),
  });
  const exported = useMutation({
    mutationFn: ({ accept, name }: { accept: string; name: string }) => save(`/api/imports/${encodeURIComponent(job.id)}/failures/items`, accept, name),
  });
  useEffect(() => {
    if (asked && hasEffect(asked, job)) setAsked(null);
  }, [asked, job]);

  const blocked = mayWrite ? undefined : "This API key may only read";
  const open = job.status === "processing" || job.status === "paused";
  const toRetry = job.failed > 0 && job.status !== "cancelled";
  useShortcut("r", () => {
    if (toRetry && mayWrite) setDialog("retry");
  });
  const pace = job.status === "paused" ? "resume" : "pause";
  return (
    <>
      <div className="controls" role="group" aria-label="This import">
        {open && (
          <Button icon={pace === "pause" ? "pause" : "play"} busy={asked === pace} blocked={blocked} onClick={() => run.mutate(pace)}>
            {asked === pace ? ASKING[pace] : pace === "pause" ? "Pause" : "Resume"}
          </Button>
        )}
        {toRetry && (
          <Button icon="retry" blocked={blocked} onClick={() => setDialog("retry")}>
            {`Retry ${count(job.failed)} failed…`}
          </Button>
        )}
        {open && (
          <Button look="danger" icon="stop" busy={asked === "cancel"} blocked={blocked} onClick={() => setDialog("cancel")}>
            {asked === "cancel" ? ASKING.cancel : "Cancel…"}
          </Button>
        )}
        <Menu label="More">
          <button type="button" onClick={() => setDialog("scripts")}>
            Copy as curl…
          </button>
          <button type="button" onClick={async () => notify((await copyText(job.id)) ? "The import's id is copied." : job.id)}>
            Copy the import’s id
          </button>
          {job.failed > 0 && (
            <>
              <button type="button" onClick={() => exported.mutate({ accept: "text/csv", name: `failures-${job.id}.csv` })}>
                Export failures as CSV
              </button>
              <button type="button" onClick={() => exported.mutate({ accept: "application/x-ndjson", name: `failures-${job.id}.ndjson` })}>
                Export failures as NDJSON
              </button>
            </>
          )}
        </Menu>
      </div>
      {run.error && <Problem error={run.error} />}
      {exported.error && <Problem error={exported.error} />}
      {dialog === "retry" && <RetryDialog job={job} narrowed={{}} onClose={() => setDialog(null)} />}
      {dialog === "scripts" && <Scripts job={job} onClose={() => setDialog(null)} />}
      {dialog === "cancel" && (
        <Dialog
          title="Cancel this import?"
          onClose={() => setDialog(null)}
          first
          actions={
            <>
              <Button data-first onClick={() => setDialog(null)}>
                Keep importing
              </Button>
              <Button
                look="destroy"
                onClick={() => {
                  setDialog(null);
                  run.mutate("cancel");
                }}
              >
                Cancel import
              </Button>
            </>
          }
        >
          <p>What is stored stays. What is left is given up, for good: importing the folder again starts a new import.</p>
        </Dialog>
      )}
    </>
  );
}
