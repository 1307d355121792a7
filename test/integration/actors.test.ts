import { ApiClient, startApp, type TestApp } from '../support/index.js';

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.stop());

it('answers each of many requests at once, and each as who asks', async () => {
  const people = await Promise.all(Array.from({ length: 4 }, () => ApiClient.signUp(app.url)));
  const answers = await Promise.all(
    Array.from({ length: 60 }, async (_, index) => {
      const person = people[index % people.length] as ApiClient;
      const { viewer } = await person.query('{ viewer { email } }');
      return viewer.email === person.email;
    }),
  );
  expect(answers).toEqual(Array(60).fill(true));
});
