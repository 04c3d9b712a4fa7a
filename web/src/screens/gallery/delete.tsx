import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { deleteImages, previewDelete, type Selection } from "../../api/calls";
import { randomKey } from "../../api/client";
import { count, plural } from "../../lib/format";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Problem } from "../../ui/problem";

/** From so many on, the number has to be typed. */
const MANY = 50;

type Run = { state: "idle" } | { state: "running" | "stopped" | "done"; queued: number; matching: number } | { state: "failed"; queued: number; error: unknown };

interface Props {
  selection: Selection;
  what: string;
  onClose: () => void;
  /** Some deletions are queued. */
  onQueued: () => void;
}

/** All that match: how many first, then the deletions, request by request until all are queued. */
export function DeleteDialog({ selection, what, onClose, onQueued }: Props) {
  const preview = useQuery({ queryKey: ["preview-delete", selection], queryFn: () => previewDelete(selection), staleTime: 0, gcTime: 0 });
  const [typed, setTyped] = useState("");
  const [run, setRun] = useState<Run>({ state: "idle" });
  const stop = useRef(false);
  const cursor = useRef<string | null>(null);
  const queued = useRef(0);
  /** Until it is answered: who goes on after an error asks the very same again. */
  const key = useRef(randomKey());
  const matching = preview.data?.matching;
  const confirmed = matching !== undefined && (matching < MANY || typed.replace(/\D/g, "") === String(matching));

  async function go(): Promise<void> {
    stop.current = false;
    const all = matching ?? 0;
    setRun({ state: "running", queued: queued.current, matching: all });
    try {
      for (;;) {
        const answer = await deleteImages(selection, cursor.current, key.current);
        key.current = randomKey();
        queued.current += answer.queued;
        cursor.current = answer.cursor;
        onQueued();
        if (answer.complete || !answer.cursor) return setRun({ state: "done", queued: queued.current, matching: all });
        if (stop.current) return setRun({ state: "stopped", queued: queued.current, matching: all });
        setRun({ state: "running", queued: queued.current, matching: all });
      }
    } catch (error) {
      setRun({ state: "failed", queued: queued.current, error });
    }
  }

  const over = run.state === "done" || run.state === "stopped";
  const close = (): void => {
    stop.current = true;
    onClose();
  };
  return (
    <Dialog
      title={over ? "Deletions are queued" : "Delete images?"}
      onClose={close}
      first
      actions={
        over ? (
          <Button look="primary" onClick={close}>
            Close
          </Button>
        ) : run.state === "running" ? (
          <Button onClick={() => (stop.current = true)}>Stop</Button>
        ) : (
          <>
            <Button data-first onClick={close}>
              Keep them
            </Button>
            <Button look="destroy" icon="trash" blocked={!matching ? "Nothing matches" : confirmed ? undefined : "Type the number first"} onClick={() => void go()}>
              {run.state === "failed" ? "Go on" : matching === undefined ? "Delete" : `Delete ${plural(matching, "image")}`}
            </Button>
          </>
        )
      }
    >
      {run.state === "running" && (
        <p role="status">
          {count(run.queued)} of {count(run.matching)} queued…
        </p>
      )}
      {over && (
        <p role="status">
          {plural(run.queued, "image")} of {count(run.matching)} {run.state === "stopped" ? "queued before you stopped" : "queued"}. Workers delete the objects, then the images leave the gallery.
        </p>
      )}
      {(run.state === "idle" || run.state === "failed") && (
        <>
          <p>{what}</p>
          <p className="preview" aria-live="polite">
            {matching === undefined ? "Counting…" : matching === 0 ? "Nothing matches." : `${plural(matching, "image")}: objects and rows, for good.`}
          </p>
          {matching !== undefined && matching >= MANY && (
            <label className="field">
              Type {matching} to confirm
              <input type="text" inputMode="numeric" value={typed} onChange={(event) => setTyped(event.target.value)} autoComplete="off" />
            </label>
          )}
          {preview.error && <Problem error={preview.error} />}
          {run.state === "failed" && (
            <Problem error={run.error}>
              <p>{count(run.queued)} are queued so far; going on repeats nothing.</p>
            </Problem>
          )}
        </>
      )}
    </Dialog>
  );
}
