/**
 * Signing in and up.
 */
import { Accounts, BrowserLoginStore, ParlorError, type Login } from 'parlor-client';
import { useRef, useState } from 'preact/hooks';
import { LOGIN_KEY } from '../keep.js';
import { troubleOf } from '../words.js';
import { Icon } from './parts.js';

export function Auth({ notice, enter }: { notice: string; enter: (login: Login) => void }) {
  const [fresh, setFresh] = useState(false);
  const [user, setUser] = useState('');
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [seen, setSeen] = useState(false);
  const [trouble, setTrouble] = useState('');
  const [busy, setBusy] = useState(false);
  const first = useRef<HTMLInputElement>(null);

  const submit = async (): Promise<void> => {
    setTrouble('');
    if (fresh && new TextEncoder().encode(password).length < 8) return setTrouble('A password has at least 8 characters.');
    setBusy(true);
    try {
      const accounts = new Accounts(location.origin);
      const login = fresh ? await accounts.register(user, password, name.trim() || undefined) : await accounts.login(user, password);
      new BrowserLoginStore(LOGIN_KEY).write(login);
      enter(login);
    } catch (error) {
      setTrouble(wordsFor(error));
      setBusy(false);
    }
  };

  return (
    <main class="auth" data-testid="auth">
      <form class="card stack" onSubmit={(event) => { event.preventDefault(); void submit(); }}>
        <header class="brand"><img src="/assets/icon.svg" alt="" width="44" height="44" /><h1>{fresh ? 'Join Parlor' : 'Parlor'}</h1>
          <p class="soft">{fresh ? 'Choose a user name and a password.' : 'Good to see you. Sign in to go on talking.'}</p>
        </header>
        {notice && !trouble && <p class="notice" role="status">{notice}</p>}
        <label class="field">User name
          <input ref={first} data-testid="auth-user" name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus maxLength={128}
            pattern="[A-Za-z0-9._:@\-]+" title="Letters, digits and . _ : @ -" value={user} onInput={(event) => setUser(event.currentTarget.value)} />
        </label>
        {fresh && (
          <label class="field">Name shown to others <span class="soft">(optional)</span>
            <input data-testid="auth-name" name="name" autocomplete="name" maxLength={100} value={name} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
        )}
        <label class="field">Password
          <span class="together inside">
            <input data-testid="auth-password" name="password" {...(seen ? { type: 'text' } : { type: 'password' })} required maxLength={1024} value={password}
              autocomplete={fresh ? 'new-password' : 'current-password'} onInput={(event) => setPassword(event.currentTarget.value)} />
            <button type="button" class="link" aria-pressed={seen} onClick={() => setSeen(!seen)}>{seen ? 'Hide' : 'Show'}</button>
          </span>
          {fresh && <small class="soft">At least 8 characters.</small>}
        </label>
        {trouble && <p class="error" role="alert" data-testid="auth-error"><Icon name="failed" /> {trouble}</p>}
        <button class="primary" data-testid="auth-submit" disabled={busy}>{fresh ? 'Create account' : 'Sign in'}</button>
        <p class="centre soft">{fresh ? 'You have an account?' : 'You are new here?'}{' '}
          <button type="button" class="link" data-testid="auth-mode" onClick={() => { setFresh(!fresh); setTrouble(''); first.current?.focus(); }}>{fresh ? 'Sign in' : 'Create an account'}</button>
        </p>
      </form>
    </main>
  );
}

function wordsFor(error: unknown): string {
  if (!(error instanceof ParlorError)) return String(error);
  if (error.code === 'conflict') return 'That user name is taken.';
  if (error.code === 'unauthorized') return 'User name or password is wrong.';
  return troubleOf(error);
}
