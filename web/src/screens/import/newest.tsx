import { memo } from "react";
import { Link } from "wouter";
import { useNewest } from "../../api/queries";
import type { Import } from "../../api/types";
import { useChanged, useThrottled } from "../../ui/hooks";
import { Problem } from "../../ui/problem";
import { Thumb } from "../../ui/thumb";

const SHOWN = 24;
const REFRESH_MS = 1_500;
/** As wide as the least that the style sheet allows. */
const TILE = 99;

/** The latest arrivals; the gallery has the rest. */
export const Newest = memo(function Newest({ job }: { job: Import }) {
  const newest = useNewest(job.id, SHOWN);
  const imported = useThrottled(job.imported_count, REFRESH_MS);
  useChanged(imported, () => void newest.refetch());
  const images = newest.data?.images ?? [];
  const gallery = `/gallery?import=${encodeURIComponent(job.id)}`;
  return (
    <section className="card" aria-labelledby="newest-title">
      <div className="heading">
        <h2 id="newest-title">Newest images</h2>
        {images.length > 0 && <Link href={gallery}>All in the gallery</Link>}
      </div>
      {newest.error && <Problem error={newest.error} again={() => void newest.refetch()} />}
      {newest.isSuccess && images.length === 0 && <p className="muted">{job.status === "processing" ? "None yet: they appear here as they arrive." : "This import stored no images that are still here."}</p>}
      <ul className="strip">
        {images.map((image) => (
          <li key={image.id}>
            <Link href={`${gallery}&image=${image.id}`} className="tile" title={image.name} aria-label={image.name}>
              <Thumb image={image} width={TILE} />
            </Link>
          </li>
        ))}
        {newest.isPending && Array.from({ length: 6 }, (_, n) => <li key={n} className="tile skeleton" aria-hidden="true" />)}
      </ul>
    </section>
  );
});
