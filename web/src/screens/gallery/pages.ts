// A million images, a few pages of them in memory: what is in view is asked for, what is not is
// forgotten. Pages are reached by the cursor behind the page before, or by number after a jump.

import { keepPreviousData, useQueries, useQuery, useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { getImages } from "../../api/calls";
import { IMAGES_KEPT_MS, IMAGES_PER_PAGE, newestImages } from "../../api/queries";
import type { ApiError } from "../../api/client";
import type { Image, ImageFilter, ImagePage } from "../../api/types";
import type { Range } from "../../lib/grid";
import { useSettled } from "../../ui/hooks";

/** Pages that are flown over are not asked for. */
const RESTING_MS = 80;

const pagesOf = ({ first, end }: Range): number[] => {
  const pages: number[] = [];
  for (let page = Math.floor(first / IMAGES_PER_PAGE); page * IMAGES_PER_PAGE < end; page += 1) pages.push(page);
  return pages;
};

export interface Images {
  total: number | undefined;
  at(index: number): Image | undefined;
  /** Whether one of those in memory is such. */
  some(such: (image: Image) => boolean): boolean;
  /** Everything is as old as this page's answer; there may be more by now. */
  refresh(): void;
  error: Error | null;
  pending: boolean;
}

/** The first page tells how many there are. */
export function useFirstPage(filter: ImageFilter) {
  const key = JSON.stringify(filter);
  const [total, setTotal] = useState<{ key: string; n: number }>();
  const query = useQuery({
    ...newestImages(filter),
    placeholderData: keepPreviousData,
    refetchInterval: (query) => ((query.state.error as ApiError | null)?.passing ? 5_000 : false),
  });
  const newest = query.isPlaceholderData ? undefined : query.data?.total;
  useEffect(() => {
    if (newest !== undefined) setTotal({ key, n: newest });
  }, [key, newest]);
  return { query, total: newest ?? total?.n ?? query.data?.total };
}

export function useImages(filter: ImageFilter, { query: first, total }: ReturnType<typeof useFirstPage>, range: Range, open: number | null): Images {
  const cache = useQueryClient();
  const key = JSON.stringify(filter);
  const cursors = useRef({ key, at: new Map<number, string>() });
  if (cursors.current.key !== key) cursors.current = { key, at: new Map() };

  async function fetchPage(page: number, signal: AbortSignal): Promise<ImagePage> {
    const known = cursors.current;
    const before = cache.getQueryState<ImagePage>(["images", filter, page - 1]);
    // The end of a page that is about to change is the beginning of none.
    const end = before?.isInvalidated || before?.fetchStatus !== "idle" ? undefined : before.data?.next_cursor;
    const cursor = known.at.get(page) ?? end;
    const answer = await getImages(filter, cursor ? { cursor } : { page: page + 1 }, IMAGES_PER_PAGE, signal);
    if (answer.next_cursor) known.at.set(page + 1, answer.next_cursor);
    return answer;
  }

  const wanted = pagesOf(range).filter((page) => page > 0);
  if (open !== null && open >= IMAGES_PER_PAGE) wanted.push(Math.floor(open / IMAGES_PER_PAGE));
  const resting = useSettled([...new Set(wanted)].join(), RESTING_MS);
  const pages = useMemo(() => resting.split(",").filter(Boolean).map(Number), [resting]);
  const more: UseQueryResult<ImagePage>[] = useQueries({
    queries: pages.map((page) => ({
      queryKey: ["images", filter, page],
      queryFn: ({ signal }: { signal: AbortSignal }) => fetchPage(page, signal),
      gcTime: IMAGES_KEPT_MS,
      staleTime: Infinity,
      refetchInterval: (query: { state: { error: Error | null } }) => ((query.state.error as ApiError | null)?.passing ? 5_000 : false),
    })),
  });

  const refresh = useCallback(() => {
    cursors.current.at.clear();
    cache.removeQueries({ queryKey: ["images"], type: "inactive" });
    void cache.invalidateQueries({ queryKey: ["images"] });
  }, [cache]);

  const loaded = new Map<number, ImagePage>();
  if (first.data) loaded.set(0, first.data);
  pages.forEach((page, n) => {
    const data = more[n]?.data;
    if (data) loaded.set(page, data);
  });
  const failed = [first, ...more].find((query) => query.error);
  return {
    total,
    at: (index) => loaded.get(Math.floor(index / IMAGES_PER_PAGE))?.images[index % IMAGES_PER_PAGE],
    some: (such) => [...loaded.values()].some((page) => page.images.some(such)),
    refresh,
    error: failed?.error ?? null,
    pending: first.isPending || first.isPlaceholderData,
  };
}

/** How many match by now, as often as `moved` changes; the snapshot on the screen stays as it is. */
export function useTotal(filter: ImageFilter, moved: number | undefined, enabled: boolean): number | undefined {
  return useQuery({
    queryKey: ["images-total", filter, moved],
    queryFn: async ({ signal }) => (await getImages(filter, { cursor: null }, 1, signal)).total,
    enabled: enabled && moved !== undefined,
    gcTime: 0,
    placeholderData: keepPreviousData,
  }).data;
}
