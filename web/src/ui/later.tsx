import { useDeferredValue, useEffect, useState, type ReactNode } from "react";

/** What is below the first screen: rendered right after the rest, in steps that let the browser breathe. */
export function Later({ children }: { children: ReactNode }) {
  return useDeferredValue(true, false) ? children : null;
}

/** When a screen has surely been shown, so that nothing it shows first has to share the line. */
const SHOWN_MS = 1_500;

/** Whether that long has passed: for what is asked for in advance, or is only seen once it is opened. */
export function useShown(): boolean {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), SHOWN_MS);
    return () => clearTimeout(timer);
  }, []);
  return shown;
}
