/**
 * Receipts, batched: of many positions noted within a moment the server hears the last. Pure.
 *
 * R-1  a receipt only moves forward;
 * R-2  what was noted is said again on each connection until the server has acknowledged it;
 * R-3  one receipt per room and kind is in flight.
 */
import type { RoomId, Seq } from '../wire/generated/both.js';
import { least } from './outbox.js';

export type ReceiptKind = 'read' | 'delivered';

/** How long a receipt waits for a better one, in milliseconds; what was delivered matters less to people than what was read. */
export const RECEIPT_DELAY_MS: Readonly<Record<ReceiptKind, number>> = { read: 150, delivered: 500 };
/** Before a refused receipt is said again, at least. */
const RETRY_MS = 1_000;

interface Line {
  readonly kind: ReceiptKind;
  readonly room_id: RoomId;
  wanted: Seq;
  /** What the server has; infinite in a room where it takes none. */
  kept: Seq;
  /** When it goes out. */
  due_at: number;
}

/** A receipt to be sent. */
export interface Receipt {
  readonly kind: ReceiptKind;
  readonly room_id: RoomId;
  readonly seq: Seq;
}

export class Receipts {
  readonly #lines: Record<ReceiptKind, Map<RoomId, Line>> = { read: new Map(), delivered: new Map() };
  /** Those with something to be sent, none of them in flight. */
  readonly #open = new Set<Line>();

  /** Notes that everything up to `seq` was read or delivered. */
  note(kind: ReceiptKind, room_id: RoomId, seq: Seq, now: number): void {
    const line = this.#line(kind, room_id);
    if (seq <= line.wanted) return;
    const resting = line.wanted <= line.kept;
    line.wanted = seq;
    if (resting) this.#plan(line, now + RECEIPT_DELAY_MS[kind]);
  }

  /** Takes what the server is known to have already. */
  known(kind: ReceiptKind, room_id: RoomId, seq: Seq): void {
    const line = this.#line(kind, room_id);
    line.kept = Math.max(line.kept, seq);
    line.wanted = Math.max(line.wanted, seq);
    if (line.wanted <= line.kept) this.#open.delete(line);
  }

  /** Takes the receipts that are to be sent now. */
  due(now: number): Receipt[] {
    const due: Receipt[] = [];
    for (const line of this.#open) {
      if (line.due_at > now) continue;
      this.#open.delete(line);
      // Read implies delivered.
      const covered = line.kind === 'delivered' && (this.#lines.read.get(line.room_id)?.wanted ?? 0) >= line.wanted;
      if (covered) line.kept = line.wanted;
      else due.push({ kind: line.kind, room_id: line.room_id, seq: line.wanted });
    }
    return due;
  }

  /** Notes that a receipt is kept; what was noted meanwhile goes next. */
  acked({ kind, room_id, seq }: Receipt, now: number): void {
    const line = this.#line(kind, room_id);
    line.kept = Math.max(line.kept, seq);
    this.#plan(line, now + RECEIPT_DELAY_MS[kind]);
  }

  /** Notes a refusal: later again, or no more in this room. */
  refused(receipt: Receipt, temporary: boolean, wait_ms: number, now: number): void {
    const line = this.#line(receipt.kind, receipt.room_id);
    if (!temporary) line.kept = Infinity;
    this.#plan(line, now + Math.max(wait_ms, RETRY_MS));
  }

  forget(room_id: RoomId): void {
    for (const lines of Object.values(this.#lines)) {
      const line = lines.get(room_id);
      if (line) this.#open.delete(line);
      lines.delete(room_id);
    }
  }

  /** Makes everything unacknowledged due on the next connection. */
  connectionLost(now: number): void {
    for (const lines of Object.values(this.#lines)) for (const line of lines.values()) this.#plan(line, now);
  }

  deadline(): number | undefined {
    return least([...this.#open].map((line) => line.due_at));
  }

  #plan(line: Line, due_at: number): void {
    if (line.wanted <= line.kept) {
      this.#open.delete(line);
      return;
    }
    line.due_at = due_at;
    this.#open.add(line);
  }

  #line(kind: ReceiptKind, room_id: RoomId): Line {
    const line = this.#lines[kind].get(room_id) ?? { kind, room_id, wanted: 0, kept: 0, due_at: 0 };
    this.#lines[kind].set(room_id, line);
    return line;
  }
}
