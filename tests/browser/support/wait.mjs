/**
 * Bounds. Every wait of the browser tests has one, and nothing sleeps.
 */
export const STEP_MS = Number(process.env.PARLOR_STEP_MS ?? 20_000);
/** Above the longest wait of the client between two attempts. */
export const RECONNECT_MS = 45_000;

/** Above the time for an answer after the browser has told that the network is gone, and below that of a silence. */
export const NOTICED_MS = 15_000;

/** Waits for something at most so long. */
export function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not in ${ms} ms: ${what}`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks again at each turn until the answer is one, at most so long. */
export async function until(ask, what, ms = STEP_MS) {
  const end = performance.now() + ms;
  let last;
  while (performance.now() < end) {
    last = await ask();
    if (last) return last;
    await new Promise((done) => { setTimeout(done, 25); });
  }
  throw new Error(`not in ${ms} ms: ${what}`);
}
