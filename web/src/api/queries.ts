// What screens read: from the cache that the stream feeds, or by asking while nothing feeds it.

import { keepPreviousData, queryOptions, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import * as calls from "./calls";
import type { ApiError } from "./client";
import type { ImageFilter } from "./types";
import { ALL_EVENTS, eventsOf, follow, isFed, takeOverview, takeReading, useLive } from "./live";

const POLL_MS = 3_000;
const AFTER_ERROR_MS = 5_000;

/** How soon to ask again: never while a stream tells, sooner after an error that may pass. */
function every(ms: number | false) {
  return (query: { state: { error: Error | null } }): number | false => {
    const error = query.state.error as ApiError | null;
    if (error) return error.passing ? AFTER_ERROR_MS : false;
    return ms;
  };
}

export function useSession() {
  return useQuery({ queryKey: ["session"], queryFn: ({ signal }) => calls.getSession(signal), staleTime: 60_000, refetchInterval: every(false) });
}

/** Whether this browser may change anything; assumed until the gateway has said. */
export function useMayWrite(): boolean {
  const { data } = useSession();
  return data?.scopes.includes("write") ?? true;
}

export function useNeedsKey(): boolean {
  return useSession().data?.authentication === "key";
}

export function useOverview() {
  useLive();
  return useQuery({
    queryKey: ["overview"],
    queryFn: async ({ signal }) => {
      const overview = await calls.getOverview(signal);
      takeOverview(overview);
      return overview;
    },
    refetchInterval: every(isFed(ALL_EVENTS) ? false : POLL_MS),
  });
}

export function useImports(filter: calls.ImportFilter) {
  useLive();
  return useInfiniteQuery({
    queryKey: ["imports", filter],
    queryFn: ({ pageParam, signal }) => calls.getImports(filter, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: keepPreviousData,
    refetchInterval: every(isFed(ALL_EVENTS) ? false : POLL_MS),
  });
}

export const importQuery = (id: string) =>
  queryOptions({
    queryKey: ["import", id],
    queryFn: async ({ signal }) => {
      const job = await calls.getImport(id, signal);
      takeReading(job);
      return job;
    },
  });

/** How long a page of the gallery that is out of view is kept. */
export const IMAGES_KEPT_MS = 20_000;
/** Images on one page of the gallery. */
export const IMAGES_PER_PAGE = 100;

/** The gallery's first page. */
export const newestImages = (filter: ImageFilter) =>
  queryOptions({
    queryKey: ["images", filter, 0],
    queryFn: ({ signal }) => calls.getImages(filter, { cursor: null }, IMAGES_PER_PAGE, signal),
    staleTime: Infinity,
    gcTime: IMAGES_KEPT_MS,
  });

export function useImport(id: string) {
  useLive();
  return useQuery({
    ...importQuery(id),
    refetchInterval: (query) => {
      const job = query.state.data;
      const moving = job?.status === "processing";
      return every(isFed(eventsOf(id)) ? false : moving ? POLL_MS : 15_000)(query);
    },
    // The tab's title tells how far it is.
    refetchIntervalInBackground: true,
  });
}

/** An import that was over and moves again, by a retry of anybody's, is followed again. */
export function useReopened(id: string): void {
  const cache = useQueryClient();
  const live = useLive();
  const open = ["processing", "paused"].includes(useImport(id).data?.status ?? "");
  useEffect(() => {
    if (open && live.phase === "ended") follow(cache, eventsOf(id));
  }, [cache, id, open, live.phase]);
}

export function useFailures(id: string, enabled: boolean) {
  return useQuery({
    queryKey: ["failures", id],
    queryFn: ({ signal }) => calls.getFailures(id, signal),
    enabled,
    refetchInterval: every(false),
  });
}

/** The newest images of one import. */
export function useNewest(id: string, howMany: number) {
  return useQuery({
    queryKey: ["newest", id],
    queryFn: ({ signal }) => calls.getImages({ import: id }, { cursor: null }, howMany, signal),
    refetchInterval: every(false),
  });
}

export function useFailedItems(id: string, cause: string, enabled: boolean) {
  return useInfiniteQuery({
    queryKey: ["failed-items", id, cause],
    queryFn: ({ pageParam, signal }) => calls.getFailedItems(id, cause, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    enabled,
  });
}

export function useItems(id: string, state: string, enabled: boolean) {
  return useInfiniteQuery({
    queryKey: ["items", id, state],
    queryFn: ({ pageParam, signal }) => calls.getItems(id, state, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: keepPreviousData,
    enabled,
    refetchInterval: every(false),
  });
}

export function useItem(id: string, item: string) {
  return useQuery({
    queryKey: ["item", id, item],
    queryFn: ({ signal }) => calls.getItem(id, item, signal),
    refetchInterval: (query) => {
      const state = query.state.data?.state;
      return every(state === "queued" || state === "retrying" ? 2_000 : false)(query);
    },
  });
}
