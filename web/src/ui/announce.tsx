// What screen readers hear, and what pops up for everybody: results of what was asked for.

import { useEffect, useSyncExternalStore } from "react";
import { Button } from "./button";

/** Progress is told at most this often. */
const QUIET_MS = 10_000;
const SHOWN_MS = 8_000;

interface Notice {
  id: number;
  text: string;
}

let spoken = "";
let spokenAt = 0;
let later = 0;
let notice: Notice | null = null;
const listeners = new Set<() => void>();
const changed = (): void => {
  for (const listener of listeners) listener();
};
const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

/** Say it when there has been silence for a while; of several texts meanwhile, the last one. */
export function announce(text: string): void {
  clearTimeout(later);
  const speak = (): void => {
    if (text === spoken) return;
    spoken = text;
    spokenAt = Date.now();
    changed();
  };
  const wait = spokenAt + QUIET_MS - Date.now();
  if (wait <= 0) speak();
  else later = window.setTimeout(speak, wait);
}

/** Say and show it now. */
export function notify(text: string): void {
  notice = { id: (notice?.id ?? 0) + 1, text };
  changed();
}

function dismiss(): void {
  notice = null;
  changed();
}

export function Announcements() {
  const text = useSyncExternalStore(subscribe, () => spoken);
  const shown = useSyncExternalStore(subscribe, () => notice);
  useEffect(() => {
    if (!shown) return undefined;
    const timer = setTimeout(dismiss, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [shown]);
  return (
    <>
      <div className="hidden-text" role="status" aria-live="polite" data-testid="announcer">
        {text}
      </div>
      <div className="notices" role="status" aria-live="polite">
        {shown && (
          <div className="notice" key={shown.id}>
            <p>{shown.text}</p>
            <Button look="ghost" icon="cross" compact onClick={dismiss}>
              Dismiss
            </Button>
          </div>
        )}
      </div>
    </>
  );
}
