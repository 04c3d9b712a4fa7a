// Server-sent events from chunks of text (HTML standard, section 9.2.6).

export interface ServerEvent {
  type: string;
  data: string;
  /** The last id sent so far; empty if there is none. */
  id: string;
}

export interface SseParser {
  push(chunk: string): ServerEvent[];
  /** How long to wait before connecting again, if the server said so. */
  readonly retry: number | null;
}

export function sseParser(): SseParser {
  let rest = "";
  let begun = false;
  let type = "";
  let data: string[] = [];
  let id = "";
  let retry: number | null = null;

  function line(text: string, out: ServerEvent[]): void {
    if (text === "") {
      if (data.length > 0) out.push({ type: type || "message", data: data.join("\n"), id });
      type = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") type = value;
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "retry" && /^\d+$/.test(value)) retry = Number(value);
  }

  return {
    push(chunk) {
      const out: ServerEvent[] = [];
      rest += chunk;
      if (!begun && rest.length > 0) {
        begun = true;
        rest = rest.replace(/^\uFEFF/, "");
      }
      // A carriage return at the very end may be half of a line's end.
      for (;;) {
        const end = /\r\n|\n|\r(?!$)/.exec(rest);
        if (!end) return out;
        const text = rest.slice(0, end.index);
        rest = rest.slice(end.index + end[0].length);
        line(text, out);
      }
    },
    get retry() {
      return retry;
    },
  };
}
