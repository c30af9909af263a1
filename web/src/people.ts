/**
 * Names and presence of people, asked for when somebody is shown.
 *
 * P-1  at most `ASKED_MAX` names are asked for at once, and `KNOWN_MAX` are remembered;
 * P-2  at most `WATCHED_MAX` people are watched, below the server's own limit; those who are not shown any more are let go first.
 */
import { ParlorError, type Client, type Received, type UserId } from 'parlor-client';
import { changes, type Painter } from './paint.js';

const ASKED_MAX = 6;
const KNOWN_MAX = 2_000;
const WATCHED_MAX = 300;

export class People {
  /** Changes of names, and of presence. */
  readonly named = changes();
  readonly moved = changes();
  readonly #client: Client;
  readonly #painter: Painter;
  readonly #names = new Map<UserId, string>();
  readonly #wanted: UserId[] = [];
  readonly #presence = new Map<UserId, Received.PresenceEntry>();
  readonly #watched = new Set<UserId>();
  #asked = 0;
  #online = false;

  constructor(client: Client, painter: Painter) {
    this.#client = client;
    this.#painter = painter;
  }

  /** The name shown; the id until the server has told. A view that calls this is told when it changes. */
  name(user: UserId): string {
    void this.named.value;
    return this.peekName(user);
  }

  peekName(user: UserId): string {
    const known = this.#names.get(user);
    if (known === undefined) this.#want(user);
    return known || user;
  }

  setName(user: UserId, name: string): void {
    this.#names.set(user, name);
    this.#painter.soon(this.named);
  }

  presence(user: UserId): Received.PresenceEntry | undefined {
    void this.moved.value;
    return this.#presence.get(user);
  }

  heard(entry: Received.PresenceEntry): void {
    this.#presence.set(entry.user_id, entry);
    this.#painter.soon(this.moved);
  }

  /** Watches these, as far as there is room; `first` are let go last. */
  watch(users: readonly UserId[], first: ReadonlySet<UserId>): void {
    const wanted = users.filter((user) => !this.#watched.has(user)).slice(0, WATCHED_MAX);
    if (wanted.length === 0) return;
    if (this.#watched.size + wanted.length > WATCHED_MAX) {
      const gone = [...this.#watched].filter((user) => !first.has(user) && !users.includes(user));
      for (const user of gone) this.#forget(user);
      if (gone.length > 0) void this.#client.request('presence.unwatch', { user_ids: gone }).catch(() => undefined);
    }
    const fresh = wanted.slice(0, WATCHED_MAX - this.#watched.size);
    for (const user of fresh) this.#watched.add(user);
    this.#ask(fresh);
  }

  /** A connection is there: watches anew what the last one watched. */
  welcome(): void {
    this.#online = true;
    this.#ask([...this.#watched]);
    this.#next();
  }

  /** The connection is gone. */
  lost(): void {
    this.#online = false;
  }

  #ask(users: UserId[]): void {
    if (users.length === 0 || !this.#online) return;
    this.#client.request('presence.watch', { user_ids: users }).then(
      ({ presence }) => { for (const entry of presence) this.heard(entry); },
      // Lost with the connection: the next one watches again.
      () => undefined,
    );
  }

  #forget(user: UserId): void {
    this.#watched.delete(user);
    this.#presence.delete(user);
  }

  #want(user: UserId): void {
    const [oldest] = this.#names.keys();
    if (this.#names.size >= KNOWN_MAX && oldest !== undefined) this.#names.delete(oldest);
    this.#names.set(user, '');
    this.#wanted.push(user);
    this.#next();
  }

  #next(): void {
    while (this.#asked < ASKED_MAX && this.#online) {
      const user = this.#wanted.shift();
      if (user === undefined) return;
      this.#asked += 1;
      this.#client.request('user.get', { user_id: user })
        .then(({ user: { name } }) => { if (name) this.setName(user, name); })
        .catch((error: unknown) => { if (error instanceof ParlorError && error.temporary) this.#wanted.push(user); })
        .finally(() => {
          this.#asked -= 1;
          this.#next();
        });
    }
  }
}
