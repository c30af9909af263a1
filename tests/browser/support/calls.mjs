/**
 * The server by HTTP: making what a test needs to be there before a page looks at it.
 */
import { randomUUID } from 'node:crypto';
import { PASSWORD } from './people.mjs';

async function answerOf(response) {
  if (!response.ok) throw new Error(`${response.status} of ${response.url}: ${await response.text()}`);
  return response.json();
}

function post(url, body, token) {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  }).then(answerOf);
}

/** A user without a page. */
export class Caller {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  static async register(url, user_id, name) {
    const { token } = await post(`${url}/v1/auth/register`, { user_id, password: PASSWORD, ...(name && { name }) });
    return new Caller(url, token);
  }

  static async login(url, user_id) {
    const { token } = await post(`${url}/v1/auth/login`, { user_id, password: PASSWORD });
    return new Caller(url, token);
  }

  /** Sends one frame that appends; gives its ack. */
  async append(type, payload) {
    const [answer] = await this.frames([{ type, payload }]);
    return answer.payload;
  }

  /** Sends frames, at most a hundred; throws at the first refusal. */
  async frames(frames) {
    const answers = await post(`${this.url}/v1/frames`, frames.map((frame) => ({ msg_id: randomUUID(), ...frame })), this.token);
    for (const answer of answers) if (answer.type === 'error') throw new Error(JSON.stringify(answer.payload));
    return answers;
  }

  say(room_id, text, more = {}) {
    return this.append('message.send', { room_id, body: { text, format: 'markdown' }, ...more });
  }

  /** Sends many messages, in order: `text` gives the nth, counted from 0. */
  async sayMany(room_id, count, text) {
    for (let from = 0; from < count; from += 100) {
      const frames = Array.from({ length: Math.min(100, count - from) }, (_, n) => ({
        type: 'message.send', payload: { room_id, body: { text: text(from + n), format: 'markdown' } },
      }));
      await this.frames(frames);
    }
  }
}
