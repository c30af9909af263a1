/**
 * A chat in a terminal, on the TypeScript client in Node.
 *
 *     PARLOR_PASSWORD=… node examples/terminal.mjs http://127.0.0.1:8080 ben ROOM
 *
 * Makes the account when there is none, joins the room, shows its last 20 messages and what comes; each line is sent. What is typed without a
 * connection waits, and is sent when it is back. At the end of the input it ends once all is sent, so that it works in a pipe too.
 *
 * The client is built before: `npm ci --prefix clients/typescript && npm run build --prefix clients/typescript`. An application has it as a package,
 * and imports from 'parlor-client'.
 */
import { clearLine, createInterface, cursorTo, moveCursor } from 'node:readline';
import { Accounts, LoginTokens, MemoryLoginStore, ParlorError, connect } from '../clients/typescript/dist/node.js';

const HISTORY = 20;
/** How long what is not sent yet is waited for at the end of the input. */
const LAST_MS = 10_000;

const [url, user_id, room_id] = process.argv.slice(2);
const password = process.env.PARLOR_PASSWORD;
if (!room_id || !password) {
  console.error('usage: PARLOR_PASSWORD=… node examples/terminal.mjs URL USER ROOM');
  process.exit(2);
}

const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
let isOver = false;
let connection = 'connecting';
let waiting = 0;

/** Other people's texts do not move the cursor, nor turn the line around. */
const plain = (text) => text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, ' ');

function prompt() {
  if (!isTerminal || isOver) return;
  const notes = [connection !== 'online' && connection, waiting > 0 && `${waiting} to send`].filter(Boolean);
  lines.setPrompt(`${user_id}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}> `);
  lines.prompt(true);
}

/** Writes a line above the one that is being typed. */
function show(line) {
  if (isTerminal) {
    cursorTo(process.stdout, 0);
    clearLine(process.stdout, 0);
  }
  console.log(line);
  prompt();
}

let shown = 0;
function showEvent({ type, payload }) {
  // The history and the connection may both bring it.
  if (payload.room_id !== room_id || payload.seq <= shown) return;
  shown = payload.seq;
  if (type === 'message') show(`${payload.sender}: ${plain(payload.body.text ?? '(not a text)')}`);
}

/** Logs in, with a new account where there is none. */
async function logIn(accounts) {
  try {
    return await accounts.register(user_id, password);
  } catch (error) {
    if (error instanceof ParlorError && error.code === 'conflict') return accounts.login(user_id, password);
    throw error;
  }
}

function fail(error) {
  console.error(`parlor: ${error.message}`);
  process.exit(1);
}

const accounts = new Accounts(url);
const login = await logIn(accounts).catch(fail);
// From here on what is typed is heard.
const lines = createInterface({ input: process.stdin, output: isTerminal ? process.stdout : undefined });
const client = connect({ url, user_id, tokens: new LoginTokens(accounts, new MemoryLoginStore(login)) });

// What comes while the history is on its way is shown after it.
const early = [];
let take = (event) => early.push(event);
client.on('event', (event) => take(event));
client.on('state', (state) => {
  connection = state.name;
  if (state.name === 'stopped' && state.reason.why !== 'stopped') fail(new Error(state.reason.message));
  prompt();
});

const sent = new Set();
lines.on('line', (text) => {
  if (isTerminal) {
    // The line comes back as an event, once it is in the room.
    moveCursor(process.stdout, 0, -1);
    clearLine(process.stdout, 0);
  }
  if (!text.trim()) return prompt();
  waiting += 1;
  const done = client.send(room_id, text).done
    .catch((error) => {
      process.exitCode = 1;
      show(`not sent: ${text} (${error.message})`);
    })
    .finally(() => {
      waiting -= 1;
      sent.delete(done);
      prompt();
    });
  sent.add(done);
  prompt();
});
const ended = new Promise((end) => lines.once('close', end));
void ended.then(() => { isOver = true; });

// Who is in already joins again without effect.
await client.append('room.join', { room_id }).done.catch(fail);
const { events } = await client.request('history.get', { room_id, limit: HISTORY }).catch(fail);
for (const event of [...events, ...early]) showEvent(event);
take = showEvent;

await ended;
await Promise.race([Promise.all(sent), new Promise((late) => { setTimeout(late, LAST_MS).unref(); })]);
if (waiting > 0) fail(new Error(`not sent yet, and given up: ${waiting}`));
client.stop();
