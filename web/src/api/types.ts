// What the page uses of the gateway's answers. tests/types.test.mjs compares it with gateway/openapi.json.

export type ImportStatus = "processing" | "paused" | "completed" | "failed" | "cancelled";
export type Command = "pause" | "resume" | "cancel" | "retry";
export type Provider = "aws" | "azure" | "local";

export interface Import {
  id: string;
  job_id: string;
  status: ImportStatus;
  /** Null where the request could not be read. */
  folder: string | null;
  folder_name: string | null;
  total: number;
  processed: number;
  imported_count: number;
  skipped: number;
  failed: number;
  retrying: number;
  listing: boolean;
  pages: number;
  bytes: number;
  rate: number;
  bytes_per_second: number;
  eta_seconds: number | null;
  error: string | null;
  cause: string | null;
  advice: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  updated_at: string;
  recursive: boolean;
  skip_unchanged: boolean;
  destination_prefix: string;
  requested_by: string | null;
}

export interface ImportPage {
  imports: Import[];
  total: number;
  next_cursor: string | null;
}

export interface FailureGroup {
  cause: string;
  advice: string;
  count: number;
  first_seen: string;
  last_seen: string;
  samples: { item_id: string; name: string; message: string | null }[];
}

export interface FailedItem {
  item_id: string;
  name: string;
  path: string;
  cause: string;
  message: string;
  attempts: number;
  failed_at: string;
  advice: string;
}

export type ItemState = "queued" | "retrying" | "imported" | "skipped" | "failed";

export interface Item {
  item_id: string;
  /** Null where only its id is known. */
  name: string | null;
  size: number | null;
  state: ItemState;
  cause: string | null;
  updated_at: string;
}

export interface ItemEvent {
  at: string;
  run: number;
  attempt: number;
  state: "retrying" | "failed" | "imported" | "skipped" | "requeued";
  cause: string | null;
  message: string | null;
}

export interface ItemDetail extends Item {
  run: number;
  attempt: number;
  message: string | null;
  advice: string | null;
  image_id: number | null;
  history: ItemEvent[];
}

export interface ItemPage<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Image {
  id: number;
  name: string;
  google_drive_id: string;
  size: number;
  mime_type: string;
  storage_path: string;
  storage_provider: Provider;
  created_at: string;
  updated_at: string;
  modified_time: string | null;
  width: number | null;
  height: number | null;
  taken_at: string | null;
  orientation: number | null;
  md5: string;
  sha256: string;
  bucket: string;
  key: string;
  path: string;
  import_id: string;
}

export interface ImagePage {
  images: Image[];
  total: number;
  next_cursor: string | null;
}

export interface ImageFilter {
  q?: string;
  import?: string;
  storage_provider?: string;
  mime_type?: string;
}

export interface Stats {
  total_images: number;
  total_size_bytes: number;
  aws_images: number;
  azure_images: number;
  local_images: number;
  aws_size_bytes: number;
  azure_size_bytes: number;
  local_size_bytes: number;
}

export interface FleetMember {
  role: string;
  instance: string;
  busy: boolean;
  holds: Record<string, number>;
  waiting: Record<string, string>;
}

export interface Overview {
  /** Null while the database was not read yet. */
  stats: Stats | null;
  imports: Record<ImportStatus, number> | null;
  queue: { pending: number; in_flight: number; requests: number } | null;
  fleet: FleetMember[];
  quota: { units_per_minute: number; used_per_minute: number } | null;
  projector: { lag_events: number } | null;
  waiting_for: Record<string, string>;
}

export interface Session {
  authentication: "none" | "key";
  scopes: string[];
  version: string;
}

export interface BulkReport {
  matching: number;
  accepted: number;
  refused: { id: string; code: string; detail: string }[];
  refused_count: number;
}

export interface DeleteReport {
  matching: number;
  queued: number;
  complete: boolean;
  cursor: string | null;
}
