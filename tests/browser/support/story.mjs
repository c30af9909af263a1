/**
 * A small world for pictures: people who have something to talk about.
 */
import { Caller } from './calls.mjs';

const LONG_AGO = ['Morning all!', 'Did the seeds arrive?', 'Not yet, the post is late', 'I can ask at the office', 'Please do'];

/** Makes the people and rooms; gives the callers. Mira is who looks at the page. */
export async function tell(url) {
  const names = { mira: 'Mira Castell', jonas: 'Jonas Weber', aiko: 'Aiko Tanaka', leo: 'Leo Marsh', sana: 'Sana Iqbal' };
  const people = {};
  for (const [user, name] of Object.entries(names)) people[user] = await Caller.register(url, user, name);
  const { mira, jonas, aiko, leo, sana } = people;
  const rooms = {};
  const start = async (caller, payload) => (await caller.append('room.create', payload)).room.room_id;

  rooms.news = await start(sana, { kind: 'channel', name: 'Announcements', topic: 'News of the house', public: true, members: ['mira', 'jonas', 'aiko'] });
  await sana.say(rooms.news, 'The roof is done. **Thank you** to everybody who carried tiles!');
  rooms.books = await start(aiko, { kind: 'group', name: 'Book club', topic: 'This month: *The Summer Book*', public: true, members: ['mira', 'sana'] });
  await aiko.say(rooms.books, 'Chapter three is my favourite so far');
  await sana.say(rooms.books, 'The one with the tent? Mine too');
  rooms.leo = await start(leo, { kind: 'direct', members: ['mira'] });
  await mira.say(rooms.leo, 'Did you find the spare key?');
  await leo.say(rooms.leo, 'Yes, under the flower pot, where else');
  rooms.kitchen = await start(jonas, { kind: 'group', name: 'Kitchen rota', members: ['mira', 'leo', 'sana'] });
  await jonas.say(rooms.kitchen, 'Who cooks on Thursday?');
  await leo.say(rooms.kitchen, '@mira it is your turn, I think', { mentions: ['mira'] });
  rooms.square = await start(leo, { kind: 'group', name: 'Market square', topic: 'Swap, lend, give away', public: true });
  await leo.say(rooms.square, 'Anyone need a ladder?');
  await start(sana, { kind: 'group', name: 'Night sky', topic: 'Clear nights on the roof', public: true });
  await start(aiko, { kind: 'channel', name: 'Library', topic: 'New on the shelf in the hall', public: true });

  rooms.garden = await start(mira, { kind: 'group', name: 'Garden', topic: 'Beds, seeds and watering', members: ['jonas', 'aiko', 'sana'] });
  for (const text of LONG_AGO) await [jonas, aiko, mira][LONG_AGO.indexOf(text) % 3].say(rooms.garden, text);
  await jonas.say(rooms.garden, 'The tomatoes are ripe. All of them. At once. 🍅');
  await jonas.say(rooms.garden, 'Harvest on Saturday? I would start at nine');
  const plan = await mira.say(rooms.garden, 'Saturday works! I bring:\n\n- two baskets\n- the big ladder\n- lemonade');
  await aiko.say(rooms.garden, 'Count me in. @mira could you also bring the gloves?', { mentions: ['mira'], reply_to: plan.seq });
  await mira.say(rooms.garden, 'Will do. The watering plan is here: https://example.org/watering');
  await sana.say(rooms.garden, 'The pump needs `3 bar`, last year somebody left it at 5:\n\n```\npressure = 3.0\ntimer    = "06:00"\n```');
  await jonas.say(rooms.garden, 'That somebody was me 🙈');
  const last = await mira.say(rooms.garden, 'All forgiven. See you on Saturday!');
  // What is told below has been read; the other rooms keep their counts.
  await mira.append('receipt.read', { room_id: rooms.garden, seq: last.seq });
  return { people, rooms };
}
