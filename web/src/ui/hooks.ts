import { useCallback, useEffect, useRef, useState } from "react";
import { useLocation, useSearch } from "wouter";

/** The time, every `ms`, while anybody looks. */
export function useNow(ms: number, running = true): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) setNow(Date.now());
    }, ms);
    return () => clearInterval(timer);
  }, [ms, running]);
  return now;
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Imagefleet` : "Imagefleet";
  }, [title]);
}

/** `value`, once it has not changed for `ms`. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

type Params = Record<string, string | undefined>;

/** The query string, and a way to change some of it. */
export function useQueryParams(): [URLSearchParams, (changes: Params, push?: boolean) => void] {
  const search = useSearch();
  const [path, navigate] = useLocation();
  const params = new URLSearchParams(search);
  function change(changes: Params, push = false): void {
    const next = new URLSearchParams(search);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    const text = next.toString();
    navigate(text ? `${path}?${text}` : path, { replace: !push });
  }
  return [params, change];
}

/** Calls `effect` when `value` is another than before, but not at first. */
export function useChanged<T>(value: T, effect: (before: T) => void): void {
  const before = useRef(value);
  useEffect(() => {
    if (before.current === value) return;
    const old = before.current;
    before.current = value;
    effect(old);
  });
}

/** One function for good that calls the latest `act`: what is given it need not be rendered anew. */
export function useLatest<A extends unknown[]>(act: (...all: A) => void): (...all: A) => void {
  const latest = useRef(act);
  useEffect(() => {
    latest.current = act;
  });
  return useCallback((...all: A) => latest.current(...all), []);
}

/** `value`, but a new one at most every `ms`; the last one always comes through. */
export function useThrottled<T>(value: T, ms: number): T {
  const [shown, setShown] = useState(value);
  const at = useRef(0);
  useEffect(() => {
    const show = (): void => {
      at.current = Date.now();
      setShown(value);
    };
    const wait = at.current + ms - Date.now();
    const timer = setTimeout(show, Math.max(0, wait));
    return () => clearTimeout(timer);
  }, [value, ms]);
  return shown;
}
