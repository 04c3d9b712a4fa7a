// One function per call of the API.

import { apiKey, json, post, withQuery } from "./client";
import type {
  BulkReport, Command, DeleteReport, FailedItem, FailureGroup, Image, ImageFilter, ImagePage, Import, ImportPage, Item,
  ItemDetail, ItemPage, Overview, Session,
} from "./types";

type Signal = AbortSignal | undefined;
type Cursor = string | null;

const id = encodeURIComponent;
const of = (importId: string): string => `/api/imports/${id(importId)}`;

export const PER_PAGE = 50;

/** Where there are keys, the name of the key, if it has one, says it better. */
const asker = (): { requested_by?: string } => (apiKey.get() ? {} : { requested_by: "page" });

export const getSession = (signal: Signal) => json<Session>("/api/session", { signal });
export const getOverview = (signal: Signal) => json<Overview>("/api/overview", { signal });

export interface ImportFilter {
  status?: string;
  q?: string;
}
export const getImports = (filter: ImportFilter, cursor: Cursor, signal: Signal, per_page = PER_PAGE) =>
  json<ImportPage>(withQuery("/api/imports", { ...filter, cursor, per_page }), { signal });
export const getImport = (importId: string, signal: Signal) => json<Import>(of(importId), { signal });
export const getFailures = async (importId: string, signal: Signal) =>
  (await json<{ failures: FailureGroup[] }>(`${of(importId)}/failures`, { signal })).failures;
export const failedItems = (importId: string, cause: string) => withQuery(`${of(importId)}/failures/items`, { cause });
export const getFailedItems = (importId: string, cause: string, cursor: Cursor, signal: Signal) =>
  json<ItemPage<FailedItem>>(withQuery(`${of(importId)}/failures/items`, { cause, cursor, per_page: PER_PAGE }), { signal });
export const getItems = (importId: string, state: string, cursor: Cursor, signal: Signal) =>
  json<ItemPage<Item>>(withQuery(`${of(importId)}/items`, { state, cursor, per_page: PER_PAGE }), { signal });
export const getItem = (importId: string, item: string, signal: Signal) => json<ItemDetail>(`${of(importId)}/items/${id(item)}`, { signal });

export interface NewImport {
  folder_url: string;
  recursive: boolean;
  skip_unchanged: boolean;
  destination_prefix?: string;
}
export const startImport = (body: NewImport, key: string) => post<{ job_id: string }>("/api/import/google-drive", { ...body, ...asker() }, key);

export interface Narrowed {
  cause?: string;
  item_id?: string;
}
export const command = (importId: string, action: Command, narrowed: Narrowed = {}, key?: string) =>
  post<{ message: string; matching?: number }>(`${of(importId)}/${action}`, { ...narrowed, ...asker() }, key);
export const previewRetry = (importId: string, narrowed: Narrowed) => post<{ matching: number }>(`${of(importId)}/retry`, { ...narrowed, preview: true });

/** Nothing is narrowed down by accident: all of them must be asked for. */
const among = <T extends object>(filter: T): { filter: T; all?: true } => (Object.values(filter).some(Boolean) ? { filter } : { filter, all: true });

export const previewCommands = (action: Command, filter: ImportFilter) =>
  post<{ matching: number; able: number }>("/api/imports/commands", { action, ...among(filter), preview: true });
export const commands = (action: Command, filter: ImportFilter, key: string) => post<BulkReport>("/api/imports/commands", { action, ...among(filter) }, key);

/** What the gallery's address narrows down. */
export function imageFilter(params: URLSearchParams): ImageFilter {
  const [q, job, type, provider] = ["q", "import", "type", "provider"].map((name) => params.get(name));
  return { ...(q && { q }), ...(job && { import: job }), ...(type && { mime_type: type }), ...(provider && { storage_provider: provider }) };
}

export const getImages = (filter: ImageFilter, at: { cursor: Cursor } | { page: number }, per_page: number, signal: Signal) =>
  json<ImagePage>(withQuery("/api/images", { ...filter, ...at, per_page }), { signal });
export const getImage = (image: number, signal: Signal) => json<Image>(`/api/images/${image}`, { signal });
export const deleteImage = (image: number) => json<{ message: string }>(`/api/images/${image}`, { method: "DELETE" });

export type Selection = { filter: ImageFilter; all?: true } | { ids: number[] };
export const previewDelete = (selection: Selection) => post<{ matching: number }>("/api/images/delete", { ...selection, preview: true });
export const deleteImages = (selection: Selection, cursor: Cursor, key: string) =>
  post<DeleteReport>("/api/images/delete", cursor ? { ...selection, cursor } : selection, key);

export const selectionOf = (filter: ImageFilter): Selection => among(filter);

/** Another address for other bytes, so that a browser may keep what it has. */
const version = (image: Image): string => image.sha256.slice(0, 12);
export const contentPath = (image: Image): string => `/api/images/${image.id}/content?v=${version(image)}`;
export const thumbnailPath = (image: Image, side: number): string => `/api/images/${image.id}/thumbnail?side=${side}&v=${version(image)}`;
export const exportPath = (filter: ImageFilter): string => withQuery("/api/images/all", { ...filter });
