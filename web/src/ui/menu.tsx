import { useEffect, useId, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { Button } from "./button";
import type { IconName } from "./icon";

interface Props {
  label: string;
  icon?: IconName;
  compact?: boolean;
  children: ReactNode;
}

/** Pixels that stay free at the window's edge. */
const EDGE = 8;

/** Buttons and links that unfold under a button, and fold again when something else is wanted. */
export function Menu({ label, icon = "down", compact = false, children }: Props) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const id = useId();
  // It unfolds to the left, as most stand at the right; one that would leave the window does not.
  useLayoutEffect(() => {
    if (!open || !panel.current) return;
    panel.current.style.right = "";
    panel.current.style.right = `${Math.min(0, panel.current.getBoundingClientRect().left - EDGE)}px`;
  }, [open]);
  const trigger = (): HTMLElement | null => box.current?.querySelector("button") ?? null;
  useEffect(() => {
    if (!open) return undefined;
    const away = (event: Event): void => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("focusin", away);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("focusin", away);
    };
  }, [open]);
  return (
    <div
      className="menu"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
        trigger()?.focus();
      }}
    >
      <Button icon={icon} compact={compact} aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        {label}
      </Button>
      <div
        id={id}
        ref={panel}
        className="menu-panel"
        hidden={!open}
        onClick={() => {
          // Not left on what is hidden now: a dialog gives the focus back to where it was.
          trigger()?.focus();
          setOpen(false);
        }}
      >
        {children}
      </div>
    </div>
  );
}
