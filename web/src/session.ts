import { UploadError } from '../../client/src/errors.js';
import { dataOf, type GraphQLAnswer, OperationFailed, openSocket, post } from './graphql.js';
import { kept } from './kept.js';

/**
 * Who is signed in, in this tab. The access token lives in memory only; the refresh token in a cookie that scripts
 * cannot read. `localStorage` remembers no more than whose cookie there may be: that spares strangers a request, and tells other
 * tabs, which share the cookie, when it is another's.
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
/** As it was when this tab last looked. */
let hint = kept.get(HINT);
/** Whom this tab takes for the viewer. */
let whose = hint;
let refreshing: Promise<AuthSession | null> | null = null;

const socket = openSocket(async () => ({ ...(await authorization()) }));

/** The session, renewed from the cookie where need be; null when nobody is signed in. */
export async function session(): Promise<AuthSession | null> {
  if (current && Date.parse(current.accessTokenExpiresAt) - EARLY_MS > Date.now()) return current;
  if (!current && kept.get(HINT) === null) {
    take(null);
    return null;
  }
  refreshing ??= alone(refresh).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

/** Tells when somebody else is signed in, or nobody any more: here or in another tab. @returns how to stop */
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
export async function signIn(email: string, password: string): Promise<UserError[]> {
  const query = `mutation ($input: LoginInput!) { auth: login(input: $input) ${FIELDS} }`;
  const { session, userErrors } = await authenticate(query, { email, password, cookie: true });
  if (session) {
    socket.terminate(); // what is subscribed goes on as the new user
    become(session);
  }
  return userErrors;
}

export async function register(email: string, password: string, displayName: string): Promise<UserError[]> {
  const query = `mutation ($input: RegisterInput!) { auth: register(input: $input) ${FIELDS} }`;
  const { userErrors } = await authenticate(query, { email, password, displayName });
  return userErrors.length > 0 ? userErrors : signIn(email, password);
}

/** Makes the administrator, with the token that the first start prints. */
export async function setUp(
  setupToken: string,
  email: string,
  password: string,
  displayName: string,
): Promise<UserError[]> {
  const query = `mutation ($input: CompleteSetupInput!) { auth: completeSetup(input: $input) ${FIELDS} }`;
  const { userErrors } = await authenticate(query, { setupToken, email, password, displayName });
  return userErrors.length > 0 ? userErrors : signIn(email, password);
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
  become(null);
}

async function authenticate(query: string, input: Record<string, unknown>): Promise<AuthAnswer['auth']> {
  return dataOf<AuthAnswer>(await post({ query, variables: { input } }, {})).auth;
}

async function refresh(): Promise<AuthSession | null> {
  const answer = await post({ query: `mutation { auth: refreshSession ${FIELDS} }` }, {});
  become(codeOf(answer) === 'UNAUTHENTICATED' ? null : dataOf<AuthAnswer>(answer).auth.session);
  return current;
}

function become(known: AuthSession | null): void {
  current = known;
  const id = known?.viewer.id ?? null;
  if (id === null) kept.remove(HINT);
  else kept.set(HINT, id);
  hint = kept.get(HINT);
  take(id);
}

function take(id: string | null): void {
  if (id === whose) return;
  whose = id;
  for (const listener of listeners) listener();
}

/** Another tab may have signed in or out. */
function lookAround(): void {
  const now = kept.get(HINT);
  if (now === hint) return;
  hint = now;
  current = null;
  socket.terminate();
  take(now);
}
window.addEventListener('storage', lookAround);
// A page that was kept as it was left has heard of nothing.
window.addEventListener('pageshow', lookAround);

/** Tabs share the cookie, and a refresh token may be used once: one tab at a time, where the browser can say so. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? navigator.locks.request('sluice.refresh', work) : work();
}

function codeOf(answer: GraphQLAnswer): string | undefined {
  return answer.errors?.[0]?.extensions?.code;
}
