import { UploadError } from '../../client/src/errors.js';
import { dataOf, type GraphQLAnswer, OperationFailed, openSocket, post } from './graphql.js';
import { kept } from './kept.js';

/**
 * Who is signed in, in this tab. The access token lives in memory only; the refresh token in a cookie that scripts
 * cannot read. `localStorage` remembers no more than that there may be such a cookie, to spare strangers a request.
 */
interface AuthSession {
  accessToken: string;
  accessTokenExpiresAt: string;
  viewer: { id: string; displayName: string };
}
export interface UserError {
  code: string;
  message: string;
  field: string[] | null;
}
interface AuthAnswer {
  auth: { session: AuthSession | null; userErrors: UserError[] };
}

const HINT = 'sluice.signedIn';
const EARLY_MS = 60_000;
const FIELDS = `{ session { accessToken accessTokenExpiresAt viewer { id displayName } } userErrors { code message field } }`;

const listeners = new Set<() => void>();
let current: AuthSession | null = null;
let refreshing: Promise<AuthSession | null> | null = null;

const socket = openSocket(async () => ({ ...(await authorization()) }));

/** The session, renewed from the cookie where need be; null when nobody is signed in. */
export async function session(): Promise<AuthSession | null> {
  if (current && Date.parse(current.accessTokenExpiresAt) - EARLY_MS > Date.now()) return current;
  if (!current && kept.get(HINT) === null) return null;
  refreshing ??= alone(refresh).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

/** Tells when somebody signed in or out on this page. @returns how to stop */
export function onSession(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether somebody is signed in, as far as can be told without asking. */
export const seemsSignedIn = (): boolean => current !== null || kept.get(HINT) !== null;

/** Headers, and likewise connection parameters, that say who asks. */
export async function authorization(): Promise<Record<string, string>> {
  const known = await session();
  return known ? { authorization: `Bearer ${known.accessToken}` } : {};
}

/** What an upload shows to the server; `expired` where that took the last one no more. */
export async function accessToken({ expired }: { expired: boolean }): Promise<string> {
  if (expired) current = null;
  const known = await session();
  if (!known) throw new UploadError('UNAUTHENTICATED', 'You are signed out. Sign in, and choose the same file again.');
  return known.accessToken;
}

/** A query or mutation as whoever is signed in. Throws `OperationFailed`. */
export async function request<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
  const ask = async () => post({ query, variables }, await authorization());
  const answer = await ask();
  if (codeOf(answer) !== 'UNAUTHENTICATED' || !current) return dataOf<Data>(answer);
  current = null; // ended from elsewhere, or the clocks differ: once more with a new token
  return dataOf<Data>(await ask());
}

/** A subscription as whoever is signed in, until `signal` aborts. Reconnects by itself; throws `OperationFailed`. */
export async function* live<Data>(
  query: string,
  variables: Record<string, unknown>,
  signal: AbortSignal,
): AsyncGenerator<Data> {
  const answers = socket.iterate<Record<string, unknown>>({ query, variables });
  const stop = () => void answers.return?.();
  signal.addEventListener('abort', stop);
  try {
    for await (const answer of answers) yield dataOf<Data>(answer as GraphQLAnswer);
  } catch (error) {
    throw error instanceof Error ? error : new OperationFailed(JSON.stringify(error), 'NETWORK');
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

/** Signs in and stays so: the answer sets the cookie. */
export function signIn(email: string, password: string): Promise<UserError[]> {
  return authenticate(`mutation ($input: LoginInput!) { auth: login(input: $input) ${FIELDS} }`, {
    input: { email, password, cookie: true },
  });
}

export async function register(email: string, password: string, displayName: string): Promise<UserError[]> {
  const errors = await authenticate(`mutation ($input: RegisterInput!) { auth: register(input: $input) ${FIELDS} }`, {
    input: { email, password, displayName },
  });
  return errors.length > 0 ? errors : signIn(email, password);
}

/** Makes the administrator, with the token that the first start prints. */
export async function setUp(
  setupToken: string,
  email: string,
  password: string,
  displayName: string,
): Promise<UserError[]> {
  const errors = await authenticate(
    `mutation ($input: CompleteSetupInput!) { auth: completeSetup(input: $input) ${FIELDS} }`,
    { input: { setupToken, email, password, displayName } },
  );
  return errors.length > 0 ? errors : signIn(email, password);
}

/** Whether there is such an account is not told. */
export function requestPasswordReset(email: string): Promise<UserError[]> {
  return ask('requestPasswordReset(input: $input)', 'RequestPasswordResetInput', { email });
}

export function resetPassword(resetToken: string, password: string): Promise<UserError[]> {
  return ask('resetPassword(input: $input)', 'ResetPasswordInput', { resetToken, password });
}

async function ask(mutation: string, type: string, input: Record<string, string>): Promise<UserError[]> {
  const query = `mutation ($input: ${type}!) { answer: ${mutation} { userErrors { code message field } } }`;
  return dataOf<{ answer: { userErrors: UserError[] } }>(await post({ query, variables: { input } }, {})).answer
    .userErrors;
}

export async function signOut(): Promise<void> {
  await request('mutation { logout { userErrors { code } } }');
  current = null;
  forget();
}

async function authenticate(query: string, variables: Record<string, unknown>): Promise<UserError[]> {
  const { auth } = dataOf<AuthAnswer>(await post({ query, variables }, {}));
  if (auth.session) {
    current = auth.session;
    kept.set(HINT, 'yes');
    socket.terminate(); // what is subscribed goes on as the new user
    for (const listener of listeners) listener();
  }
  return auth.userErrors;
}

async function refresh(): Promise<AuthSession | null> {
  const answer = await post({ query: `mutation { auth: refreshSession ${FIELDS} }` }, {});
  if (codeOf(answer) === 'UNAUTHENTICATED') current = null;
  else current = dataOf<AuthAnswer>(answer).auth.session;
  if (!current) forget();
  return current;
}

function forget(): void {
  kept.remove(HINT);
  for (const listener of listeners) listener();
}

/** Tabs share the cookie, and a refresh token may be used once: one tab at a time, where the browser can say so. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? navigator.locks.request('sluice.refresh', work) : work();
}

function codeOf(answer: GraphQLAnswer): string | undefined {
  return answer.errors?.[0]?.extensions?.code;
}
