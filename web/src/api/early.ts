// What the screen at this address asks for first is asked for before its code is run.

import type { QueryClient } from "@tanstack/react-query";
import { imageFilter } from "./calls";
import { importQuery, newestImages } from "./queries";

/** Resolves once it is answered, or cannot be. */
export async function askEarly(cache: QueryClient): Promise<void> {
  const { pathname, search } = location;
  const job = decoded(/^\/imports\/([^/]+)$/.exec(pathname)?.[1] ?? "");
  if (job) await cache.prefetchQuery(importQuery(job));
  if (pathname === "/gallery") await cache.prefetchQuery(newestImages(imageFilter(new URLSearchParams(search))));
}

/** Empty for what cannot be decoded: people break addresses when they copy them. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
