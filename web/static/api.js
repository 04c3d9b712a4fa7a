// Requests to the gateway: the API key, and errors that say what to do.

const KEY = "imagefleet.api-key";

export const apiKey = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  },
};

export class ApiError extends Error {
  constructor({ status = 0, title, detail, code = "", requestId = "", retryAfter = 0 }) {
    super(detail || title);
    Object.assign(this, { status, title, detail, code, requestId, retryAfter });
  }
}

async function send(path, options = {}) {
  const headers = new Headers(options.headers);
  if (apiKey.get()) headers.set("Authorization", `Bearer ${apiKey.get()}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "omit" });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ApiError({ title: "The gateway cannot be reached", detail: "Check that it runs and that you are online. This page keeps trying." });
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ApiError({
    status: response.status,
    title: problem.title ?? `The gateway answered ${response.status}`,
    detail: problem.detail ?? problem.error ?? "",
    code: problem.code,
    requestId: problem.request_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter: Number(response.headers.get("retry-after")) || 0,
  });
}

const json = async (path, options) => (await send(path, options)).json();
const id = encodeURIComponent;

export const getStats = (signal) => json("/api/stats", { signal });
export const getImports = (perPage, signal) => json(`/api/imports?per_page=${perPage}`, { signal });
export const getStatus = (job, signal) => json(`/api/import/status/${id(job)}`, { signal });
export const getFailures = (job, signal) => json(`/api/imports/${id(job)}/failures`, { signal });
export const getBlob = async (path, signal) => (await send(path, { signal })).blob();

const post = (path, body, idempotencyKey) =>
  json(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey },
    body: JSON.stringify(body),
  });

export const startImport = (body, idempotencyKey) => post("/api/import/google-drive", body, idempotencyKey);
export const command = (job, action, body, idempotencyKey) => post(`/api/imports/${id(job)}/${action}`, body, idempotencyKey);

// Works on plain http too, where crypto.randomUUID does not exist.
export function randomKey() {
  const raw = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
