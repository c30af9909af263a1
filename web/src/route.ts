/**
 * Which room is shown, in the address: a reload and the browser's back button keep to it.
 */
import type { RoomId } from 'parlor-client';

const ROOM = /^#\/room\/([0-9a-f-]{36})$/;

/** The room that the address names. */
export function routed(): RoomId | undefined {
  return ROOM.exec(location.hash)?.[1];
}

export function goTo(room_id: RoomId | undefined): void {
  if (routed() === room_id) return;
  location.hash = room_id === undefined ? '#/' : `#/room/${room_id}`;
}

/** Names no room any more, without a step to go back to. */
export function goNowhere(): void {
  if (routed() === undefined) return;
  history.replaceState(undefined, '', '#/');
}
