// Calls of the service. Keys stay in the memory of this tab and go into one header.

const STORED_AS = "lineament.key";
const TRIES = 4;

/** An answer that is no success; `code` is stable, `message` is for people, in English. */
export class ApiError extends Error {
  constructor(status, code, message, { details = [], requestId = "", retryAfterS = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, details, requestId, retryAfterS });
  }
}

export function hasKey() {
  return Boolean(sessionStorage.getItem(STORED_AS));
}

/** Use this key from now on; an empty text forgets it. */
export function setKey(key) {
  if (key) sessionStorage.setItem(STORED_AS, key);
  else sessionStorage.removeItem(STORED_AS);
}

/**
 * The answer of a route: JSON as `{ body, requestId }`, anything else as a text.
 *
 * `form`: members of a multipart body, texts or blobs; `json`: a JSON body. What is busy is tried again when it says,
 * `tries` times in all.
 */
export async function call(method, path, { form, json, signal, headers = {}, tries = TRIES } = {}) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await once(method, path, { form, json, signal, headers });
    } catch (error) {
      const waits = error instanceof ApiError && (error.status === 429 || error.code === "not_ready");
      if (!waits || tried >= tries || signal?.aborted) throw error;
      await pause(1000 * Math.max(1, error.retryAfterS), signal);
    }
  }
}

/** JSON of a route. */
export async function get(path, options) {
  return (await call("GET", path, options)).body;
}

/** Wait, or until nobody waits any more. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end); // a view that waits again and again would gather them
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

async function once(method, path, { form, json, signal, headers }) {
  const sent = new Headers(headers);
  const key = sessionStorage.getItem(STORED_AS);
  if (key) sent.set("Authorization", `Bearer ${key}`);
  let body;
  if (form) {
    body = new FormData();
    for (const [name, value] of Object.entries(form)) {
      if (value instanceof Blob) body.append(name, value, "picture");
      else if (value !== undefined && value !== null) body.append(name, String(value));
    }
  } else if (json !== undefined) {
    sent.set("Content-Type", "application/json");
    body = JSON.stringify(json);
  }
  let response;
  try {
    response = await fetch(path, { method, headers: sent, body, signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", String(error.message ?? error));
  }
  return read(response);
}

async function read(response) {
  const requestId = response.headers.get("X-Request-Id") ?? "";
  const retryAfterS = Number(response.headers.get("Retry-After") ?? 0) || 0;
  const kind = response.headers.get("Content-Type") ?? "";
  const raw = await response.text();
  let body = raw;
  if (kind.includes("json") && raw) body = JSON.parse(raw);
  if (response.ok) return { body, requestId };
  const { code = "unknown", message = response.statusText, details = [] } = body?.error ?? {};
  const error = new ApiError(response.status, code, message, {
    details,
    requestId: requestId || body?.request_id,
    retryAfterS,
  });
  if (response.status === 401) window.dispatchEvent(new CustomEvent("key-needed"));
  throw error;
}
