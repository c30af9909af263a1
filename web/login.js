/**
 * The stored login: sign up, sign in, renew, sign out.
 *
 * Owns: the storage key `parlor.login`.
 *
 * L-1  a refresh token is spent once: tabs take turns, and use what another tab was given.
 *
 * Absent: the socket; when to renew is the connection's to say.
 */
import { Refusal, post } from './wire.js';

const KEY = 'parlor.login';

export class Login {
  /** The stored login, or null. */
  get stored() {
    try { return JSON.parse(localStorage.getItem(KEY)); } catch { return null; }
  }

  /** Whether a storage event concerns the login. */
  concerns(event) {
    return event.key === KEY || event.key === null;
  }

  async signUp(user_id, password) {
    this.#store(await post('/v1/auth/register', { user_id, password }));
  }

  async signIn(user_id, password) {
    this.#store(await post('/v1/auth/login', { user_id, password }));
  }

  /** Forgets the login here, then ends it on the server where that can be reached. */
  async signOut() {
    const login = this.stored;
    this.forget();
    if (login) await post('/v1/auth/logout', { refresh_token: login.refresh_token }, login.token).catch(() => {});
  }

  forget() {
    localStorage.removeItem(KEY);
  }

  /** A token that should be good now. */
  async token() {
    const login = this.stored;
    if (!login) throw new Refusal('unauthorized', 'Signed out.', { status: 401 });
    return Date.parse(login.expires_at) < Date.now() ? this.renewed(login.token) : login.token;
  }

  /** A token other than `used`, from the server or from another tab that asked first. */
  async renewed(used) {
    const turn = async () => {
      const login = this.stored;
      if (!login) throw new Refusal('unauthorized', 'Signed out.', { status: 401 });
      if (login.token !== used) return login.token;
      const next = await post('/v1/auth/refresh', { refresh_token: login.refresh_token });
      this.#store({ ...login, ...next });
      return next.token;
    };
    return navigator.locks ? navigator.locks.request(KEY, turn) : turn();
  }

  #store(login) {
    localStorage.setItem(KEY, JSON.stringify(login));
  }
}
