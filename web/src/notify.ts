/**
 * What a page that nobody looks at does to be noticed: a notification of the browser, and the count in the title.
 */
import { signal } from '@preact/signals';
import { keep } from './keep.js';

/** A message that is older was not sent just now, but caught up with. */
const FRESH_MS = 60_000;

/** Whether notifications are on; `denied` when the browser says no. */
export const notifying = signal<'on' | 'off' | 'denied' | 'none'>(now());

function now(): 'on' | 'off' | 'denied' | 'none' {
  if (!('Notification' in globalThis)) return 'none';
  if (Notification.permission === 'denied') return 'denied';
  return keep.notify() && Notification.permission === 'granted' ? 'on' : 'off';
}

/** Turns them on or off; the browser asks the person the first time. */
export async function setNotifying(on: boolean): Promise<void> {
  if (on && 'Notification' in globalThis && Notification.permission === 'default') await Notification.requestPermission();
  keep.setNotify(on);
  notifying.value = now();
}

/** Shows a message that has just come, when the page is hidden. `open` is called when the person wants to see it. */
export function notify(title: string, text: () => string, tag: string, sent_at: string, open: () => void): void {
  if (notifying.value !== 'on' || !document.hidden || Date.now() - Date.parse(sent_at) > FRESH_MS) return;
  try {
    const shown = new Notification(title, { body: text(), tag, icon: '/assets/icon.svg' });
    shown.onclick = () => {
      window.focus();
      open();
      shown.close();
    };
  } catch {
    // Some browsers show them through a service worker only.
  }
}

/** Puts the number of unread messages before the title. */
export function title(room: string | undefined, unread: number): void {
  const name = room === undefined ? 'Parlor' : `${room} · Parlor`;
  document.title = unread > 0 ? `(${unread > 99 ? '99+' : unread}) ${name}` : name;
}
