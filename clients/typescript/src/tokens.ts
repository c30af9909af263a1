/**
 * Where access tokens come from.
 *
 * A-1  a refresh token is spent once: whoever shares a login takes turns, and uses what another was given;
 * A-2  a login that the server has ended is forgotten.
 */
import type { TokenNeed } from './state/connection.js';
import type { Timestamp, UserId } from './wire/generated/both.js';
import type { ErrorCode } from './wire/generated/server.js';
import { ParlorError } from './wire/refusal.js';

/** Gives tokens to a client. */
export interface TokenSource {
  /** Gives one for this need. Throws a `ParlorError`: a temporary one is asked again later, any other stops the client. */
  token(need: TokenNeed): Promise<string>;
}

/** One token, for as long as it holds. */
export function fixedToken(token: string): TokenSource {
  return {
    async token(need) {
      if (need !== 'connect') throw new ParlorError('unauthorized', 'there is one token only, and it does not hold');
      return token;
    },
  };
}

/** What the server gives to who logs in. */
export interface Login {
  readonly user_id: UserId;
  readonly token: string;
  readonly refresh_token: string;
  readonly expires_at: Timestamp;
}

/** Where a login is kept. */
export interface LoginStore {
  read(): Login | undefined;
  write(login: Login | undefined): void;
  /** Runs something while nobody else who shares the store does. */
  exclusive<T>(run: () => Promise<T>): Promise<T>;
}

/** Keeps a login as long as the process lives. */
export class MemoryLoginStore implements LoginStore {
  #login: Login | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(login?: Login) {
    this.#login = login;
  }

  read(): Login | undefined {
    return this.#login;
  }

  write(login: Login | undefined): void {
    this.#login = login;
  }

  exclusive<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(run, run);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Keeps a login in `localStorage`; tabs take turns by a lock of the browser. */
export class BrowserLoginStore implements LoginStore {
  readonly #key: string;

  /** `key` is the name in `localStorage`, and of the lock. */
  constructor(key = 'parlor.login') {
    this.#key = key;
  }

  read(): Login | undefined {
    try {
      return JSON.parse(localStorage.getItem(this.#key) ?? 'null') ?? undefined;
    } catch {
      return undefined;
    }
  }

  write(login: Login | undefined): void {
    if (login) localStorage.setItem(this.#key, JSON.stringify(login));
    else localStorage.removeItem(this.#key);
  }

  async exclusive<T>(run: () => Promise<T>): Promise<T> {
    // Locks are for secure contexts only.
    if (!navigator.locks) return run();
    return await navigator.locks.request(this.#key, run) as T;
  }
}

/** The calls under `/v1/auth`. Each throws a `ParlorError`. */
export class Accounts {
  readonly #server: string;
  readonly #within_ms: number;

  /** `server` is its address, `within_ms` how long an answer may take. */
  constructor(server: string, within_ms = 15_000) {
    this.#server = server;
    this.#within_ms = within_ms;
  }

  /** Makes an account. Taken: `conflict`. */
  register(user_id: UserId, password: string, name?: string): Promise<Login> {
    return this.#post('register', { user_id, password, name });
  }

  /** Logs in. A wrong password and an unknown user are both `unauthorized`. */
  login(user_id: UserId, password: string): Promise<Login> {
    return this.#post('login', { user_id, password });
  }

  /** Gives a new pair for a refresh token, which is spent by it. */
  async refresh(login: Login): Promise<Login> {
    return { ...login, ...await this.#post('refresh', { refresh_token: login.refresh_token }) };
  }

  /** Ends a login: its tokens stop, and its sockets are closed. */
  async logout(login: Login): Promise<void> {
    await this.#post('logout', { refresh_token: login.refresh_token }, login.token);
  }

  async #post(call: string, body: unknown, token?: string): Promise<Login> {
    let response: Response;
    try {
      response = await fetch(new URL(`/v1/auth/${call}`, this.#server), {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(this.#within_ms),
      });
    } catch (error) {
      throw new ParlorError('unreachable', error instanceof Error ? error.message : 'the server cannot be reached');
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const code: ErrorCode = answer.code ?? (response.status >= 500 ? 'unavailable' : 'bad_frame');
    throw new ParlorError(code, answer.detail ?? answer.title ?? `status ${response.status}`, answer);
  }
}

/** The tokens of a login with an account, renewed when needed. */
export class LoginTokens implements TokenSource {
  readonly #accounts: Accounts;
  readonly #store: LoginStore;
  readonly #wall_ms: () => number;
  /** What was given out last. */
  #given: string | undefined;

  /** `wall_ms` gives milliseconds since 1970. */
  constructor(accounts: Accounts, store: LoginStore, wall_ms: () => number = Date.now) {
    this.#accounts = accounts;
    this.#store = store;
    this.#wall_ms = wall_ms;
  }

  token(need: TokenNeed): Promise<string> {
    return this.#store.exclusive(async () => {
      const login = this.#store.read();
      if (!login) throw new ParlorError('unauthorized', 'nobody is logged in');
      const fresh = need === 'connect' ? Date.parse(login.expires_at) > this.#wall_ms() : login.token !== this.#given;
      return this.#given = (fresh ? login : await this.#renewed(login)).token;
    });
  }

  async #renewed(login: Login): Promise<Login> {
    try {
      const renewed = await this.#accounts.refresh(login);
      this.#store.write(renewed);
      return renewed;
    } catch (error) {
      if (error instanceof ParlorError && error.code === 'unauthorized') this.#store.write(undefined);
      throw error;
    }
  }
}
