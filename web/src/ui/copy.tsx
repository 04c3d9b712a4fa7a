import { useEffect, useState } from "react";
import { Button } from "./button";

/** Also where the clipboard is not to be had: plain http on another machine. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.readOnly = true;
    area.className = "hidden-text";
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    const focused = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return done;
  }
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [state, setState] = useState<"idle" | "done" | "failed">("idle");
  useEffect(() => {
    if (state === "idle") return undefined;
    const timer = setTimeout(() => setState("idle"), 2500);
    return () => clearTimeout(timer);
  }, [state]);
  return (
    <Button look="ghost" icon={state === "done" ? "check" : "copy"} aria-label={`Copy ${label}`} onClick={async () => setState((await copyText(text)) ? "done" : "failed")}>
      <span role="status">{state === "done" ? "Copied" : state === "failed" ? "Select and copy by hand" : "Copy"}</span>
    </Button>
  );
}
