import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef, useState, type FormEvent } from "react";
import { useLocation } from "wouter";
import { startImport, type NewImport } from "../api/calls";
import { randomKey } from "../api/client";
import { useMayWrite } from "../api/queries";
import { readFolder } from "../lib/folder";
import { Button } from "../ui/button";
import { Icon } from "../ui/icon";
import { Problem } from "../ui/problem";

const SHARE = "Share the folder with “Anyone with the link”, or with the account Imagefleet signs in as.";

export function Start() {
  const [text, setText] = useState("");
  const [recursive, setRecursive] = useState(true);
  const [unchanged, setUnchanged] = useState(true);
  const [prefix, setPrefix] = useState("");
  const [pressed, setPressed] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  // The same attempt keeps its key, so that a second click after a lost answer starts nothing twice.
  const attempt = useRef({ body: "", key: "" });
  const [, navigate] = useLocation();
  const cache = useQueryClient();
  const mayWrite = useMayWrite();
  const start = useMutation({
    mutationFn: (body: NewImport) => {
      const wire = JSON.stringify(body);
      if (attempt.current.body !== wire) attempt.current = { body: wire, key: randomKey() };
      return startImport(body, attempt.current.key);
    },
    onSuccess: ({ job_id }) => {
      attempt.current = { body: "", key: "" };
      void cache.invalidateQueries({ queryKey: ["imports"] });
      navigate(`/imports/${encodeURIComponent(job_id)}`);
    },
  });

  const folder = readFolder(text);
  const problem = folder.ok ? "" : folder.problem || (pressed ? "Paste a folder link first." : "");
  function submit(event: FormEvent): void {
    event.preventDefault();
    setPressed(true);
    if (!folder.ok) {
      input.current?.focus();
      return;
    }
    const body: NewImport = { folder_url: text.trim(), recursive, skip_unchanged: unchanged };
    if (prefix.trim()) body.destination_prefix = prefix.trim();
    start.mutate(body);
  }

  return (
    <section className="card start" aria-labelledby="start-title">
      <h1 id="start-title">Import a Google Drive folder</h1>
      <form onSubmit={submit} noValidate>
        <label htmlFor="folder" className="hidden-text">
          Folder link
        </label>
        <div className="start-row">
          <input
            id="folder"
            ref={input}
            type="text"
            inputMode="url"
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setPressed(false);
              start.reset();
            }}
            placeholder="https://drive.google.com/drive/folders/…"
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            maxLength={2048}
            aria-invalid={problem !== "" || undefined}
            aria-describedby="folder-hint"
            data-search
          />
          <Button look="primary" type="submit" busy={start.isPending} blocked={mayWrite ? undefined : "This API key may only read"}>
            {start.isPending ? "Starting…" : "Import"}
          </Button>
        </div>
        <p id="folder-hint" className={`hint ${folder.ok ? "good" : problem ? "bad" : ""}`} aria-live="polite">
          {folder.ok ? (
            <>
              <Icon name="check" />
              <span>
                Folder <code>{folder.id}</code>
              </span>
            </>
          ) : (
            problem || (mayWrite ? SHARE : "This API key may only read: it starts no imports.")
          )}
        </p>
        <details className="fold">
          <summary>Options</summary>
          <div className="options">
            <label className="check">
              <input type="checkbox" checked={recursive} onChange={(event) => setRecursive(event.target.checked)} />
              Include subfolders
            </label>
            <label className="check">
              <input type="checkbox" checked={unchanged} onChange={(event) => setUnchanged(event.target.checked)} />
              Skip files that are unchanged since an earlier import
            </label>
            <label className="field">
              Folder in the bucket
              <input type="text" value={prefix} onChange={(event) => setPrefix(event.target.value)} placeholder="top level" autoComplete="off" autoCapitalize="off" spellCheck={false} maxLength={200} />
            </label>
          </div>
        </details>
        {start.error && <Problem error={start.error} />}
      </form>
    </section>
  );
}
