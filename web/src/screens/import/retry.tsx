import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { command, previewRetry, type Narrowed } from "../../api/calls";
import { randomKey } from "../../api/client";
import { awaitChange } from "../../api/live";
import type { Import } from "../../api/types";
import { plural, words } from "../../lib/format";
import { notify } from "../../ui/announce";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Problem } from "../../ui/problem";

/** How many a retry would queue again, then the retry. */
export function RetryDialog({ job, narrowed, advice, onClose }: { job: Import; narrowed: Narrowed; advice?: string; onClose: () => void }) {
  const cache = useQueryClient();
  const preview = useQuery({ queryKey: ["preview", job.id, narrowed], queryFn: () => previewRetry(job.id, narrowed), staleTime: 0, gcTime: 0 });
  // Once more after an error is the very same.
  const [key] = useState(randomKey);
  const retry = useMutation({
    mutationFn: () => command(job.id, "retry", narrowed, key),
    onSuccess: ({ message }) => {
      notify(message);
      const askAgain = (): void => {
        for (const key of ["failures", "failed-items", "items", "item"]) void cache.invalidateQueries({ queryKey: [key, job.id] });
      };
      askAgain();
      // It is stored; once it is carried out, they are queued.
      void awaitChange(cache, job.id).then(askAgain);
      onClose();
    },
  });
  const matching = preview.data?.matching;
  return (
    <Dialog
      title={narrowed.cause ? `Retry: ${words(narrowed.cause)}` : "Retry what failed"}
      onClose={onClose}
      first
      actions={
        <>
          <Button onClick={onClose}>Not now</Button>
          <Button look="primary" icon="retry" data-first busy={retry.isPending} blocked={matching ? undefined : "Nothing matches"} onClick={() => retry.mutate()}>
            {matching === undefined ? "Retry" : `Retry ${plural(matching, "image")}`}
          </Button>
        </>
      }
    >
      <p className="preview" aria-live="polite">
        {matching === undefined ? "Counting…" : matching === 0 ? "Nothing that failed matches any more." : `${plural(matching, "failed image")} will be queued again.`}
      </p>
      {advice && <p>First see to the cause: {advice}</p>}
      {preview.error && <Problem error={preview.error} />}
      {retry.error && <Problem error={retry.error} />}
    </Dialog>
  );
}
