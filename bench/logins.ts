import { randomUUID } from 'node:crypto';
import argon2 from 'argon2';
import { WebSocket } from 'ws';
import type { Place } from './place.js';
import { median, quantile, table } from './report.js';

/** As src/modules/auth/login-throttle.ts has them. */
const OF_ACCOUNT = 5;
const OF_ADDRESS = 20;
const ALIASES = 5;
const AT_ONCE = 16;
const GOAL = 0.05;
/** As src/modules/auth/passwords.ts makes them. */
const COST = { type: argon2.argon2id, memoryCost: 65_536, timeCost: 3, parallelism: 1 } as const;

interface Guess {
  account: string;
  address: string;
}
interface Attack {
  name: string;
  guesses: number;
  /** Whose password was looked at: those that were answered that it is wrong. */
  compared: number;
  ofAccount: number;
  ofAddress: number;
}
export interface LoginsMeasured {
  attacks: Attack[];
  /** Milliseconds of each login with a wrong password, one after the other. */
  known: number[];
  unknown: number[];
}

export async function measureLogins(
  place: Place,
  { guesses, pairs }: { guesses: number; pairs: number },
): Promise<LoginsMeasured> {
  const server = await place.start('dist/main.js', '/readyz', {
    ROLE: 'api',
    LOG_LEVEL: 'info',
    TRUST_PROXY: '1',
  });
  const share = Math.floor(guesses / 5);
  const target = account();
  const few = Array.from({ length: 10 }, account);
  const attacks: [name: string, guesses: Guess[]][] = [
    [
      'one account, by aliases, from many addresses',
      fill(share, (n) => ({ account: target, address: address(Math.floor(n / ALIASES)) })),
    ],
    ['many accounts, from one address', fill(share, () => ({ account: account(), address: '203.0.113.1' }))],
    [
      'many accounts, from one /64',
      fill(share, (n) => ({ account: account(), address: `2001:db8:1:2::${(n + 1).toString(16)}` })),
    ],
    [
      'ten accounts, from many addresses',
      fill(share, (n) => ({ account: few[n % 10] as string, address: address(100_000 + Math.floor(n / ALIASES)) })),
    ],
  ];
  const measured: Attack[] = [];
  for (const [name, all] of attacks) {
    measured.push(tallied(name, all.length, await attack(server.url, all)));
    process.stderr.write(`${name}: done\n`);
  }
  const left = guesses - 4 * share;
  measured.push(
    tallied(
      'over a socket',
      left,
      await overSocket(
        server.url,
        fill(left, () => ({ account: account(), address: '' })),
      ),
    ),
  );
  return { attacks: measured, ...(await timed(place, server.url, pairs)) };
}

const fill = <T>(length: number, one: (index: number) => T): T[] => Array.from({ length }, (_, index) => one(index));
const account = () => `${randomUUID()}@example.org`;
const address = (n: number) => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;

const guessing = (guesses: readonly Guess[]) =>
  `mutation { ${guesses.map(({ account }, n) => `a${n}: login(input: { email: "${account}", password: "wrong horse battery" }) { userErrors { code } }`).join(' ')} }`;

async function ask(url: string, guesses: readonly Guess[]): Promise<string> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': guesses[0]?.address ?? '' },
    body: JSON.stringify({ query: guessing(guesses) }),
  });
  return response.text();
}

/** Five aliases in a request, sixteen requests at once. */
async function attack(url: string, guesses: readonly Guess[]): Promise<Guess[]> {
  const compared: Guess[] = [];
  const requests = fill(Math.ceil(guesses.length / ALIASES), (n) =>
    guesses.slice(n * ALIASES, (n + 1) * ALIASES),
  ).values();
  const work = async () => {
    for (const request of requests) {
      const text = await ask(url, request);
      const { data, errors } = JSON.parse(text) as {
        data?: Record<string, unknown> | null;
        errors?: { path?: string[] }[];
      };
      // One after the other: those before the first that was refused were compared.
      const refused = Number(errors?.[0]?.path?.[0]?.slice(1) ?? (data ? request.length : 0));
      compared.push(...request.slice(0, refused).map((guess) => ({ ...guess, address: request[0]?.address ?? '' })));
    }
  };
  await Promise.all(fill(AT_ONCE, work));
  return compared;
}

