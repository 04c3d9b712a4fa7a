import { useQuery } from "@tanstack/react-query";
import { memo } from "react";
import { getImport, getImports } from "../../api/calls";
import { useOverview } from "../../api/queries";
import type { ImageFilter } from "../../api/types";
import { day } from "../../lib/format";
import { nameOf } from "../../ui/progress";
import { useShown } from "../../ui/later";
import { SearchField } from "../../ui/search";

/** By what workers find in the bytes: HEIC is HEIF with a certain codec. */
const TYPES = { jpeg: "JPEG", png: "PNG", webp: "WebP", gif: "GIF", heif: "HEIC", avif: "AVIF", tiff: "TIFF", bmp: "BMP", "svg+xml": "SVG" } as const;
const PROVIDERS = { aws: "Amazon S3", azure: "Azure Blob", local: "Local folder" } as const;
/** The latest; an older one comes by a link from its screen. */
const IMPORTS = 50;

interface Props {
  filter: ImageFilter;
  onChange: (changes: Record<string, string | undefined>) => void;
}

export const GalleryFilters = memo(function GalleryFilters({ filter, onChange }: Props) {
  const shown = useShown();
  const imports = useQuery({
    queryKey: ["import-names"],
    queryFn: ({ signal }) => getImports({}, null, signal, IMPORTS),
    enabled: shown || Boolean(filter.import),
    staleTime: 30_000,
  });
  const chosen = imports.data?.imports.find((job) => job.id === filter.import);
  const older = useQuery({
    queryKey: ["import", filter.import ?? ""],
    queryFn: ({ signal }) => getImport(filter.import ?? "", signal),
    enabled: Boolean(filter.import) && imports.isSuccess && !chosen,
  });
  const stats = useOverview().data?.stats;
  const providers = (Object.keys(PROVIDERS) as (keyof typeof PROVIDERS)[]).filter((name) => (stats?.[`${name}_images`] ?? 0) > 0 || filter.storage_provider === name);
  const named = imports.data?.imports ?? [];
  return (
    <div className="gallery-filters" role="search">
      <SearchField label="Search images by name" placeholder="Name" value={filter.q ?? ""} onChange={(q) => onChange({ q })} />
      <select aria-label="Import" value={filter.import ?? ""} onChange={(event) => onChange({ import: event.target.value || undefined })}>
        <option value="">Every import</option>
        {filter.import && !chosen && <option value={filter.import}>{older.data ? nameOf(older.data) : filter.import}</option>}
        {named.map((job) => (
          <option key={job.id} value={job.id}>
            {nameOf(job)} · {day(job.created_at)}
          </option>
        ))}
      </select>
      <select aria-label="Type" value={filter.mime_type ?? ""} onChange={(event) => onChange({ type: event.target.value || undefined })}>
        <option value="">Every type</option>
        {Object.entries(TYPES).map(([type, label]) => (
          <option key={type} value={`image/${type}`}>
            {label}
          </option>
        ))}
        {filter.mime_type && !(filter.mime_type.replace("image/", "") in TYPES) && <option value={filter.mime_type}>{filter.mime_type}</option>}
      </select>
      {(providers.length > 1 || filter.storage_provider) && (
        <select aria-label="Provider" value={filter.storage_provider ?? ""} onChange={(event) => onChange({ provider: event.target.value || undefined })}>
          <option value="">Every store</option>
          {providers.map((name) => (
            <option key={name} value={name}>
              {PROVIDERS[name]}
            </option>
          ))}
        </select>
      )}
    </div>
  );
});
