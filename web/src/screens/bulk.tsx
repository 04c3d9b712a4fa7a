import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { commands, previewCommands, type ImportFilter } from "../api/calls";
import { randomKey } from "../api/client";
import type { BulkReport, Command } from "../api/types";
import { count, plural } from "../lib/format";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Problem } from "../ui/problem";
import { STATUS } from "../ui/progress";

const TEXT: Record<Command, { title: string; verb: string; what: string }> = {
  retry: { title: "Retry what failed?", verb: "Retry", what: "Every failed image of these imports is queued again." },
  pause: { title: "Pause imports?", verb: "Pause", what: "Images that are on their way still arrive." },
  resume: { title: "Resume imports?", verb: "Resume", what: "Paused imports go on." },
  cancel: { title: "Cancel imports?", verb: "Cancel", what: "What is stored stays. What is left is given up, for good." },
};

function described({ status, q }: ImportFilter): string {
  const parts = [status && `in the state “${STATUS[status as keyof typeof STATUS] ?? status}”`, q && `matching “${q}”`].filter(Boolean);
  return parts.length > 0 ? `All imports ${parts.join(" and ")}.` : "All imports there are.";
}

function counted(preview: { matching: number; able: number } | undefined, text: (typeof TEXT)[Command]): string {
  if (!preview) return "Counting…";
  const { matching, able } = preview;
  if (matching === 0) return "No import matches.";
  if (able === 0) return `${matching === 1 ? "The import that matches cannot" : `None of the ${count(matching)} imports that match can`} do this now.`;
  return able < matching ? `${count(able)} of the ${count(matching)} imports that match. ${text.what}` : `${plural(able, "import")}. ${text.what}`;
}

const told = ({ accepted, matching, refused_count: refused }: BulkReport): string =>
  `${count(accepted)} of ${plural(matching, "import")} accepted${refused > 0 ? `, ${count(refused)} refused:` : "."}`;

/** Some were not refused for what they are: the same once more goes to them alone. */
const PASSING = new Set(["timeout", "queue_unavailable", "database_unavailable"]);
const unfinished = (report: BulkReport): boolean => report.refused.some(({ code }) => PASSING.has(code));

/** One command for all imports that match: how many first, then what came of it. */
export function BulkDialog({ action, filter, onClose }: { action: Command; filter: ImportFilter; onClose: () => void }) {
  const text = TEXT[action];
  const preview = useQuery({ queryKey: ["preview", action, filter], queryFn: () => previewCommands(action, filter), staleTime: 0, gcTime: 0 });
  // Once more after an error is the very same.
  const [key] = useState(randomKey);
  const run = useMutation({ mutationFn: () => commands(action, filter, key) });
  const able = preview.data?.able;
  const report = run.data;
  return (
    <Dialog
      title={!report ? text.title : unfinished(report) ? "Not all were reached" : "Done"}
      onClose={onClose}
      first={!report}
      actions={
        report ? (
          <>
            <Button onClick={onClose}>Close</Button>
            {unfinished(report) && (
              <Button look="primary" busy={run.isPending} onClick={() => run.mutate()}>
                Go on
              </Button>
            )}
          </>
        ) : (
          <>
            <Button onClick={onClose} data-first>
              Keep as it is
            </Button>
            <Button look={action === "cancel" ? "destroy" : "primary"} busy={run.isPending} blocked={able ? undefined : able === 0 ? "None can do this now" : preview.isError ? "They could not be counted" : "Counting"} onClick={() => run.mutate()}>
              {able ? `${text.verb} ${plural(able, "import")}` : text.verb}
            </Button>
          </>
        )
      }
    >
      {!report && <p>{described(filter)}</p>}
      <p className="preview" role="status">
        {report ? told(report) : counted(preview.data, text)}
      </p>
      {report && report.refused.length > 0 && (
        <ul className="refused">
          {report.refused.map((each) => (
            <li key={each.id}>
              <code>{each.id}</code> {each.detail}
            </li>
          ))}
        </ul>
      )}
      {preview.error && <Problem error={preview.error} />}
      {run.error && <Problem error={run.error} />}
    </Dialog>
  );
}
