/**
 * The outbox in a browser's IndexedDB: it survives a reload, and the end of the browser.
 *
 * I-1  entries come back in the order they were put, whichever tab put them.
 *
 * Two tabs of one user share it, and may both send an entry that neither has an answer for: with the same `msg_id`, which takes
 * effect once.
 */
import type { Entry } from '../state/outbox.js';
import type { OutboxStorage } from '../storage.js';
import type { MsgId } from '../wire/generated/both.js';

const STORE = 'entries';
const BY_ID = 'msg_id';

export class IndexedDbStorage implements OutboxStorage {
  readonly #name: string;
  #database: Promise<IDBDatabase> | undefined;

  /** Uses the database of this name; one user's on one server. */
  constructor(name: string) {
    this.#name = name;
  }

  async load(): Promise<Entry[]> {
    const store = await this.#store('readonly');
    const entries = await done<unknown[]>(store.getAll());
    return entries.filter(isEntry);
  }

  async put(entry: Entry): Promise<void> {
    const store = await this.#store('readwrite');
    await committed(store, store.add(entry));
  }

  async remove(msg_id: MsgId): Promise<void> {
    const store = await this.#store('readwrite');
    const key = await done(store.index(BY_ID).getKey(msg_id));
    if (key !== undefined) await committed(store, store.delete(key));
  }

  async #store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
    this.#database ??= this.#open();
    try {
      return (await this.#database).transaction(STORE, mode).objectStore(STORE);
    } catch {
      // The browser may close a database at any time; the next use opens it again.
      this.#database = this.#open();
      return (await this.#database).transaction(STORE, mode).objectStore(STORE);
    }
  }

  async #open(): Promise<IDBDatabase> {
    const request = indexedDB.open(this.#name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE, { autoIncrement: true }).createIndex(BY_ID, BY_ID, { unique: true });
    };
    const database = await done(request);
    database.onversionchange = () => database.close();
    return database;
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the database refused'));
  });
}

/** Waits until a write is on its way to the disk, not only asked for. */
function committed<T>(store: IDBObjectStore, request: IDBRequest<T>): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = () => reject(request.error ?? store.transaction.error ?? new Error('the database refused'));
    store.transaction.oncomplete = () => resolve();
    store.transaction.onabort = failed;
    store.transaction.onerror = failed;
  });
}

function isEntry(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && 'msg_id' in value && 'type' in value && 'payload' in value;
}
