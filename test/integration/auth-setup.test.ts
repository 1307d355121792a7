import { SetupService } from '../../src/modules/auth/index.js';
import { startApp, type TestApp } from '../support/index.js';

const PASSWORD = 'correct horse battery';

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.stop());

interface Auth {
  session: { accessToken: string; viewer: { id: string; email: string } } | null;
  userErrors: { code: string; field: string[] | null }[];
}

async function completeSetup(setupToken: string, email = 'root@localhost'): Promise<Auth> {
  const { data } = await app.graphql<{ completeSetup: Auth }>(
    `mutation ($input: CompleteSetupInput!) { completeSetup(input: $input) {
       session { accessToken viewer { id email } } userErrors { code field } } }`,
    { input: { setupToken, email, password: PASSWORD, displayName: 'Root' } },
  );
  return data.completeSetup;
}

const link = () => app.get(SetupService).linkOnFirstStart();
const tokenOf = (url: string | null) => url?.split('#token=')[1] as string;
const refused = { session: null, userErrors: [{ code: 'SETUP_TOKEN_INVALID', field: ['setupToken'] }] };

// The tests go on from one another, as an installation does.
it('is refused before there is a link, and with a guess', async () => {
  expect(await completeSetup('')).toEqual(refused);
  expect(await completeSetup('a\u0000b')).toEqual(refused);
});

it('has one link, the same at every start and on every replica, of which only a hash is kept', async () => {
  const first = await link();
  expect(first).toMatch(new RegExp(`^${app.config.publicUrl}/setup#token=[\\w-]{43}$`));
  expect(await link()).toBe(first);
  const rows = await app.database.query(`SELECT encode(setup_token_hash, 'base64') AS hash FROM installation`);
  expect(rows).toHaveLength(1);
  expect(rows[0]?.hash).not.toBe(Buffer.from(tokenOf(first), 'base64url').toString('base64'));
  expect(await completeSetup('guess')).toEqual(refused);
});

it('keeps the token when the address is taken or the input is wrong', async () => {
  const token = tokenOf(await link());
  const { data } = await app.graphql<{ register: Auth }>(
    `mutation ($input: RegisterInput!) { register(input: $input) { userErrors { code } } }`,
    { input: { email: 'early@localhost', password: PASSWORD, displayName: 'Early' } },
  );
  expect(data.register.userErrors).toEqual([]);
  expect((await completeSetup(token, 'EARLY@localhost')).userErrors).toEqual([
    { code: 'EMAIL_TAKEN', field: ['email'] },
  ]);
  expect((await completeSetup(token, 'nobody')).userErrors).toEqual([{ code: 'INVALID_INPUT', field: ['email'] }]);
});

it('makes one administrator, also when ten come at once', async () => {
  const token = tokenOf(await link());
  const answers = await Promise.all([...Array(10).keys()].map((n) => completeSetup(token, `root${n}@localhost`)));
  const made = answers.filter((answer) => answer.session);
  expect(made).toHaveLength(1);
  for (const answer of answers) if (!answer.session) expect(answer).toEqual(refused);
  const admins = await app.database.query<{ email: string }>(`SELECT email FROM app_user WHERE role = 'ADMIN'`);
  expect(admins).toEqual([{ email: made[0]?.session?.viewer.email }]);
  expect(await app.database.query('SELECT count(*)::int AS users FROM app_user')).toEqual([{ users: 2 }]);

  expect(await link()).toBeNull();
  expect(await completeSetup(token, 'late@localhost')).toEqual(refused);
});
