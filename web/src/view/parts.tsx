/**
 * Small pieces that several views are made of.
 */
import type { ComponentChildren, TargetedKeyboardEvent } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { UserId } from 'parlor-client';
import type { Session } from '../session.js';

const PATHS = {
  pending: 'M12 7v5l3 2M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z',
  sent: 'M5 12.5l4.5 4.5L19 7.5',
  delivered: 'M2.5 12.5L7 17l9.5-9.5M12 15.5l1.5 1.5L23 7.5',
  failed: 'M12 7.5v5.5M12 16.4v.1M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z',
  back: 'M15 5l-7 7 7 7',
  down: 'M6 9.5l6 6 6-6',
  up: 'M6 14.5l6-6 6 6',
  send: 'M12 19V5.5M6 11l6-6 6 6',
  reply: 'M9.5 6L4 11.5 9.5 17M4.5 11.5H14a6 6 0 0 1 6 6V19',
  copy: 'M9 9h10v11H9zM5.5 15H5V4h10v1.5',
  close: 'M6 6l12 12M18 6L6 18',
  more: 'M5.5 12h.01M12 12h.01M18.5 12h.01',
  plus: 'M12 5v14M5 12h14',
  compass: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM15.5 8.5l-2 5-5 2 2-5z',
  people: 'M9 11.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM3 19c.4-3.2 2.7-5 6-5s5.600 1.800 6 5M15.500 5.400a3.200 3.200 0 0 1 0 5.900M17.500 14.400c2 .6 3.200 2.200 3.500 4.600',
  search: 'M10.500 4.500a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15 15l4.500 4.500',
  settings: 'M4 7.500h9M17 7.500h3M4 16.500h3M11 16.500h9M15 5.300v4.400M9 14.300v4.400',
  globe: 'M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17zM3.500 12h17M12 3.500c2.500 2.400 3.500 5.200 3.500 8.500s-1 6.100-3.500 8.500c-2.500-2.400-3.500-5.200-3.500-8.500s1-6.100 3.500-8.500z',
  lock: 'M6.500 11h11v8.500h-11zM8.500 11V8a3.500 3.500 0 0 1 7 0v3',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d={PATHS[name]} /></svg>;
}

/** Text for those who hear the page. */
export function Unseen({ children }: { children: ComponentChildren }) {
  return <span class="unseen">{children}</span>;
}

/** One of eight colours, the same for the same id. */
export function toneOf(id: string): string {
  let hash = 0;
  for (let n = 0; n < id.length; n += 1) hash = (hash * 31 + id.charCodeAt(n)) >>> 0;
  return `tone-${hash % 8}`;
}

/** The first letters of a name; one where there is no place for two. */
function initials(name: string, most: number): string {
  const words = name.split(/[\s._:@-]+/).filter(Boolean);
  const letters = words.length > 1 ? words.slice(0, most) : [name];
  return letters.map((word) => [...word ?? ''][0] ?? '').join('').toUpperCase();
}

export function Avatar({ id, name, size = 'medium', square = false }: { id: string; name: string; size?: 'tiny' | 'small' | 'medium' | 'large'; square?: boolean }) {
  return <span class={`avatar ${toneOf(id)} ${size} ${square ? 'square' : ''}`} aria-hidden="true">{initials(name, size === 'tiny' ? 1 : 2)}</span>;
}

/** A person's picture with a dot that tells whether they are there. */
export function Person({ session, user, size = 'medium' }: { session: Session; user: UserId; size?: 'small' | 'medium' | 'large' }) {
  const status = user === session.me ? undefined : session.people.presence(user)?.status;
  return (
    <span class="person">
      <Avatar id={user} name={session.nameOf(user)} size={size} />
      {status && status !== 'offline' && <span class={`dot ${status}`}><Unseen>{status === 'dnd' ? 'does not want to be disturbed' : status}</Unseen></span>}
    </span>
  );
}

/** A modal dialog; the browser keeps the focus in it and closes it by Escape. */
export function Dialog({ title, onClose, children, testid, wide = false }: { title: string; onClose: () => void; children: ComponentChildren; testid: string; wide?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={ref} class={wide ? 'wide' : ''} aria-labelledby={id} data-testid={testid} onClose={onClose}
      onPointerDown={(event) => { if (event.target === ref.current) onClose(); }}>
      <div class="dialog">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <button type="button" class="ghost round" aria-label="Close" data-testid="close" onClick={onClose}><Icon name="close" /></button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

export interface MenuItem {
  readonly label: string;
  readonly act: () => void;
  readonly danger?: boolean;
}

/** A button that opens a list of things to do. */
export function Menu({ label, items, testid }: { label: string; items: readonly MenuItem[]; testid: string }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    root.current?.querySelector<HTMLElement>('[role=menuitem]')?.focus();
    const outside = (event: Event): void => { if (!root.current?.contains(event.target as Node)) setOpen(false); };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  const keys = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    if (!open) return;
    const all = [...root.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? []];
    const at = all.indexOf(document.activeElement as HTMLElement);
    if (event.key === 'ArrowDown') all[(at + 1) % all.length]?.focus();
    else if (event.key === 'ArrowUp') all.at(at - 1)?.focus();
    else if (event.key === 'Escape' || event.key === 'Tab') {
      setOpen(false);
      root.current?.querySelector<HTMLElement>('button')?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="menu" ref={root} onKeyDown={keys}>
      <button type="button" class="ghost round" aria-haspopup="menu" aria-expanded={open} aria-label={label} data-testid={testid} onClick={() => setOpen(!open)}>
        <Icon name="more" />
      </button>
      {open && (
        <div class="menu-items" role="menu" aria-label={label}>
          {items.map(({ label: name, act, danger }) => (
            <button key={name} type="button" role="menuitem" class={danger ? 'danger' : ''} onClick={() => { setOpen(false); act(); }}>{name}</button>
          ))}
        </div>
      )}
    </div>
  );
}

/** A switch with its name beside it. */
export function Toggle({ label, hint, on, change, disabled = false, testid }: {
  label: string; hint?: string; on: boolean; change: (on: boolean) => void; disabled?: boolean; testid?: string;
}) {
  return (
    <label class="toggle">
      <span class="grow">{label}{hint && <small>{hint}</small>}</span>
      <input type="checkbox" role="switch" checked={on} disabled={disabled} data-testid={testid} onChange={(event) => change(event.currentTarget.checked)} />
    </label>
  );
}

/** A choice of few, all of them in sight. */
export function Choice<T extends string>({ legend, value, options, change, testid }: {
  legend: string; value: T; options: readonly (readonly [T, string])[]; change: (value: T) => void; testid: string;
}) {
  const name = useId();
  return (
    <fieldset class="choice" data-testid={testid}>
      <legend>{legend}</legend>
      <div class="segments">
        {options.map(([word, label]) => (
          <label key={word} class={word === value ? 'chosen' : ''}>
            <input type="radio" name={name} value={word} checked={word === value} onChange={() => change(word)} />{label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
