// Single-key shortcuts. They can be switched off (WCAG 2.1.4), and never act while somebody types.

import { useEffect, useRef, useSyncExternalStore } from "react";

const OFF = "imagefleet.shortcuts-off";
const handlers = new Map<string, (() => void)[]>();
const listeners = new Set<() => void>();

export const shortcuts = {
  on: (): boolean => localStorage.getItem(OFF) === null,
  set(on: boolean): void {
    if (on) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
    for (const listener of listeners) listener();
  },
};

export const useShortcutsOn = (): boolean =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    shortcuts.on,
  );

const types = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

export function watchKeys(): () => void {
  const down = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (types(event.target) || document.querySelector("dialog[open]") || !shortcuts.on()) return;
    const handler = handlers.get(event.key)?.at(-1);
    if (!handler) return;
    event.preventDefault();
    handler();
  };
  document.addEventListener("keydown", down);
  return () => document.removeEventListener("keydown", down);
}

/** While mounted, `key` does this; the one mounted last counts. */
export function useShortcut(key: string, handler: () => void): void {
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  useEffect(() => {
    const run = (): void => latest.current();
    const known = handlers.get(key) ?? [];
    handlers.set(key, [...known, run]);
    return () => {
      handlers.set(key, (handlers.get(key) ?? []).filter((each) => each !== run));
    };
  }, [key]);
}

/** Moves the focus among what is marked as a row. */
export function moveRow(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

export function focusSearch(): void {
  document.querySelector<HTMLInputElement>("[data-search]")?.focus();
}
