import { useMutation, useQuery } from "@tanstack/react-query";
import { commands, previewCommands, type ImportFilter } from "../api/calls";
import type { Command } from "../api/types";
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

/** One command for all imports that match: how many first, then what came of it. */
export function BulkDialog({ action, filter, onClose }: { action: Command; filter: ImportFilter; onClose: () => void }) {
  const text = TEXT[action];
  const preview = useQuery({ queryKey: ["preview", action, filter], queryFn: () => previewCommands(action, filter), staleTime: 0, gcTime: 0 });
  const run = useMutation({ mutationFn: () => commands(action, filter) });
  const matching = preview.data?.matching;
  const report = run.data;
  return (
    <Dialog
      title={report ? "Done" : text.title}
      onClose={onClose}
      first={!report}
      actions={
        report ? (
          <Button look="primary" onClick={onClose}>
            Close
          </Button>
        ) : (
          <>
            <Button onClick={onClose} data-first>
              Keep as it is
            </Button>
            <Button look={action === "cancel" ? "destroy" : "primary"} busy={run.isPending} blocked={matching ? undefined : "Nothing matches"} onClick={() => run.mutate()}>
              {matching === undefined ? text.verb : `${text.verb} ${plural(matching, "import")}`}
            </Button>
          </>
        )
      }
    >
      {report ? (
        <>
          <p>
            {count(report.accepted)} of {plural(report.matching, "import")} accepted{report.refused_count > 0 ? `, ${count(report.refused_count)} refused:` : "."}
          </p>
          {report.refused.length > 0 && (
            <ul className="refused">
              {report.refused.map((each) => (
                <li key={each.id}>
                  <code>{each.id}</code> {each.detail}
                </li>
              ))}
            </ul>
          )}
        </>
      ) : (
        <>
          <p>{described(filter)}</p>
          <p className="preview" aria-live="polite">
            {matching === undefined ? "Counting…" : matching === 0 ? "None can do this now." : `${plural(matching, "import")}. ${text.what}`}
          </p>
          {preview.error && <Problem error={preview.error} />}
          {run.error && <Problem error={run.error} />}
        </>
      )}
    </Dialog>
  );
}
