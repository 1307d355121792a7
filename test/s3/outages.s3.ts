import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'minio';
import { S3Storage } from '../../src/modules/storage/s3-storage.js';
import { headersOf, send, sha256 } from '../contract/object-storage.js';
import { until } from '../support/client.js';
import { type ObjectStore, type StoreName, type StoreOptions, s3Of, startStore } from '../support/object-store.js';

/** Stores that go away and come back, and stores that are full: the real ones. */

const AWAY_MS = 60_000;
const MEBIBYTE = 1024 * 1024;
const text = Buffer.from('a chunk of a film');

interface Running {
  store: ObjectStore;
  storage: S3Storage;
  uploads(key: string): Promise<string | undefined>;
}
const running: Running[] = [];

async function start(name: StoreName, options?: StoreOptions): Promise<Running> {
  const store = await startStore(name, options);
  const config = s3Of(store);
  const storage = new S3Storage(config);
  await storage.prepare('*');
  const client = new Client({ endPoint: '127.0.0.1', port: Number(new URL(store.url).port), useSSL: false, ...config });
  const one = { store, storage, uploads: (key: string) => client.findUploadId(config.bucket, key) };
  running.push(one);
  return one;
}

afterEach(async () => {
  for (const { store, storage } of running.splice(0)) {
    storage.onApplicationShutdown();
    await store.remove();
  }
});

/** As slow as a link is, so that a fault meets it in the middle. */
async function* slowly(bytes: Buffer, onPiece: (sent: number) => void): AsyncGenerator<Buffer> {
  for (let sent = 0; sent < bytes.length; sent += MEBIBYTE) {
    onPiece(sent);
    yield bytes.subarray(sent, sent + MEBIBYTE);
    await pause(20);
  }
}

async function awayForAMinute(name: StoreName): Promise<void> {
  const { store, storage, uploads } = await start(name);
  const large = randomBytes(40 * MEBIBYTE);
  await storage.put('read', large);
  const half = large.length / 2;
  const parts = [0, half].map((from) => ({ key: 'read', start: from, end: from + half }));
  const signed = await storage.presignPut({ key: 'incoming/a', sizeBytes: text.length, sha256: sha256(text) });

  let middle = () => {};
  const inTheMiddle = new Promise<void>((resolve) => {
    middle = resolve;
  });
  const reading = (async () => {
    const hash = createHash('sha256');
    let read = 0;
    for await (const bytes of await storage.read('read')) {
      hash.update(bytes);
      read += bytes.length;
      if (read > half) await inTheMiddle;
    }
    return { sizeBytes: read, sha256: hash.digest('hex') };
  })();
  const putting = storage.put('put', Readable.from(slowly(large, (sent) => sent > half && middle())), {
    sizeBytes: large.length,
  });
  await inTheMiddle;
  await store.kill();
  const gone = performance.now();
  // Begun while it is away, and patient.
  const small = storage.put('small', text);
  const composing = storage.compose('composed', parts).catch(async (error: { code: string }) => {
    // It first asks whether the key is taken, and nobody who waits for an answer to that waits a minute.
    expect(error.code).toBe('STORAGE_UNAVAILABLE');
    return null;
  });
  // Somebody waits for these.
  for (const asking of [storage.head('read'), storage.list('', { limit: 1 }), storage.delete(['other'])]) {
    await expect(asking).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', details: { retryAfterMs: 5000 } });
  }
  expect(performance.now() - gone).toBeLessThan(25_000);
  // Signing needs no store whose clock is known.
  await storage.presignPut({ key: 'incoming/b', sizeBytes: text.length, sha256: sha256(text) });
  await expect(send(signed.url, { headers: headersOf(signed, text.length), body: text })).rejects.toThrow();
  await pause(AWAY_MS - (performance.now() - gone));
  await store.start();

  const whole = { sizeBytes: large.length, sha256: sha256(large) };
  expect(await putting).toEqual(whole);
  expect(await reading).toEqual(whole);
  expect(await small).toMatchObject({ sizeBytes: text.length });
  if (!(await composing)) expect(await storage.compose('composed', parts)).toEqual(whole);
  expect((await send(signed.url, { headers: headersOf(signed, text.length), body: text })).status).toBe(200);
  for (const key of ['put', 'small', 'composed']) {
    await expect(storage.put(key, text)).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
    expect(await uploads(key)).toBeUndefined();
  }
  expect(sha256(await buffer(await storage.read('put')))).toBe(whole.sha256);
  expect(await storage.list('', { limit: 9 })).toEqual([
    { key: 'composed', sizeBytes: large.length },
    { key: 'incoming/a', sizeBytes: text.length },
    { key: 'put', sizeBytes: large.length },
    { key: 'read', sizeBytes: large.length },
    { key: 'small', sizeBytes: text.length },
  ]);
}

it('work that was begun goes on after a store was away for a minute, and nothing is written twice', async () => {
  await Promise.all([awayForAMinute('minio'), awayForAMinute('versitygw')]);
}, 180_000);

it.each<StoreName>([
  'minio',
  'versitygw',
])('%s without space says STORAGE_FULL, and keeps what it has', async (name) => {
  const { storage, uploads } = await start(name, { mebibytes: 64 });
  const kept = new Map<string, string>();
  const fill = async (make: () => Buffer | Readable): Promise<void> => {
    for (;;) {
      const key = `fill/${kept.size}`;
      try {
        kept.set(key, (await storage.put(key, make())).sha256);
      } catch (error) {
        expect(error).toMatchObject({ code: 'STORAGE_FULL' });
        expect(await storage.head(key)).toBeNull();
        expect(await uploads(key)).toBeUndefined();
        return;
      }
      expect(kept.size).toBeLessThan(30);
    }
  };
  const piece = randomBytes(MEBIBYTE);
  const small = Buffer.concat(Array(5).fill(piece));
  await fill(() => Readable.from(Array(20).fill(piece)));
  await fill(() => small);
  expect(kept.size).toBeGreaterThan(1);
  const signed = await storage.presignPut({ key: 'incoming/a', sizeBytes: small.length, sha256: sha256(small) });
  // A store that is full may close the connection while the body still comes, and its answer is lost.
  const cutShort = ({ code }: NodeJS.ErrnoException) => {
    expect(['ECONNRESET', 'EPIPE']).toContain(code);
    return null;
  };
  const put = () => send(signed.url, { headers: headersOf(signed, small.length), body: small }).catch(cutShort);
  expect(await until(put, (answer) => answer !== null)).toMatchObject({ status: 507 });
  for (const [key, digest] of kept) expect(sha256(await buffer(await storage.read(key)))).toBe(digest);

  await storage.delete([...kept.keys()]);
  expect(await storage.list('', { limit: 9 })).toEqual([]);
  // MinIO empties its trash every five minutes.
  if (name === 'minio') return;
  expect((await send(signed.url, { headers: headersOf(signed, small.length), body: small })).status).toBe(200);
  await storage.put('after', Readable.from(Array(20).fill(piece)));
});
