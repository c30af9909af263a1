/**
 * Where the outbox is kept, so that it outlives the page or the process.
 */
import type { Entry } from './state/outbox.js';
import type { MsgId } from './wire/generated/both.js';

/** A place for the entries of one user's outbox. Calls are made one after the other, each when the one before has ended. */
export interface OutboxStorage {
  /** Gives what is kept, oldest first. */
  load(): Promise<Entry[]>;
  /** Keeps an entry behind all others. It goes to the server once this has ended. */
  put(entry: Entry): Promise<void>;
  /** Lets go of an entry, if it is there. */
  remove(msg_id: MsgId): Promise<void>;
}

/** Keeps the outbox as long as the process lives. */
export class MemoryStorage implements OutboxStorage {
  readonly #entries = new Map<MsgId, Entry>();

  async load(): Promise<Entry[]> {
    return [...this.#entries.values()];
  }

  async put(entry: Entry): Promise<void> {
    this.#entries.set(entry.msg_id, entry);
  }

  async remove(msg_id: MsgId): Promise<void> {
    this.#entries.delete(msg_id);
  }
}
