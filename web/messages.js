/**
 * The message list of the open room: rows in the document, kept in step with the room's events.
 *
 * Owns: the rows, the scroll position, what has been seen.
 *
 * M-1  what people wrote goes into text nodes only;
 * M-2  at the end the list stays at the end; elsewhere what is being read stays where it is.
 *
 * Absent: the network; `actions` says what a row's buttons and the scrolling ask for.
 */

const AT_END_PX = 48;
const NEAR_START_PX = 240;
const GROUP_MS = 5 * 60_000;
const MARKS = { pending: 'Waiting to be sent', sent: 'Sent', read: 'Read', failed: 'Not sent' };

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });

const by = (id) => document.getElementById(id);

/** What a row of the room's own history says, or null for what has no row. */
function noteOf(event) {
  const { type, sender, user_id } = event;
  const whom = event.user_id ?? 'someone';
  switch (type) {
    case 'room.created': return `${sender} made the room`;
    case 'room.updated': return event.name ? `${sender} named the room “${event.name}”` : `${sender} changed the room`;
    case 'member.joined': return `${user_id ?? sender} joined`;
    case 'member.left': return `${user_id ?? sender} left`;
    case 'member.invited': return `${sender} added ${whom}`;
    case 'member.removed': return `${sender} removed ${whom}`;
    case 'member.banned': return `${sender} banned ${whom}`;
    case 'member.unbanned': return `${sender} lifted the ban of ${whom}`;
    case 'member.muted': return `${sender} muted ${whom}`;
    case 'member.unmuted': return `${sender} unmuted ${whom}`;
    case 'member.role': return `${sender} made ${whom} ${event.role}`;
    default: return null;
  }
}

function textOf(event) {
  if (event.deleted) return 'Message deleted';
  if (event.expired) return 'Message expired';
  if (event.body?.text) return event.body.text;
  return event.body?.ciphertext ? 'Encrypted message' : 'Message without text';
}

export class Messages {
  #room = null;
  #rows = new Map();
  #atEnd = true;
  #unseenFrom = 0;
  #list = by('messages');
  #scroller = by('scroller');
  #toEnd = by('to-end');
  #actions;
  #checking = false;

