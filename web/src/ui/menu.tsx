import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { Button } from "./button";
import type { IconName } from "./icon";

interface Props {
  label: string;
  icon?: IconName;
  compact?: boolean;
  children: ReactNode;
}

/** Buttons and links that unfold under a button, and fold again when something else is wanted. */
export function Menu({ label, icon = "down", compact = false, children }: Props) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
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
        box.current?.querySelector("button")?.focus();
      }}
    >
      <Button icon={icon} compact={compact} aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        {label}
      </Button>
      <div id={id} className="menu-panel" hidden={!open} onClick={() => setOpen(false)}>
        {children}
      </div>
    </div>
  );
}
