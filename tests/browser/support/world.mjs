/**
 * What most browser tests begin with: a server, a browser, and people who are signed in; all of it ends with the file.
 */
import { after, before } from 'node:test';
import { Person, launch } from './people.mjs';
import { Server } from './server.mjs';

/** `settings` are environment variables of the server, `flags` are the browser's. */
export function world(settings = {}, flags = []) {
  const it = {
    server: undefined,
    browser: undefined,
    people: [],
    /** Somebody new, with an account and an empty profile. */
    async arrives(name, options) {
      const person = await Person.arrive(it.browser, name, it.server.page, options);
      it.people.push(person);
      return person.signUp();
    },
    /** Another device of somebody. */
    async again(name, options) {
      const person = await Person.arrive(it.browser, name, it.server.page, options);
      it.people.push(person);
      return person.signIn();
    },
    /** No page had an error, a warning or a violation of its policy. */
    content() { for (const person of it.people) person.content(); },
  };
  before(async () => {
    it.server = await Server.start(settings);
    it.browser = await launch(flags);
  });
  after(async () => {
    await it.browser?.close();
    await it.server?.end();
  });
  return it;
}
