// Requests to the gateway: the API key, and errors that say what to do.

const KEY = "imagefleet.api-key";

type Listener = () => void;
const listeners = new Set<Listener>();

/** Kept in this tab only, until it is closed. */
export const apiKey = {
  get: (): string => sessionStorage.getItem(KEY) ?? "",
  set(value: string): void {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
    for (const listener of listeners) listener();
  },
  subscribe(listener: Listener): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

interface ProblemBody {
  title?: string;
  detail?: string;
  error?: string;
  code?: string;
  request_id?: string;
}

export class ApiError extends Error {
  /** 0 where no answer came. */
  readonly status: number;
  readonly title: string;
  readonly code: string;
  readonly requestId: string;
  /** Seconds, if the gateway named them. */
  readonly retryAfter: number;

  constructor(status: number, title: string, detail = "", more: { code?: string; requestId?: string; retryAfter?: number } = {}) {
    super(detail || title);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
    this.code = more.code ?? "";
    this.requestId = more.requestId ?? "";
    this.retryAfter = more.retryAfter ?? 0;
  }

  /** Whether asking again later may help. */
  get passing(): boolean {
    return this.status === 0 || this.status >= 500 || this.status === 429 || this.status === 408;
  }
}

export const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError(-1, "Something went wrong in this page", String(error));

const UNREACHABLE = "Check that it runs and that you are online. This page keeps trying.";

export interface Options {
  method?: "GET" | "POST" | "DELETE";
  headers?: Record<string, string>;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

export async function send(path: string, { method = "GET", headers = {}, body, signal }: Options = {}): Promise<Response> {
  const head = new Headers(headers);
  if (apiKey.get()) head.set("Authorization", `Bearer ${apiKey.get()}`);
  if (body !== undefined) head.set("Content-Type", "application/json");
  let response: Response;
  try {
    const init: RequestInit = { method, headers: head, signal: signal ?? null };
    if (body !== undefined) init.body = JSON.stringify(body);
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The gateway cannot be reached", UNREACHABLE);
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as ProblemBody;
  throw new ApiError(response.status, problem.title ?? `The gateway answered ${response.status}`, problem.detail ?? problem.error, {
    code: problem.code ?? "",
    requestId: problem.request_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter: Number(response.headers.get("retry-after")) || 0,
  });
}

export async function json<T>(path: string, options?: Options): Promise<T> {
  const response = await send(path, options);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    // It broke off within the body.
    throw new ApiError(0, "The gateway cannot be reached", UNREACHABLE);
  }
}

/** Works on plain http too, where crypto.randomUUID does not exist. */
export function randomKey(): string {
  const raw = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Repeating such a request with the same key does nothing twice. */
export const post = <T>(path: string, body: unknown, key: string = randomKey()): Promise<T> =>
  json<T>(path, { method: "POST", body, headers: { "Idempotency-Key": key } });

/** A path with the parameters that have a value. */
export function withQuery(path: string, params: Record<string, string | number | null | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
