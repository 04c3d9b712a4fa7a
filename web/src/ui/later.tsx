import { useDeferredValue, type ReactNode } from "react";

/** What is below the first screen: rendered right after the rest, in steps that let the browser breathe. */
export function Later({ children }: { children: ReactNode }) {
  return useDeferredValue(true, false) ? children : null;
}
