import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { ask, mutate } from './api.js';
import { noMore, parse } from './args.js';
import {
  accessToken,
  endpointOf,
  forget,
  keep,
  loginAt,
  loginsFile,
  refresh,
  SESSION,
  type SessionPayload,
  signedOut,
} from './logins.js';
import { Away, EXIT, Problem, plain } from './problem.js';

export const LOGIN_HELP = `npx sluice login [--endpoint URL] [--email ADDRESS] [--token -]

Signs in and stays so. What is kept is a token that is renewed with each use and ends 30 days after the last, in
~/.config/sluice/logins.json (or below XDG_CONFIG_HOME), readable by you alone. The password is not kept.

  --endpoint URL    the server; without it, where you were signed in last, or http://localhost:3000
  --email ADDRESS   asked for where it is left out
  --token TOKEN     a refresh token instead of address and password; - reads it from standard input
  --help            this

Examples:
  npx sluice login --endpoint https://video.example.org
  npx sluice login --email ada@example.org < password.txt       # without a terminal, the password comes this way
  printf %s "$REFRESH_TOKEN" | npx sluice login --token -
`;

export async function login(args: string[]): Promise<number> {
  const { values, positionals } = parse(args, {
    endpoint: { type: 'string' },
    email: { type: 'string' },
    token: { type: 'string' },
  });
  noMore(positionals);
  const endpoint = await endpointOf(values.endpoint);
  const payload = await (values.token === undefined
    ? withPassword(endpoint, values.email)
    : withToken(endpoint, values.token));
  await keep(endpoint, payload);
  process.stdout.write(
    `Signed in to ${endpoint} as ${plain(payload.session.viewer.displayName)}. Kept in ${loginsFile()}.\n`,
  );
  return EXIT.done;
}

async function withToken(endpoint: string, given: string): Promise<SessionPayload> {
  const token = given === '-' ? await firstLine() : given;
  try {
    return await refresh(endpoint, token);
  } catch (error) {
    if (!(error instanceof Problem) || error.exitCode !== EXIT.signedOut) throw error;
    throw new Problem(`${endpoint} does not take this token: it was used before, or has ended.`, EXIT.signedOut);
  }
}

async function withPassword(endpoint: string, given: string | undefined): Promise<SessionPayload> {
  if (!process.stdin.isTTY && given === undefined) {
    throw new Problem('Without a terminal, give --email, and the password on standard input.', EXIT.usage);
  }
  const email = given ?? (await question('E-mail: '));
  const password = process.stdin.isTTY ? await question('Password: ', { hidden: true }) : await firstLine();
  try {
    return await mutate<SessionPayload>(
      endpoint,
      `mutation ($input: LoginInput!) { payload: login(input: $input) { ${SESSION} userErrors { code message } } }`,
      { input: { email, password } },
    );
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'INVALID_CREDENTIALS') throw error;
    throw new Problem(error.message, EXIT.signedOut, error.code);
  }
}

async function question(text: string, { hidden = false } = {}): Promise<string> {
  const echo = new Writable({
    write: (chunk, _, done) => {
      if (!hidden) process.stderr.write(chunk);
      done();
    },
  });
  if (hidden) process.stderr.write(text);
  const asking = createInterface({ input: process.stdin, output: echo, terminal: true });
  try {
    return await new Promise((resolve, reject) => {
      asking.once('SIGINT', () => reject(new Problem('Not signed in.', EXIT.interrupted)));
      asking.once('close', () => reject(new Problem('Not signed in.', EXIT.usage)));
      asking.question(hidden ? '' : text).then(resolve, reject);
    });
  } finally {
    asking.close();
    if (hidden) process.stderr.write('\n');
  }
}

/** Of standard input: what was piped in. */
async function firstLine(): Promise<string> {
  for await (const line of createInterface({ input: process.stdin })) return line;
  throw new Problem('Standard input is empty.', EXIT.usage);
}

export const LOGOUT_HELP = `npx sluice logout [--endpoint URL]

Ends what \`login\` began: on the server and on this machine.

  --endpoint URL    the server; without it, where you were signed in last
  --help            this
`;

export async function logout(args: string[]): Promise<number> {
  const { values, positionals } = parse(args, { endpoint: { type: 'string' } });
  noMore(positionals);
  const endpoint = await endpointOf(values.endpoint);
  if (!(await loginAt(endpoint))) throw signedOut(endpoint);
  try {
    await ask(endpoint, 'mutation { logout { userErrors { code } } }', {}, await accessToken(endpoint));
  } catch (error) {
    // Ended already: that is what was wanted.
    if (!(error instanceof Problem) || error instanceof Away || error.exitCode !== EXIT.signedOut) throw error;
  }
  await forget(endpoint);
  process.stdout.write(`Signed out of ${endpoint}.\n`);
  return EXIT.done;
}
