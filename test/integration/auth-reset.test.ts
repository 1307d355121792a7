import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { Mailer } from '../../src/common/mail/index.js';
import { ApiClient, startApp, type TestApp, until } from '../support/index.js';

const NEW_PASSWORD = 'another long one';
let app: TestApp;
let smtp: SMTPServer;
let mails: { to: string[]; from: string; body: string }[];
/** How many of the next mails are refused. */
let refusing: number;

beforeAll(async () => {
  mails = [];
  refusing = 0;
  smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onAuth: ({ username, password }, _, done) =>
      username === 'sluice' && password === 'right' ? done(null, { user: username }) : done(new Error('not you')),
    onData: async (stream, { envelope }, done) => {
      const body = await text(stream);
      if (refusing-- > 0) return done(new Error('try again later'));
      const { mailFrom } = envelope;
      mails.push({ to: envelope.rcptTo.map(({ address }) => address), from: mailFrom ? mailFrom.address : '', body });
      done();
    },
  });
  smtp.listen(0, '127.0.0.1');
  await once(smtp.server, 'listening');
  const { port } = smtp.server.address() as AddressInfo;
  app = await startApp({ smtp: { url: `smtp://sluice:right@127.0.0.1:${port}`, from: 'Sluice <video@example.org>' } });
});
afterAll(async () => {
  await app.stop();
  await new Promise<void>((done) => smtp.close(done));
});
beforeEach(() => {
  mails.length = 0;
});

const request = async (client: ApiClient, email: string): Promise<{ code: string }[]> =>
  (
    await client.query(
      'mutation ($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { userErrors { code } } }',
      { input: { email } },
    )
  ).requestPasswordReset.userErrors;
const reset = async (client: ApiClient, resetToken: string, password: string): Promise<{ code: string }[]> =>
  (
    await client.query(
      'mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { userErrors { code } } }',
      { input: { resetToken, password } },
    )
  ).resetPassword.userErrors;
const login = async (client: ApiClient, password: string): Promise<{ code: string }[]> =>
  (
    await client.query('mutation ($input: LoginInput!) { login(input: $input) { userErrors { code } } }', {
      input: { email: client.email, password },
    })
  ).login.userErrors;

async function mailTo(client: ApiClient): Promise<{ token: string; body: string; from: string }> {
  const mail = await until(
    async () => mails.find(({ to }) => to.includes(client.email as string)),
    (found) => found !== undefined,
    20,
  );
  const body = (mail?.body ?? '').replaceAll('=\r\n', '').replaceAll('=3D', '=');
  const [, link, token] = /(http\S+\/reset)#token=([\w-]+)/.exec(body) ?? [];
  expect(link).toBe(`${app.url}/reset`);
  return { token: token as string, body, from: mail?.from ?? '' };
}

it('mails a link that sets a new password once, and ends every session', async () => {
  const ada = await ApiClient.signUp(app.url);
  expect(await request(ada, (ada.email as string).toUpperCase())).toEqual([]);
  const { token, from } = await mailTo(ada);
  expect(from).toBe('video@example.org');
  expect(await reset(ada, token, 'short')).toEqual([{ code: 'INVALID_INPUT' }]);
  const twice = await Promise.all([reset(ada, token, NEW_PASSWORD), reset(ada, token, NEW_PASSWORD)]);
  expect(twice.flat()).toEqual([{ code: 'RESET_TOKEN_INVALID' }]);
  expect(await ada.post('{ viewer { id } }')).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  ada.token = null;
  expect(await login(ada, 'correct horse battery')).toEqual([{ code: 'INVALID_CREDENTIALS' }]);
  expect(await login(ada, NEW_PASSWORD)).toEqual([]);
});

it('answers a stranger the same, and mails nothing', async () => {
  const nobody = new ApiClient(app.url);
  expect(await request(nobody, 'nobody@example.org')).toEqual([]);
  await until(
    () =>
      app.database.query<{ state: string }>(`SELECT state FROM job WHERE payload ->> 'account' = 'nobody@example.org'`),
    ([job]) => job?.state === 'DONE',
  );
  expect(mails).toEqual([]);
});

it('mails once in five minutes, and again after a refusal', async () => {
  const ada = await ApiClient.signUp(app.url);
  refusing = 1;
  await request(ada, ada.email as string);
  await request(ada, ada.email as string);
  const { token } = await mailTo(ada);
  const jobs = await app.database.query(`SELECT id FROM job WHERE payload ->> 'account' = $1`, [ada.email]);
  expect(jobs).toHaveLength(1);
  expect(await reset(ada, token, NEW_PASSWORD)).toEqual([]);
});

it('takes no old link', async () => {
  const ada = await ApiClient.signUp(app.url);
  await request(ada, ada.email as string);
  const { token } = await mailTo(ada);
  await app.database.query(`UPDATE password_reset SET expires_at = now() - interval '1 s'`);
  expect(await reset(ada, token, NEW_PASSWORD)).toEqual([{ code: 'RESET_TOKEN_INVALID' }]);
  expect(await login(ada, 'correct horse battery')).toEqual([]);
});

it('stops who asks for many', async () => {
  const somebody = new ApiClient(app.url);
  const codes = [];
  for (let k = 0; k < 25; k++) {
    const { errors } = await somebody.post(
      'mutation ($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { userErrors { code } } }',
      { input: { email: `p${k}@example.org` } },
    );
    codes.push(errors?.[0]?.extensions?.code);
  }
  expect(codes.filter(Boolean)).toContain('RATE_LIMITED');
});

it('says so where no mail is sent, and whether the server takes us', async () => {
  const off = new Mailer({ smtp: null });
  expect(off.configured).toBe(false);
  await expect(off.verify()).rejects.toThrow('SMTP_URL is not set');
  await app.get(Mailer).verify();
  const { port } = smtp.server.address() as AddressInfo;
  const wrong = new Mailer({ smtp: { url: `smtp://sluice:wrong@127.0.0.1:${port}`, from: 'a@example.org' } });
  await expect(wrong.verify()).rejects.toThrow('not you');
  await wrong.onApplicationShutdown();
  const without = await startApp();
  try {
    expect(await request(new ApiClient(without.url), 'ada@example.org')).toEqual([{ code: 'MAIL_OFF' }]);
  } finally {
    await without.stop();
  }
});