async function overSocket(url: string, guesses: readonly Guess[]): Promise<Guess[]> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const compared: Guess[] = [];
  let answered = -1;
  await new Promise<void>((done) => {
    const next = () => {
      const guess = guesses[answered];
      if (!guess) return socket.close();
      const payload = { query: guessing([guess]) };
      socket.send(JSON.stringify({ id: String(answered), type: 'subscribe', payload }));
    };
    socket.once('open', () => socket.send('{"type":"connection_init"}'));
    socket.on('message', (text) => {
      if (String(text).includes('INVALID_CREDENTIALS')) compared.push(guesses[answered] as Guess);
      answered++;
      next();
    });
    socket.once('close', () => done());
  });
  // The server closes a socket that sends a hundred messages a second.
  process.stderr.write(`${answered} of ${guesses.length} guesses over a socket were answered\n`);
  return compared;
}

function tallied(name: string, guesses: number, compared: readonly Guess[]): Attack {
  const most = (key: keyof Guess) => {
    const counts = new Map<string, number>();
    for (const guess of compared) counts.set(block(guess[key]), (counts.get(block(guess[key])) ?? 0) + 1);
    return Math.max(0, ...counts.values());
  };
  return { name, guesses, compared: compared.length, ofAccount: most('account'), ofAddress: most('address') };
}

const block = (key: string) => key.replace(/^(2001:db8:1:2)::.*/, '$1::/64');

/** Accounts that are there and that are not, in turn; no account and no address so often that it is slowed down. */
async function timed(place: Place, url: string, pairs: number): Promise<Pick<LoginsMeasured, 'known' | 'unknown'>> {
  const hash = await argon2.hash('correct horse battery', COST);
  const each = OF_ACCOUNT - 1;
  const accounts = fill(Math.ceil(pairs / each), account);
  await place.db.query(
    `INSERT INTO app_user (email, email_key, display_name, password_hash) SELECT e, e, 'Ada', $2 FROM unnest($1::text[]) e`,
    [accounts, hash],
  );
  const strangers = accounts.map(account);
  const known: number[] = [];
  const unknown: number[] = [];
  for (let n = -10; n < pairs; n++) {
    const index = Math.floor(Math.max(n, 0) / each);
    const sides = [
      [known, accounts],
      [unknown, strangers],
    ] as const;
    for (const [times, all] of Math.random() < 0.5 ? sides : sides.toReversed()) {
      // To warm up: nobody's.
      const guess = {
        account: n < 0 ? account() : (all[index] as string),
        address: address(200_000 + Math.max(n, -n) + (n < 0 ? 100_000 : 0)),
      };
      const began = performance.now();
      const text = await ask(url, [guess]);
      const took = performance.now() - began;
      if (!text.includes('INVALID_CREDENTIALS')) throw new Error(`A guess was not looked at: ${text}`);
      if (n >= 0) times.push(took);
    }
  }
  return { known, unknown };
}

export function loginsTable({ attacks, known, unknown }: LoginsMeasured): string {
  const held = attacks.every(({ ofAccount, ofAddress }) => ofAccount <= OF_ACCOUNT && ofAddress <= OF_ADDRESS);
  const of = (name: string, times: readonly number[]) => [
    name,
    String(times.length),
    ...[0.25, 0.5, 0.75].map((share) => (share === 0.5 ? median(times) : quantile(times, share)).toFixed(1)),
  ];
  const difference = Math.abs(median(known) / median(unknown) - 1);
  return [
    table(
      ['attack', 'guesses', 'passwords compared', 'of one account, at most', 'of one address or /64, at most'],
      attacks.map(({ name, ...counts }) => [name, ...Object.values(counts).map(String)]),
    ),
    '',
    `${attacks.reduce((sum, one) => sum + one.guesses, 0)} guesses; ${OF_ACCOUNT} of an account and ${OF_ADDRESS} of an address are looked at in 15 minutes: ${held ? 'held' : 'BROKEN'}.`,
    '',
    table(
      ['address of the account', 'guesses', 'p25 ms', 'median ms', 'p75 ms'],
      [of('known', known), of('unknown', unknown)],
    ),
    '',
    `The medians differ by ${(difference * 100).toFixed(2)} %; the goal of ${GOAL * 100} % is ${difference <= GOAL ? 'met' : 'MISSED'}.`,
  ].join('\n');
}
