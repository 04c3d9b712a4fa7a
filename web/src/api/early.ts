// What the screen at this address asks for first is asked for before its code is run.

import type { QueryClient } from "@tanstack/react-query";
import { imageFilter } from "./calls";
import { importQuery, newestImages } from "./queries";

export function askEarly(cache: QueryClient): void {
  const { pathname, search } = location;
  const job = /^\/imports\/([^/]+)$/.exec(pathname)?.[1];
  if (job && isEncoded(job)) void cache.prefetchQuery(importQuery(decodeURIComponent(job)));
  if (pathname === "/gallery") void cache.prefetchQuery(newestImages(imageFilter(new URLSearchParams(search))));
}

/** Whether it can be decoded: people break addresses when they copy them. */
function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
