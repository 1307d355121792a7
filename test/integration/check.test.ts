import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { makeClip } from '../support/clip.js';
import { ApiClient, sha256, spawnServer, type TestDatabase, type TestServer, until } from '../support/index.js';
import { storageOf } from '../support/invariants.js';
import { runCommand } from '../support/operate.js';

/** `npm run check`, beside a server with one video. */

let server: TestServer;
let database: TestDatabase;
let clip: Buffer;

beforeAll(async () => {
  clip = await makeClip({ seconds: 2, size: '320x180' });
  server = await spawnServer();
  database = server.database as TestDatabase;
  const ada = await ApiClient.signUp(server.url);
  const { session } = await ada.createSession({
    channelId: await ada.createChannel(),
    sizeBytes: clip.length,
    sha256: sha256(clip),
  });
  await ada.send(session.id, clip, [[0, clip.length]]);
  await ada.complete(session.id);
  await until(
    () => ada.video(session.video.id),
    ({ state }) => state === 'READY',
  );
});
afterAll(() => server.remove());

const check = (...args: string[]) => runCommand('check', server.env(), args);
const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const aKey = async (sql: string): Promise<string> => (await database.query<{ key: string }>(sql))[0]?.key as string;

it('finds nothing on a healthy system', async () => {
  const plain = await check();
  expect(plain).toMatchObject({ code: 0, stdout: '' });
  expect(plain.stderr).toMatch(/^\d+ objects, 0 findings\.\n$/m);
  const { code, stdout } = await check('--digests', '--json');
  const [{ size }] = (await database.query(
    `SELECT sum(size_bytes)::float8 AS size FROM stored_object WHERE state = 'KEPT'`,
  )) as [{ size: number }];
  expect([code, lines(stdout)]).toEqual([
    0,
    [{ kind: 'SUMMARY', objects: expect.any(Number), bytes: size, found: 0, freed: 0 }],
  ]);
});

it('names what is missing, cut, rotten, unknown or contradictory, and frees only what is unknown', async () => {
  const storage = storageOf(server.dataDir);
  const master = await aKey('SELECT master_key AS key FROM upload_session');
  const path = storage.localPath(master) as string;
  const rotten = Buffer.from(clip);
  rotten[1000] = (rotten[1000] as number) ^ 1;
  await writeFile(path, rotten);
  expect((await check()).code).toBe(0);
  const unknown = `masters/${randomUUID()}/left`;
  await storage.put(unknown, clip);
  const cut = await aKey('SELECT object_key AS key FROM segment LIMIT 1');
  await database.query('UPDATE stored_object SET size_bytes = size_bytes + 1 WHERE key = $1', [cut]);
  await database.query('UPDATE app_user SET used_bytes = used_bytes + 5');

  const found = await check('--digests', '--json');
  expect(found.code).toBe(1);
  expect(lines(found.stdout)).toEqual(
    expect.arrayContaining([
      { kind: 'INVARIANT', rule: 'a quota counter is not the sum', rows: [{ id: expect.any(String) }] },
      { kind: 'DIGEST', key: master, sha256: sha256(rotten), recordedSha256: sha256(clip) },
      { kind: 'UNKNOWN', key: unknown, sizeBytes: clip.length },
      { kind: 'SIZE', key: cut, sizeBytes: expect.any(Number), recordedBytes: expect.any(Number) },
      expect.objectContaining({ kind: 'SUMMARY', found: 4, freed: 0 }),
    ]),
  );
  expect(lines(found.stdout)).toHaveLength(5);

  await database.query('UPDATE app_user SET used_bytes = used_bytes - 5');
  await database.query('UPDATE stored_object SET size_bytes = size_bytes - 1 WHERE key = $1', [cut]);
  await writeFile(path, clip);
  const freeing = await check('--free-unknown');
  expect(freeing).toMatchObject({ code: 0, stdout: expect.stringMatching(/^UNKNOWN +masters\/.*\/left: \d+ bytes/) });
  await until(
    () => storage.head(unknown),
    (object) => object === null,
  );
  await rm(path);
  const gone = await check('--free-unknown');
  expect(gone).toMatchObject({ code: 1, stdout: expect.stringMatching(/^MISSING +masters\/.*: is on record/) });
  await writeFile(path, clip);
  expect((await check('--digests')).code).toBe(0);
});

it('frees nothing by a database that knows no object, and says what it was not told right', async () => {
  const other = await spawnServer();
  await storageOf(other.dataDir).put('masters/of-another', clip);
  const wrong = await runCommand('check', other.env(), ['--free-unknown']);
  expect(wrong).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('is it the right one?') });
  await other.remove();
  expect(await check('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('--free-unknown') });
  expect(await check('--digest')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("Unknown option '--digest'"),
  });
});
