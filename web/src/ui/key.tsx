import { useQueryClient } from "@tanstack/react-query";
import { useState, useSyncExternalStore, type FormEvent } from "react";
import { apiKey } from "../api/client";
import { Button } from "./button";
import { Dialog } from "./dialog";

let asked: "no" | "by gateway" | "by hand" = "no";
/** Who closed the dialog is not asked again by each further 401. */
let declined = false;
const listeners = new Set<() => void>();
const set = (next: typeof asked): void => {
  asked = next;
  for (const listener of listeners) listener();
};
const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export function askForKey(byHand = false): void {
  if (asked !== "no" || (declined && !byHand)) return;
  set(byHand ? "by hand" : "by gateway");
}

export const useHasKey = (): boolean => useSyncExternalStore(apiKey.subscribe, () => apiKey.get() !== "");

export function KeyDialog() {
  const reason = useSyncExternalStore(subscribe, () => asked);
  const cache = useQueryClient();
  const [key, setKey] = useState("");
  if (reason === "no") return null;
  const refused = reason === "by gateway" && apiKey.get() !== "";

  function close(): void {
    declined = true;
    setKey("");
    set("no");
  }
  function use(value: string): void {
    declined = value === "";
    apiKey.set(value);
    setKey("");
    set("no");
    void cache.resetQueries();
  }
  function submit(event: FormEvent): void {
    event.preventDefault();
    if (key.trim()) use(key.trim());
  }
  return (
    <Dialog title="API key" onClose={close} first>
      <form onSubmit={submit} className="stack">
        <p>{refused ? "The gateway refused this key. Enter another one." : "This gateway asks for a key."} It is kept in this tab only, until you close it.</p>
        <label className="field">
          Key
          <input type="password" value={key} onChange={(event) => setKey(event.target.value)} autoComplete="off" spellCheck={false} data-first maxLength={1024} />
        </label>
        <div className="row end">
          {apiKey.get() !== "" && <Button onClick={() => use("")}>Forget the key</Button>}
          <Button look="primary" type="submit" blocked={key.trim() ? undefined : "Enter a key first"}>
            Use key
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
