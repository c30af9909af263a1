/**
 * The transport of browsers: the `WebSocket` they bring.
 *
 * Absent: the server's Pings, which a browser answers and does not show, and why an upgrade was refused, which it hides. The
 * state machine asks by `ping` instead, and backs off.
 */
import { socketUrl, type Link, type LinkEvents, type Transport } from '../transport.js';

export class WebSocketTransport implements Transport {
  readonly #url: string;

  /** Goes to the server at this address, as `https://chat.example`. */
  constructor(server: string) {
    this.#url = socketUrl(server);
  }

  open(events: LinkEvents): Link {
    const socket = new WebSocket(this.#url, 'parlor.v1');
    socket.onopen = () => events.opened();
    socket.onmessage = ({ data }) => (typeof data === 'string' ? events.text(data) : events.alive());
    socket.onclose = ({ code, reason }) => events.closed(code === 1006 ? {} : { code, reason });
    return {
      send: (text) => { if (socket.readyState === WebSocket.OPEN) socket.send(text); },
      drop: (code) => {
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close(code);
      },
    };
  }
}
