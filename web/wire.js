/**
 * What every part that talks to the server shares: refusals, ids, one HTTP call.
 *
 * Absent: any state.
 */

/** How long an answer may take. */
export const REPLY_MS = 15_000;

/** A refusal, from HTTP or from the socket; `code` is the protocol's, or `unreachable`, `closed`, `timeout`. */
export class Refusal extends Error {
  constructor(code, message, details = {}) {
    super(message || code);
    this.code = code;
    Object.assign(this, details);
  }
}

/** A random UUID, also where the page is not a secure context. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Posts JSON and gives the JSON answer, or throws a `Refusal`. */
export async function post(path, body, token) {
  let response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REPLY_MS),
    });
  } catch {
    throw new Refusal('unreachable', 'The server cannot be reached.', { status: 0 });
  }
  const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Refusal(answer.code ?? `http_${response.status}`, answer.detail ?? answer.title, {
    status: response.status,
    retry_after_ms: answer.retry_after_ms ?? (Number(response.headers.get('retry-after')) * 1000 || undefined),
  });
}
