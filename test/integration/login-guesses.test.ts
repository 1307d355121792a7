import { randomUUID } from 'node:crypto';
import { Passwords } from '../../src/modules/auth/passwords.js';
import { startApp, type TestApp, testRedis } from '../support/index.js';
import { openStream, SocketClient } from './edge/subscribers.js';

interface Guess {
  account: string;
  address: string;
}

let compared: Guess[] = [];
/** A guess says in its password whose it is and where it comes from, so that a comparison does. */
const textOf = ({ account, address }: Guess) => `guess ${account} ${address}`;

function listen(app: TestApp): void {
  const passwords = app.get(Passwords);
  const { matches } = passwords;
  passwords.matches = (hash, password) => {
    const [, account = '', address = ''] = password.split(' ');
    compared.push({ account, address });
    return matches.call(passwords, hash, password);
  };
}

let app: TestApp;
beforeAll(async () => {
  app = await startApp({ role: 'api', trustProxy: 1 });
  listen(app);
});
afterAll(() => app.stop());
beforeEach(() => {
  compared = [];
});

const guessing = (guesses: readonly Guess[]) =>
  `mutation { ${guesses
    .map(
      (guess, n) =>
        `a${n}: login(input: { email: "${guess.account}", password: "${textOf(guess)}" }) { userErrors { code } }`,
    )
    .join(' ')} }`;

/** Five by aliases in each request, sixteen requests at once; a request comes from the address of its first guess. */
async function send(guesses: readonly Guess[], to = app): Promise<void> {
  const requests = Array.from({ length: Math.ceil(guesses.length / 5) }, (_, n) => guesses.slice(n * 5, n * 5 + 5));
  const left = requests.values();
  const work = async () => {
    for (const request of left) {
      const answer = await fetch(`${to.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': request[0]?.address ?? '' },
        body: JSON.stringify({ query: guessing(request) }),
      });
      await answer.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
}

const address = (n: number) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
const account = () => `${randomUUID()}@example.org`;
const most = (key: (guess: Guess) => string): number => {
  const counts = new Map<string, number>();
  for (const guess of compared) counts.set(key(guess), (counts.get(key(guess)) ?? 0) + 1);
  return Math.max(0, ...counts.values());
};

it('one account, from sixty addresses: five passwords are looked at', async () => {
  const target = account();
  await send(Array.from({ length: 300 }, (_, n) => ({ account: target, address: address(Math.floor(n / 5)) })));
  expect(compared).toHaveLength(5);
});

it('three hundred accounts, from one address: twenty are', async () => {
  await send(Array.from({ length: 300 }, () => ({ account: account(), address: '203.0.113.1' })));
  expect(compared).toHaveLength(20);
});

it('three hundred accounts, from a household with as many addresses: twenty are', async () => {
  await send(
    Array.from({ length: 300 }, (_, n) => ({ account: account(), address: `2001:db8:1:2::${(n + 1).toString(16)}` })),
  );
  expect(compared).toHaveLength(20);
});

it('few accounts, from many addresses: never more than five of an account and twenty of an address', async () => {
  const accounts = Array.from({ length: 4 }, account);
  const guesses = Array.from({ length: 300 }, (_, n) => ({
    account: accounts[n % 4] as string,
    address: address(1_000 + Math.floor(n / 5)),
  }));
  await send(guesses);
  expect(most((guess) => guess.account)).toBeLessThanOrEqual(5);
  expect(most((guess) => guess.address)).toBeLessThanOrEqual(20);
  expect(compared.length).toBeGreaterThan(0);
});

it('over sockets and event streams: none', async () => {
  const client = await SocketClient.open(app.url);
  await client.next();
  for (let n = 0; n < 20; n++) {
    const query = guessing([{ account: account(), address: 'socket' }]);
    client.subscribe(String(n), query);
    expect(await client.next()).toMatchObject({ type: 'error' });
    const stream = await openStream(app.url, query);
    expect((await stream.next())?.data).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] });
    stream.close();
  }
  await client.close();
  expect(compared).toEqual([]);
});

it('while Redis is away: none', async () => {
  const redis = await testRedis();
  const away = await startApp({ role: 'api', trustProxy: 1, redisUrl: redis.url });
  listen(away);
  await send([{ account: account(), address: address(1) }], away);
  expect(compared).toHaveLength(1);
  await redis.stop();
  await send(
    Array.from({ length: 100 }, (_, n) => ({ account: account(), address: address(5_000 + n) })),
    away,
  );
  expect(compared).toHaveLength(1);
  await away.stop();
});
