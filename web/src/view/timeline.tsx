/**
 * The messages of the open room, and where one looks at them.
 *
 * T-1  what is looked at stays where it is, whatever comes above or below it; at the end, the end is what is looked at;
 * T-2  pages are asked for before one gets to what is not held, so that scrolling goes on;
 * T-3  a message counts as seen when it is on the screen of a page that has the focus.
 *
 * Absent: which rows there are (`state/rows.ts`).
 */
import { Component, createRef, type JSX, type TargetedKeyboardEvent } from 'preact';
import type { Session } from '../session.js';
import type { Room } from '../state/room.js';
import { rowsOf, type Row } from '../state/rows.js';
import { dayKey, titleOf } from '../words.js';
import { Icon } from './parts.js';
import { Day, Message, Note, SendingRow, UnreadLine } from './row.js';

/** So near the end counts as there, in pixels. */
const NEAR_END = 48;
/** Pages are asked for this many screens ahead. */
const AHEAD = 2.5;

interface Props { readonly session: Session; readonly room: Room }
interface State { readonly away: boolean; readonly unreadAbove: boolean }
interface Anchor { readonly key: string; readonly bottom: number }

export class Timeline extends Component<Props, State> {
  override state: State = { away: false, unreadAbove: false };
  readonly #scroller = createRef<HTMLDivElement>();
  readonly #list = createRef<HTMLOListElement>();
  readonly #resized = new ResizeObserver(() => this.#keepEnd());
  readonly #looked = (): void => this.#look();
  #frame = 0;
  #flashed: HTMLElement | undefined;

  override componentDidMount(): void {
    const [scroller, list] = [this.#scroller.current, this.#list.current];
    if (scroller) this.#resized.observe(scroller);
    if (list) this.#resized.observe(list);
    addEventListener('focus', this.#looked);
    document.addEventListener('visibilitychange', this.#looked);
    this.#settle(undefined);
  }

  override componentWillUnmount(): void {
    this.#resized.disconnect();
    removeEventListener('focus', this.#looked);
    document.removeEventListener('visibilitychange', this.#looked);
    cancelAnimationFrame(this.#frame);
  }

  /** Where the first row on the screen ends, before it moves: it may lose the name above it to a row that comes before. */
  override getSnapshotBeforeUpdate(): Anchor | null {
    const [scroller, list] = [this.#scroller.current, this.#list.current];
    if (!scroller || !list || this.props.room.following) return null;
    const { scrollTop } = scroller;
    for (const row of list.children as Iterable<Element> as Iterable<HTMLElement>) {
      const { key, seq } = row.dataset;
      // The line of a day goes up with the first row of the day that is held.
      if (key !== undefined && seq !== undefined && row.offsetTop + row.offsetHeight > scrollTop) return { key, bottom: row.offsetTop + row.offsetHeight - scrollTop };
    }
    return null;
  }

  override componentDidUpdate(_before: Props, _state: State, anchor: Anchor | null): void {
    this.#settle(anchor ?? undefined);
  }

  render() {
    const { session, room } = this.props;
    void session.shown.value;
    const offline = !session.online.value;
    const rows = rowsOf(room, session.sendings.of(room.id), session.me, dayKey);
    const { away, unreadAbove } = this.state;
    return (
      <div class="timeline">
        <div class="scroller" ref={this.#scroller} tabIndex={0} role="region" aria-label="Messages" data-testid="scroller"
          onScroll={() => this.#scrolled()} onKeyDown={(event) => this.#key(event)}>
          <Top session={session} room={room} />
          <ol class="rows" ref={this.#list} data-testid="messages">{rows.map((row) => this.#row(row, offline))}</ol>
          {room.window.hasNewer(room.head) && <p class="edge"><span class="spinner" aria-hidden="true" /> Loading newer messages</p>}
        </div>
        {unreadAbove && (
          <button type="button" class="pill above" data-testid="to-unread" onClick={() => void session.history.unread(room)}>
            <Icon name="up" /> First unread message
          </button>
        )}
        {away && (
          <button type="button" class="pill below" data-testid="to-end" onClick={() => void session.history.end(room)}>
            <Icon name="down" /> {room.unread > 0 ? `${room.unread > 999 ? '999+' : room.unread} new` : 'Newest'}
          </button>
        )}
      </div>
    );
  }

  #row(row: Row, offline: boolean): JSX.Element {
    const { session, room } = this.props;
    switch (row.kind) {
      case 'day': return <Day key={row.key} row={row} />;
      case 'unread': return <UnreadLine key={row.key} row={row} />;
      case 'note': return <Note key={row.key} session={session} event={row.event} />;
      case 'message':
        return <Message key={row.key} session={session} room={room} event={row.event} mine={row.mine} first={row.first} last={row.last}
          quoted={row.quoted} mark={row.mark} readers={row.readers} seen={row.seen} />;
      case 'sending':
        return <SendingRow key={row.key} session={session} room={room} sending={row.sending} quoted={row.quoted} first={row.first} last={row.last} offline={offline} />;
    }
  }

  /** After the rows have changed: goes where one wants to be, or stays where one was. */
  #settle(anchor: Anchor | undefined): void {
    const scroller = this.#scroller.current;
    const { room } = this.props;
    if (!scroller) return;
    if (room.goal && room.window.loaded && room.loading !== 'place') this.#go(scroller);
    else if (room.following) scroller.scrollTop = scroller.scrollHeight;
    else if (anchor) {
      const row = this.#find(`[data-key="${CSS.escape(anchor.key)}"]`);
      const moved = row ? row.offsetTop + row.offsetHeight - scroller.scrollTop - anchor.bottom : 0;
      // Whole pixels only: less is rounding, and would wander.
      if (Math.abs(moved) >= 1) scroller.scrollTop += moved;
    }
    this.#soon();
  }

  #go(scroller: HTMLElement): void {
    const { room } = this.props;
    const { goal } = room;
    room.goal = undefined;
    const row = goal?.to === 'unread' ? this.#find('[data-key=unread]') : goal?.to === 'message' ? this.#find(`[data-seq="${goal.seq}"]`) : undefined;
    if (!row) {
      room.following = room.atEnd;
      scroller.scrollTop = scroller.scrollHeight;
      return;
    }
    const before = goal?.to === 'unread' ? scroller.clientHeight / 5 : (scroller.clientHeight - row.offsetHeight) / 2;
    scroller.scrollTop = row.offsetTop - Math.max(0, before);
    room.following = room.atEnd && this.#nearEnd(scroller);
    if (goal?.to !== 'message') return;
    this.#flashed?.classList.remove('flash');
    row.classList.add('flash');
    row.focus({ preventScroll: true });
    this.#flashed = row;
  }

  #find(selector: string): HTMLElement | undefined {
    return this.#list.current?.querySelector<HTMLElement>(`:scope > ${selector}`) ?? undefined;
  }

  #nearEnd(scroller: HTMLElement): boolean {
    return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;
  }

  /** The keyboard of a phone has come up, or a row has grown: the end stays the end. */
  #keepEnd(): void {
    const scroller = this.#scroller.current;
    if (scroller && this.props.room.following) scroller.scrollTop = scroller.scrollHeight;
    this.#soon();
  }

  #scrolled(): void {
    const scroller = this.#scroller.current;
    if (!scroller) return;
    const { room } = this.props;
    // Who was at the end stays there while it is heard of more than has come yet, as after a connection was lost.
    room.following = (room.following || room.atEnd) && this.#nearEnd(scroller);
    this.#soon();
  }

  #soon(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#look();
    });
  }

