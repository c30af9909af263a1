/**
 * What the page keeps in `localStorage`: everything small that should outlive it. A storage that refuses loses comfort, nothing else.
 */
import type { Login, UserId } from 'parlor-client';
import type { KeptReceipts } from './state/receipts.js';
import type { MessageEntry } from './state/sendings.js';

export type Theme = 'auto' | 'light' | 'dark';
export type Status = 'online' | 'away' | 'dnd' | 'invisible';

export interface Failed { readonly entry: MessageEntry; readonly at_ms: number; readonly why: string }

function read<T>(key: string): T | undefined {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null') ?? undefined;
  } catch {
    return undefined;
  }
}

function write(key: string, value: unknown): void {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Full or forbidden.
  }
}

function word<T extends string>(key: string, words: readonly T[], otherwise: T): T {
  const kept = read<T>(key);
  return kept !== undefined && words.includes(kept) ? kept : otherwise;
}

/** The name in `localStorage` of the login, which tabs share. */
export const LOGIN_KEY = 'parlor.login';

export const keep = {
  login: (): Login | undefined => read<Login>(LOGIN_KEY),

  /** What this installation is called; made up once. */
  device(): string {
    const kept = read<unknown>('parlor.device');
    if (typeof kept === 'string' && kept !== '') return kept;
    const made = `web-${Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
    write('parlor.device', made);
    return made;
  },

  theme: (): Theme => word('parlor.theme', ['auto', 'light', 'dark'], 'auto'),
  setTheme: (theme: Theme): void => write('parlor.theme', theme),

  status: (): Status => word('parlor.status', ['online', 'away', 'dnd', 'invisible'], 'online'),
  setStatus: (status: Status): void => write('parlor.status', status),

  notify: (): boolean => read('parlor.notify') === true,
  setNotify: (on: boolean): void => write('parlor.notify', on),

  failed: (user: UserId): Failed[] => {
    const kept = read<unknown>(`parlor.failed/${user}`);
    return Array.isArray(kept) ? kept as Failed[] : [];
  },
  setFailed: (user: UserId, failed: readonly Failed[]): void => write(`parlor.failed/${user}`, failed.length > 0 ? failed : undefined),

  receipts: (user: UserId): Record<string, KeptReceipts> => read(`parlor.receipts/${user}`) ?? {},
  setReceipts: (user: UserId, receipts: Record<string, KeptReceipts>): void => write(`parlor.receipts/${user}`, receipts),
};

/** Puts a theme on, or what the system says. */
export function wear(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
