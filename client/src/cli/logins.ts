import { utimes } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { mutate } from './api.js';
import { EXIT, Problem } from './problem.js';

/**
 * Who is signed in where, for every process of this person: in one file that nobody else may read. A refresh token works
 * once, so one process at a time renews, and the others take what it wrote.
 */
export interface Login {
  refreshToken: string;
  accessToken: string;
  /** ISO 8601 */
  accessTokenExpiresAt: string;
  displayName: string;
}
interface Logins {
  /** Where the last login was: what counts without --endpoint. */
  endpoint: string | null;
  logins: Record<string, Login>;
}

export const SESSION = 'session { accessToken accessTokenExpiresAt refreshToken viewer { displayName } }';
export interface SessionPayload {
  session: Omit<Login, 'displayName'> & { viewer: { displayName: string } };
}

const EARLY_MS = 60_000;
/** Whoever holds the lock says so this often; who has not for longer is gone. */
const ALIVE_MS = 5_000;
const STALE_LOCK_MS = 30_000;

const folder = () => join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'sluice');
export const loginsFile = (): string => join(folder(), 'logins.json');

async function read(): Promise<Logins> {
  try {
    return JSON.parse(await readFile(loginsFile(), 'utf8')) as Logins;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { endpoint: null, logins: {} };
    throw new Problem(`${loginsFile()} cannot be read (${(error as Error).message}). Remove it and sign in again.`);
  }
}

async function write(logins: Logins): Promise<void> {
  const part = `${loginsFile()}.${process.pid}`;
  await writeFile(part, `${JSON.stringify(logins, null, 2)}\n`, { mode: 0o600, flush: true });
  await rename(part, loginsFile());
}

/** Alone among the processes that share the file. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  const lock = `${loginsFile()}.lock`;
  await mkdir(dirname(lock), { recursive: true, mode: 0o700 });
  for (;;) {
    try {
      await (await open(lock, 'wx', 0o600)).close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      // Of whichever side of now: the clock may have been set back since.
      const held = await stat(lock).catch((problem: NodeJS.ErrnoException) => {
        if (problem.code !== 'ENOENT') throw problem;
        return null;
      });
      if (held && Math.abs(Date.now() - held.mtimeMs) > STALE_LOCK_MS) await rm(lock, { force: true });
      else await pause(50);
    }
  }
  // Where it is gone, somebody took it from a process that slept: the server takes both in the same seconds.
  const alive = setInterval(() => utimes(lock, new Date(), new Date(), () => undefined), ALIVE_MS);
  try {
    return await work();
  } finally {
    clearInterval(alive);
    await rm(lock, { force: true });
  }
}

export function keep(endpoint: string, { session }: SessionPayload): Promise<void> {
  const { viewer, ...tokens } = session;
  return alone(async () => {
    const { logins } = await read();
    await write({ endpoint, logins: { ...logins, [endpoint]: { ...tokens, displayName: viewer.displayName } } });
  });
}

export function forget(endpoint: string): Promise<void> {
  return alone(async () => {
    const known = await read();
    const { [endpoint]: _, ...logins } = known.logins;
    await write({ endpoint: known.endpoint === endpoint ? null : known.endpoint, logins });
  });
}

/** What is kept of it, if there is anything. */
export const loginAt = async (endpoint: string): Promise<Login | undefined> => (await read()).logins[endpoint];

/** Where to: as said, else where the last login was, else the server that `npm start` runs. */
export async function endpointOf(given: string | undefined): Promise<string> {
  if (given === undefined) return (await read()).endpoint ?? 'http://localhost:3000';
  const local = /^(localhost|127\.|\[::1\])/.test(given);
  const url = /^https?:\/\//.test(given) ? given : `${local ? 'http' : 'https'}://${given}`;
  if (!URL.canParse(url)) {
    throw new Problem(`--endpoint ${given} is no address such as https://video.example.org.`, EXIT.usage);
  }
  return new URL(url).href.replace(/\/+$/, '');
}

export const signedOut = (endpoint: string): Problem =>
  new Problem(`You are not signed in to ${endpoint}. Run: npx sluice login --endpoint ${endpoint}`, EXIT.signedOut);

/**
 * An access token that is good for a minute at least, renewed where need be.
 * @param refused one that the server took no more, whatever the clock says
 * @throws Problem (exit code 3) where the login has ended
 */
export async function accessToken(endpoint: string, refused: string | null = null): Promise<string> {
  const good = (login: Login | undefined) =>
    login && login.accessToken !== refused && Date.parse(login.accessTokenExpiresAt) - EARLY_MS > Date.now();
  const known = await loginAt(endpoint);
  if (!known) throw signedOut(endpoint);
  if (good(known)) return known.accessToken;
  const renewal = alone(async () => {
    const all = await read();
    const now = all.logins[endpoint];
    if (!now) throw signedOut(endpoint);
    if (good(now)) return now.accessToken;
    const { session } = await refresh(endpoint, now.refreshToken);
    const { viewer, ...tokens } = session;
    await write({ ...all, logins: { ...all.logins, [endpoint]: { ...tokens, displayName: viewer.displayName } } });
    return tokens.accessToken;
  });
  renewals.add(renewal);
  return renewal.finally(() => renewals.delete(renewal));
}

const renewals = new Set<Promise<string>>();
const RENEWAL_MS = 5_000;

/** Before the process ends: a new token that is not kept leaves one behind that was used. Waits 5 s at most. */
export async function renewalsOver(): Promise<void> {
  await Promise.race([Promise.allSettled(renewals), pause(RENEWAL_MS)]);
}

/** @throws Problem (exit code 3) where it is used up, or its login has ended */
export async function refresh(endpoint: string, refreshToken: string): Promise<SessionPayload> {
  try {
    return await mutate<SessionPayload>(
      endpoint,
      `mutation ($input: RefreshSessionInput) { payload: refreshSession(input: $input) { ${SESSION} userErrors { code message } } }`,
      { input: { refreshToken } },
    );
  } catch (error) {
    if (error instanceof Problem && error.code === 'REFRESH_TOKEN_INVALID') throw signedOut(endpoint);
    throw error;
  }
}
