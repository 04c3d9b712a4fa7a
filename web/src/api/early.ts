// What the screen at this address asks for first is asked for before its code is run.

import type { QueryClient } from "@tanstack/react-query";
import { imageFilter } from "./calls";
import { importQuery, newestImages } from "./queries";

export function askEarly(cache: QueryClient): void {
  const { pathname, search } = location;
  const job = decoded(/^\/imports\/([^/]+)$/.exec(pathname)?.[1] ?? "");
  if (job) void cache.prefetchQuery(importQuery(job));
  if (pathname === "/gallery") void cache.prefetchQuery(newestImages(imageFilter(new URLSearchParams(search))));
}

/** Empty for what cannot be decoded: people break addresses when they copy them. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
