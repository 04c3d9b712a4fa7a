import type { Import } from "../../api/types";
import { useNeedsKey } from "../../api/queries";
import { curl, type Call } from "../../lib/curl";
import { CopyButton } from "../../ui/copy";
import { Dialog } from "../../ui/dialog";

/** The same with curl: this import again, and what can be read about it. */
export function Scripts({ job, onClose }: { job: Import; onClose: () => void }) {
  const withKey = useNeedsKey();
  const base = `${location.origin}/api`;
  const of = `${base}/imports/${job.id}`;
  const start = {
    folder_url: job.folder,
    recursive: job.recursive,
    skip_unchanged: job.skip_unchanged,
    ...(job.destination_prefix && { destination_prefix: job.destination_prefix }),
  };
  const calls: [string, Omit<Call, "withKey">][] = [
    ...(job.folder ? [["Import this folder again", { url: `${base}/import/google-drive`, method: "POST" as const, body: start }] satisfies [string, Omit<Call, "withKey">]] : []),
    ["How far it is", { url: of }],
    ["Follow it", { url: `${of}/events`, stream: true }],
    ["What failed, by cause", { url: `${of}/failures` }],
    ["Everything that failed, as CSV", { url: `${of}/failures/items`, accept: "text/csv" }],
    ["Retry what failed", { url: `${of}/retry`, method: "POST" }],
  ];
  return (
    <Dialog title="Copy as curl" size="medium" onClose={onClose}>
      {withKey && (
        <p>
          With your key in <code>API_KEY</code>.
        </p>
      )}
      <dl className="scripts">
        {calls.map(([what, call]) => {
          const text = curl({ ...call, withKey });
          return (
            <div key={what}>
              <dt>
                {what}
                <CopyButton text={text} label={`curl: ${what}`} />
              </dt>
              <dd>
                <code>{text}</code>
              </dd>
            </div>
          );
        })}
      </dl>
    </Dialog>
  );
}
