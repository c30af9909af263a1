/**
 * Reads a stream of server-sent events. Pure: text in any pieces goes in, events come out when they are whole.
 *
 * V-1  what a cut leaves of an event is never given out, nor its id;
 * V-2  an event above `EVENT_LENGTH_MAX` ends the reading.
 *
 * Absent: `event:` and `retry:`; the frame says its type, and the client knows its waits.
 * Source: HTML, section 9.2.6.
 */

/** The server sends no frame above 1 MiB. */
const EVENT_LENGTH_MAX = 2 * 1024 * 1024;

/** One event; without an id it moves no cursor. */
export interface StreamEvent {
  readonly data: string;
  readonly id: string | undefined;
}

export class StreamReader {
  #rest = '';
  #length = 0;
  #data: string[] = [];
  #id: string | undefined;

  /** Takes the next piece; gives the events that it completes. Throws on one that is too large. */
  push(text: string): StreamEvent[] {
    const events: StreamEvent[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) events.push({ data: this.#data.join('\n'), id: this.#id });
        this.#data = [];
        this.#id = undefined;
        this.#length = 0;
        continue;
      }
      this.#length += line.length;
      const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
      if (name === 'data') this.#data.push(value);
      else if (name === 'id') this.#id = value;
    }
    if (this.#length + this.#rest.length > EVENT_LENGTH_MAX) throw new Error('an event is too large');
    return events;
  }
}