  /** Notes what is on the screen, and asks for what is soon going to be. */
  #look(): void {
    const [scroller, list] = [this.#scroller.current, this.#list.current];
    const { session, room } = this.props;
    if (!scroller || !list || !room.open || !room.window.loaded || room.loading === 'place' || room.goal) return;
    const { scrollTop, clientHeight, scrollHeight } = scroller;
    if (room.loading === 'none' && room.trouble === undefined && session.online.peek()) {
      if (scrollTop < clientHeight * AHEAD && room.window.hasOlder) void session.history.older(room);
      else if (scrollHeight - scrollTop - clientHeight < clientHeight * AHEAD) void session.history.newer(room);
    }
    const bottom = scrollTop + clientHeight;
    let lowest = 0;
    for (let row = list.lastElementChild as HTMLElement | null; row && lowest === 0; row = row.previousElementSibling as HTMLElement | null) {
      if (row.dataset.seq !== undefined && row.offsetTop + Math.min(row.offsetHeight, clientHeight) <= bottom + 1) lowest = Number(row.dataset.seq);
    }
    if (room.following) lowest = room.window.high;
    if (lowest > 0 && document.visibilityState === 'visible' && document.hasFocus()) session.seen(room, lowest);
    const line = this.#find('[data-key=unread]');
    const unreadAbove = room.divider !== undefined && (line ? line.offsetTop + line.offsetHeight < scrollTop : room.window.low > room.divider + 1);
    const away = !room.following;
    if (away !== this.state.away || unreadAbove !== this.state.unreadAbove) this.setState({ away, unreadAbove });
  }

  /** Arrows go from message to message, Escape back to writing. */
  #key(event: TargetedKeyboardEvent<HTMLDivElement>): void {
    const [scroller, list] = [this.#scroller.current, this.#list.current];
    const { session, room } = this.props;
    if (!scroller || !list || event.altKey || event.ctrlKey || event.metaKey) return;
    const within = (event.target as Element).closest<HTMLElement>('.message');
    if (event.key === 'End') void session.history.end(room);
    else if (event.key === 'Escape') document.getElementById('text')?.focus();
    else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      const up = event.key === 'ArrowUp';
      const all = [...list.querySelectorAll<HTMLElement>(':scope > .message')];
      const bottom = scroller.scrollTop + scroller.clientHeight;
      const next = within ? all[all.indexOf(within) + (up ? -1 : 1)] : all.findLast((row) => row.offsetTop + row.offsetHeight <= bottom + 1);
      next?.focus({ preventScroll: true });
      next?.scrollIntoView({ block: 'nearest' });
    } else return;
    event.preventDefault();
  }
}

/** What stands above the first row: that there is more, or that here it begins. */
function Top({ session, room }: { session: Session; room: Room }) {
  void session.shown.value;
  if (room.trouble !== undefined) {
    return (
      <p class="edge" role="alert">{room.trouble}{' '}
        <button type="button" class="link" onClick={() => void session.history.again(room)}>Try again</button>
      </p>
    );
  }
  if (!room.window.loaded) return <div class="edge" role="status"><span class="spinner" aria-hidden="true" /> Loading messages</div>;
  if (room.window.hasOlder) return <p class="edge"><span class="spinner" aria-hidden="true" /> Loading earlier messages</p>;
  const name = titleOf(room, session.nameOf);
  return (
    <div class="beginning">
      <h3>{room.info.kind === 'direct' ? `You and ${name}` : name}</h3>
      <p>{room.info.kind === 'direct' ? 'Only the two of you can read this.' : `This is where it began.${room.info.topic ? ` ${room.info.topic}` : ''}`}</p>
    </div>
  );
}
