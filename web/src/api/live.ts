// What the stream tells goes into the cache that every screen reads; its state tells the others
// whether they must ask by themselves.

import type { InfiniteData, QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { Meter } from "../lib/speed";
import type { ServerEvent } from "../lib/sse";
import { apiKey } from "./client";
import { openStream, type Stream, type StreamState } from "./stream";
import type { Import, ImportPage, Overview } from "./types";
import type { ImportFilter } from "./calls";

/** Several events become one change of the page. */
const BATCH_MS = 120;
/** By then a stream has told what is under way. */
const TOLD_MS = 1_500;
/** How long a command may take to show, and how often to look. */
const CHANGE_MS = 30_000;
const ASK_MS = 500;
/** Meters of imports that nobody looks at any more. */
const METERS = 50;

export const ALL_EVENTS = "/api/events";
export const eventsOf = (id: string): string => `/api/imports/${encodeURIComponent(id)}/events`;

export type LiveState = StreamState | { phase: "idle" };

let state: LiveState = { phase: "idle" };
const listeners = new Set<() => void>();

function setState(next: LiveState): void {
  state = next;
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useLive = (): LiveState => useSyncExternalStore(subscribe, () => state);

const meters = new Map<string, Meter>();

export function meterOf(id: string): Meter {
  const meter = meters.get(id) ?? new Meter();
  meters.delete(id);
  meters.set(id, meter);
  const oldest = meters.keys().next().value;
  if (meters.size > METERS && oldest !== undefined) meters.delete(oldest);
  return meter;
}

/** Everything imported, by anybody: for the overview. */
export const FLEET = "fleet";

export function takeReading(job: Import): void {
  const meter = meterOf(job.id);
  if (job.status === "processing") {
    meter.push({ at: performance.now() / 1000, items: job.processed + job.failed, bytes: job.bytes });
  } else {
    meter.rest();
  }
}

export function takeOverview(overview: Overview): void {
  if (!overview.stats) return;
  meterOf(FLEET).push({
    at: performance.now() / 1000,
    items: overview.stats.total_images,
    bytes: overview.stats.total_size_bytes,
  });
}

const isOpen = ({ status }: Import): boolean => status === "processing" || status === "paused";

/** As the gateway searches: in names, folders and ids. */
export const matches = (job: Import, { status, q }: ImportFilter): boolean =>
  (!status || job.status === status) &&
  (!q || [job.folder_name, job.folder, job.id].some((text) => text?.toLowerCase().includes(q.toLowerCase())));

/** Newest first, as the gateway orders them. Times are written with as many digits as they have. */
function before(a: Import, b: Import): boolean {
  const apart = Date.parse(a.created_at) - Date.parse(b.created_at);
  return apart === 0 ? a.id > b.id : apart > 0;
}

/** Rows change where they are, and one that matches by now comes in where it belongs, unless that is further down than the list is loaded. A row that no longer matches stays until the list is loaded again, lest rows jump away under the pointer. */
export function patched(data: InfiniteData<ImportPage>, jobs: Map<string, Import>, filter: ImportFilter): InfiniteData<ImportPage> {
  const unseen = new Map(jobs);
  const pages = data.pages.map((page) => ({
    ...page,
    imports: page.imports.map((old) => {
      unseen.delete(old.id);
      return jobs.get(old.id) ?? old;
    }),
  }));
  let joined = 0;
  for (const job of unseen.values()) {
    if (!matches(job, filter)) continue;
    const page = pages.find(({ imports, next_cursor }) => !next_cursor || imports.some((row) => before(job, row)));
    if (!page) continue;
    const place = page.imports.findIndex((row) => before(job, row));
    page.imports.splice(place < 0 ? page.imports.length : place, 0, job);
    joined += 1;
  }
  for (const page of pages) page.total += joined;
  return { ...data, pages };
}

function applyImports(cache: QueryClient, jobs: Map<string, Import>): void {
  for (const job of jobs.values()) {
    takeReading(job);
    cache.setQueryData(["import", job.id], job);
  }
  for (const query of cache.getQueryCache().findAll({ queryKey: ["imports"] })) {
    const filter = query.queryKey[1] as ImportFilter;
    // It is no newer for that: one import's stream tells nothing of the others.
    cache.setQueryData<InfiniteData<ImportPage>>(query.queryKey, (data) => data && patched(data, jobs, filter), { updatedAt: query.state.dataUpdatedAt });
  }
}

/** Whether a list shows an import as under way that is not among those that are, as the stream tells. */
export const isOutdated = (data: InfiniteData<ImportPage> | undefined, open: ReadonlySet<string>): boolean =>
  data?.pages.some((page) => page.imports.some((job) => isOpen(job) && !open.has(job.id))) ?? false;

let stream: Stream | null = null;
let wanted: string | null = null;
let stop = (): void => {};

/** Whether what `path` tells arrives by itself right now. */
export const isFed = (path: string): boolean => wanted === path && state.phase === "open";

/** Follow `path` from now on, and nothing else: browsers allow six connections to one gateway, for all tabs together. */
export function follow(cache: QueryClient, path: string | null): void {
  wanted = path;
  stop();
  if (path === null || document.hidden) return setState({ phase: "idle" });

  const jobs = new Map<string, Import>();
  const open = new Set<string>();
  /** Lists that were asked for once more since the stream opened: not again, for not everything is told of thousands. */
  const compared = new Set<string>();
  let overview: Overview | null = null;
  let timer = 0;
  let check = 0;
  let opened = 0;
  const flush = (): void => {
    timer = 0;
    if (overview) {
      takeOverview(overview);
      cache.setQueryData(["overview"], overview);
      overview = null;
    }
    if (jobs.size > 0) applyImports(cache, jobs);
    jobs.clear();
  };
  const onEvent = (event: ServerEvent): void => {
    if (event.type === "import") {
      const job = JSON.parse(event.data) as Import;
      jobs.set(job.id, job);
      if (isOpen(job)) open.add(job.id);
      else open.delete(job.id);
    } else if (event.type === "overview") overview = JSON.parse(event.data) as Overview;
    else return;
    timer ||= window.setTimeout(flush, BATCH_MS);
  };
  // A list may be answered just before the stream begins, and come after what it tells.
  const compare = (): void => {
    check = 0;
    for (const query of cache.getQueryCache().findAll({ queryKey: ["imports"], type: "active" })) {
      if (compared.has(query.queryHash) || !isOutdated(query.state.data as InfiniteData<ImportPage> | undefined, open)) continue;
      compared.add(query.queryHash);
      void cache.invalidateQueries({ queryKey: query.queryKey }, { cancelRefetch: false });
    }
  };
  const compareSoon = (): void => {
    if (path === ALL_EVENTS) check ||= window.setTimeout(compare, TOLD_MS);
  };
  const unsubscribe = cache.getQueryCache().subscribe((event) => {
    const answered = event.type === "updated" && event.action.type === "success" && !event.action.manual;
    if (answered && event.query.queryKey[0] === "imports" && isFed(path)) compareSoon();
  });
  const onState = (next: StreamState): void => {
    if (next.phase === "open") {
      // What ended meanwhile is in no snapshot.
      if (opened > 0) void cache.invalidateQueries();
      opened += 1;
      compared.clear();
      compareSoon();
    }
    if (next.phase === "ended") flush();
    setState(next);
  };
  const mine = openStream(path, { onEvent, onState });
  stream = mine;
  stop = () => {
    mine.close();
    stream = null;
    clearTimeout(timer);
    clearTimeout(check);
    unsubscribe();
    flush();
    stop = () => {};
  };
}

/** A command is stored at once and carried out a moment later. An import that is over has no stream that would tell, so it is asked until it has changed. */
export async function awaitChange(cache: QueryClient, id: string): Promise<void> {
  const before = cache.getQueryData<Import>(["import", id])?.updated_at;
  const end = Date.now() + CHANGE_MS;
  while (Date.now() < end && wanted === eventsOf(id)) {
    await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    if (cache.getQueryData<Import>(["import", id])?.updated_at !== before) return;
    if (!isFed(eventsOf(id))) await cache.refetchQueries({ queryKey: ["import", id] });
  }
}

export const tryNow = (): void => stream?.hurry();

/** A tab that nobody sees holds no connection; one that is back, or has another key, begins anew. */
export function watchTab(cache: QueryClient): () => void {
  const again = (): void => follow(cache, wanted);
  const seen = (): void => {
    again();
    if (!document.hidden) void cache.invalidateQueries();
  };
  const online = (): void => tryNow();
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", online);
  const forget = apiKey.subscribe(again);
  return () => {
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("online", online);
    forget();
  };
}
