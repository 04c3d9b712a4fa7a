// Server-sent events over fetch, which unlike EventSource can send the API key, tell a 401 from an
// outage, and notice a connection that has silently died.

import { sseParser, type ServerEvent } from "../lib/sse";
import { ApiError, asApiError, send } from "./client";

/** The server says something every 15 seconds. */
const SILENCE_MS = 40_000;
const RETRY_MS = 2_000;
const RETRY_MAX_MS = 15_000;

export type StreamState =
  | { phase: "connecting" | "open" | "ended" }
  | { phase: "waiting"; problem: ApiError; until: number }
  /** Asking again would not help. */
  | { phase: "refused"; problem: ApiError };

export interface StreamHandlers {
  onEvent(event: ServerEvent): void;
  onState(state: StreamState): void;
}

export interface Stream {
  close(): void;
  /** Try again now instead of when the wait is over. */
  hurry(): void;
}

export function openStream(path: string, { onEvent, onState }: StreamHandlers): Stream {
  const closed = new AbortController();
  let hurry = (): void => {};
  let lastId = "";
  let retry = RETRY_MS;

  /** One connection, to its end: whether the server said that nothing more comes. */
  async function connect(heard: () => void): Promise<boolean> {
    const attempt = new AbortController();
    const abort = (): void => attempt.abort();
    closed.signal.addEventListener("abort", abort);
    let watchdog = setTimeout(abort, SILENCE_MS);
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (lastId) headers["Last-Event-ID"] = lastId;
      const response = await send(path, { headers, signal: attempt.signal });
      if (!response.body) throw new ApiError(0, "The gateway sends no live updates");
      onState({ phase: "open" });
      const parser = sseParser();
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return false;
        heard();
        clearTimeout(watchdog);
        watchdog = setTimeout(abort, SILENCE_MS);
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
          if (event.id) lastId = event.id;
          if (event.type === "end") return true;
          onEvent(event);
        }
        retry = parser.retry ?? retry;
      }
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new ApiError(0, "The gateway cannot be reached", "The connection broke. This page keeps trying.");
    } finally {
      clearTimeout(watchdog);
      attempt.abort();
      closed.signal.removeEventListener("abort", abort);
    }
  }

  async function wait(ms: number, problem: ApiError): Promise<void> {
    onState({ phase: "waiting", problem, until: Date.now() + ms });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    hurry = () => {};
  }

  async function run(): Promise<void> {
    for (let failures = 0; !closed.signal.aborted; ) {
      onState({ phase: "connecting" });
      try {
        if (await connect(() => (failures = 0))) return onState({ phase: "ended" });
        // A server that goes away says so, and is soon back.
        if (!closed.signal.aborted) await wait(Math.min(retry, 500 * 2 ** failures), new ApiError(0, "The gateway is restarting", "This page connects again by itself."));
        failures += 1;
      } catch (error) {
        if (closed.signal.aborted) return;
        const problem = asApiError(error);
        if (!problem.passing) return onState({ phase: "refused", problem });
        const pause = Math.min(RETRY_MAX_MS, Math.max(retry * 2 ** Math.min(failures, 5) * (0.75 + Math.random() / 2) * 0.5, problem.retryAfter * 1000));
        failures += 1;
        await wait(pause, problem);
      }
    }
  }

  void run();
  return {
    close() {
      closed.abort();
      hurry();
    },
    hurry: () => hurry(),
  };
}
