import { useEffect, useRef, useState } from "react";
import { Icon } from "./icon";

const TYPING_MS = 300;

/** What is typed counts once typing rests; Enter and Esc at once. */
export function SearchField({ label, placeholder, value, onChange }: { label: string; placeholder: string; value: string; onChange: (value: string | undefined) => void }) {
  const [text, setText] = useState(value);
  const sent = useRef(value);
  const timer = useRef(0);
  // The address changed by other means: back, or a link.
  useEffect(() => {
    if (value === sent.current) return;
    sent.current = value;
    setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  function send(next: string): void {
    clearTimeout(timer.current);
    sent.current = next.trim();
    onChange(next.trim() || undefined);
  }
  return (
    <div className="search">
      <Icon name="search" />
      <input
        type="search"
        aria-label={label}
        placeholder={placeholder}
        value={text}
        maxLength={200}
        autoComplete="off"
        spellCheck={false}
        data-search
        onChange={(event) => {
          const next = event.target.value;
          setText(next);
          clearTimeout(timer.current);
          timer.current = window.setTimeout(() => send(next), TYPING_MS);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") send(text);
          if (event.key === "Escape") {
            setText("");
            send("");
            event.currentTarget.blur();
          }
        }}
      />
    </div>
  );
}
