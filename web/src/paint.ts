/**
 * Tells views that something has changed, once a frame at most: a thousand events in a burst are one rendering.
 *
 * Drawing takes at most half of the page's time. Where a frame takes long and events keep coming, the page would otherwise do little else than
 * draw, and fall ever further behind.
 */
import { batch, signal, type Signal } from '@preact/signals';

const HIDDEN_MS = 250;
/** The longest rest: a page that was frozen while it drew has not been drawing since. */
const REST_MAX_MS = 2_000;

/**
 * Counts changes of something that is not a signal itself: reading it is how a view depends on it. A view that shows such a thing reads the
 * count itself, also when the view around it does: with the same props it is not drawn again otherwise.
 */
export type Changes = Signal<number>;

export function changes(): Changes { return signal(0); }

export class Painter {
  readonly #due = new Set<Changes>();
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Before this no frame is asked for. */
  #rests = 0;
  /** Brings a turn after the frame that is being drawn. */
  readonly #drawn = new MessageChannel();

  constructor() {
    this.#drawn.port1.onmessage = ({ data }: MessageEvent<number>) => {
      const now = performance.now();
      this.#rests = now + Math.min(now - data, REST_MAX_MS);
    };
    // A frame that was asked for does not come while the page is hidden.
    document.addEventListener('visibilitychange', () => this.#tell());
  }

  /** Tells at the next frame; a hidden page has none, and its title waits a moment. */
  soon(...changed: Changes[]): void {
    for (const one of changed) this.#due.add(one);
    if (document.hidden) this.#timer ??= setTimeout(() => this.#tell(), HIDDEN_MS);
    else this.#ask();
  }

  /** Tells at once: a person is waiting for it. */
  now(...changed: Changes[]): void {
    for (const one of changed) this.#due.add(one);
    this.#tell();
  }

  #ask(): void {
    if (this.#frame || this.#timer !== undefined) return;
    const rest = this.#rests - performance.now();
    if (rest <= 0) {
      this.#frame = requestAnimationFrame(() => this.#tell());
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#ask();
    }, rest);
  }

  #tell(): void {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = 0;
    this.#timer = undefined;
    const due = [...this.#due];
    this.#due.clear();
    this.#drawn.port2.postMessage(performance.now());
    batch(() => { for (const one of due) one.value += 1; });
  }
}