  /** `actions`: older(), seen(seq), resend(msg_id), discard(msg_id). */
  constructor(actions) {
    this.#actions = actions;
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#toEnd.addEventListener('click', () => this.toEnd());
    by('older-retry').addEventListener('click', () => actions.older());
    document.addEventListener('visibilitychange', () => this.#look());
    new ResizeObserver(() => { if (this.#atEnd) this.toEnd(); else this.#look(); }).observe(this.#scroller);
  }

  /** Shows another room, from its end. */
  open(room) {
    this.#room = room;
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#atEnd = true;
    this.#unseenFrom = 0;
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#atEnd = true;
    this.#look();
  }

  /** Brings the rows in step with the room and the outbox. */
  render(me, pending) {
    const room = this.#room;
    if (!room) return;
    const anchor = this.#atEnd ? null : this.#anchor();
    const plans = this.#plan(me, room.list(), pending);
    const wasLow = this.#rows.size > 0;
    // Older pages must not be read out as news.
    this.#list.setAttribute('aria-busy', String(!wasLow || !this.#atEnd));
    this.#reconcile(plans);
    this.#list.setAttribute('aria-busy', 'false');
    this.#start(room);
    if (this.#atEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    else if (anchor?.row.isConnected) this.#scroller.scrollTop += anchor.row.getBoundingClientRect().top - anchor.top;
    this.#end();
    this.#look();
  }

  #plan(me, events, pending) {
    const plans = [];
    const shown = new Set();
    const readTo = Math.max(0, ...this.#room.reads.values());
    let day = '';
    let last = null;
    const dated = (at) => {
      const today = calendar.format(at);
      if (today !== day) { plans.push({ key: `day ${today}`, note: today, day: true }); last = null; }
      day = today;
    };
    for (const event of events) {
      const at = new Date(event.sent_at);
      const note = noteOf(event);
      if (note) {
        dated(at);
        plans.push({ key: `seq ${event.seq}`, version: event.rev, note });
        last = null;
      } else if (event.type === 'message') {
        dated(at);
        const mine = event.sender === me;
        if (event.client_msg_id) shown.add(event.client_msg_id);
        const state = mine && readTo >= event.seq ? 'read' : 'sent';
        const starts = !last || last.sender !== event.sender || at - last.at > GROUP_MS;
        plans.push({ key: `seq ${event.seq}`, seq: event.seq, version: event.rev, at, mine, state, starts, event,
          sender: event.sender, text: textOf(event), gone: !event.body });
        last = { sender: event.sender, at };
      }
    }
    for (const entry of pending) {
      if (shown.has(entry.msg_id)) continue;
      const at = new Date(entry.typed_at);
      dated(at);
      plans.push({ key: `out ${entry.msg_id}`, at, mine: true, state: entry.failed ? 'failed' : 'pending', entry,
        starts: last?.sender !== me, sender: me, text: entry.text });
      last = { sender: me, at };
    }
    return plans;
  }

  #reconcile(plans) {
    const rows = new Map();
    let next = this.#list.firstElementChild;
    for (const plan of plans) {
      const version = `${plan.version} ${plan.state} ${plan.starts} ${plan.entry?.failed?.message}`;
      let row = this.#rows.get(plan.key);
      if (!row) row = plan.note ? this.#note(plan) : by('t-message').content.firstElementChild.cloneNode(true);
      if (!plan.note && row.dataset.version !== version) this.#fill(row, plan, version);
      rows.set(plan.key, row);
      if (row === next) next = next.nextElementSibling;
      else this.#list.insertBefore(row, next);
    }
    for (const [key, row] of this.#rows) if (!rows.has(key)) row.remove();
    this.#rows = rows;
  }

  #note(plan) {
    const row = by('t-note').content.firstElementChild.cloneNode(true);
    row.textContent = plan.note;
    row.classList.toggle('day', Boolean(plan.day));
    return row;
  }

  #fill(row, plan, version) {
    const part = (selector) => row.querySelector(selector);
    row.dataset.version = version;
    row.dataset.state = plan.state;
    if (plan.seq) row.dataset.seq = plan.seq;
    row.classList.toggle('mine', plan.mine);
    row.classList.toggle('starts', plan.starts);
    row.classList.toggle('gone', Boolean(plan.gone));
    part('.who').textContent = plan.mine ? 'You' : plan.sender;
    part('.text').textContent = plan.text;
    part('.edited').hidden = !plan.event?.edited_at || plan.gone;
    part('time').textContent = clock.format(plan.at);
    part('time').dateTime = plan.at.toISOString();
    const mark = part('.mark');
    mark.hidden = !plan.mine;
    mark.dataset.state = plan.state;
    mark.title = MARKS[plan.state];
    mark.querySelector('use').setAttribute('href', `#i-${plan.state}`);
    mark.querySelector('.unseen').textContent = MARKS[plan.state];
    const failure = part('.failure');
    failure.hidden = plan.state !== 'failed';
    if (plan.state === 'failed') {
      part('.failure span').textContent = `Not sent: ${plan.entry.failed.message}`;
      part('.again').onclick = () => this.#actions.resend(plan.entry.msg_id);
      part('.discard').onclick = () => this.#actions.discard(plan.entry.msg_id);
    }
  }

  /** Says what is above the first row. */
  #start(room) {
    const trouble = room.trouble && !room.loading;
    by('older').hidden = !(room.loading || trouble);
    by('older-text').textContent = trouble ? 'Messages could not be loaded.' : 'Loading…';
    by('older-retry').hidden = !trouble;
  }

  #end() {
    const newest = this.#room.list().findLast((event) => event.type === 'message')?.seq ?? 0;
    if (this.#atEnd) this.#unseenFrom = newest;
    this.#toEnd.hidden = this.#atEnd;
    by('to-end-text').textContent = newest > this.#unseenFrom ? 'New messages' : 'Newest';
  }

  #anchor() {
    const { top } = this.#scroller.getBoundingClientRect();
    for (const row of this.#rows.values()) {
      const box = row.getBoundingClientRect();
      if (box.bottom > top) return { row, top: box.top };
    }
    return null;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < AT_END_PX;
    if (this.#room) this.#end();
    this.#look();
  }

  /** Notices, once per frame, what can be seen, and whether the start is near. */
  #look() {
    if (this.#checking || !this.#room) return;
    this.#checking = true;
    requestAnimationFrame(() => {
      this.#checking = false;
      if (!this.#room || document.visibilityState !== 'visible' || this.#scroller.offsetParent === null) return;
      if (this.#scroller.scrollTop < NEAR_START_PX && this.#room.hasOlder && !this.#room.trouble) this.#actions.older();
      const seq = this.#atEnd ? this.#room.position : this.#lowestVisible();
      if (seq) this.#actions.seen(seq);
    });
  }

  #lowestVisible() {
    const { bottom } = this.#scroller.getBoundingClientRect();
    for (const row of [...this.#rows.values()].reverse()) {
      if (row.dataset.seq && row.getBoundingClientRect().bottom <= bottom) return Number(row.dataset.seq);
    }
    return 0;
  }
}
