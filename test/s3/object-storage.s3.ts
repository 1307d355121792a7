import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Client } from 'minio';
import type { S3Config } from '../../src/common/config/index.js';
import { S3Storage } from '../../src/modules/storage/s3-storage.js';
import { headersOf, objectStorageContract, send, sha256 } from '../contract/object-storage.js';
import { heldBytes } from '../support/memory.js';
import type { ObjectStore } from '../support/object-store.js';
import { STORES, storeToTest } from './stores.js';

type Fault = (
  request: IncomingMessage,
  forward: () => Promise<IncomingMessage>,
  answer: ServerResponse,
) => Promise<void>;

/** The whole contract, and what an S3 store may do on a bad day, on every store that is tested. */
describe.each(STORES)('s3 storage on %s', (name) => {
  let config: S3Config;
  let store: ObjectStore | null;
  let client: Client;
  let storage: S3Storage;

  beforeAll(async () => {
    ({ config, store } = await storeToTest(name));
    const { hostname, port, protocol } = new URL(config.endpoint);
    client = new Client({
      endPoint: hostname,
      port: port ? Number(port) : undefined,
      useSSL: protocol === 'https:',
      accessKey: config.accessKey,
      secretKey: config.secretKey,
      region: config.region,
    });
    storage = new S3Storage(config);
    await storage.prepare('*');
  });
  afterAll(async () => {
    const left = await storage.list('', { limit: 1000 });
    await storage.delete(left.map((object) => object.key));
    storage.onApplicationShutdown();
    await client.removeBucket(config.bucket);
    await store?.remove();
    expect(left).toEqual([]);
  });

  objectStorageContract(() => storage);

  describe('on a bad day', () => {
    let proxy: http.Server;
    let through: S3Storage;
    let key: string;
    /** What is to happen to the next requests, one each; then all is well. */
    let faults: Fault[];
    const text = Buffer.from('a chunk of a film');

    beforeAll(async () => {
      proxy = http.createServer((request, answer) => {
        void (async () => {
          const body = await buffer(request);
          const forward = async (): Promise<IncomingMessage> => {
            const { method, url, headers } = request;
            const onward = http.request(new URL(url ?? '/', config.endpoint), { method, headers });
            onward.end(body);
            const [response] = (await once(onward, 'response')) as [IncomingMessage];
            return response;
          };
          const fault = faults.shift();
          if (fault) return fault(request, forward, answer);
          const response = await forward();
          answer.writeHead(response.statusCode ?? 0, response.headers);
          response.pipe(answer);
        })();
      });
      proxy.listen(0, '127.0.0.1');
      await once(proxy, 'listening');
      const { port } = proxy.address() as { port: number };
      // Whoever is in between must not change what is signed: the store sees the name that it was called by.
      through = new S3Storage({ ...config, endpoint: `http://127.0.0.1:${port}` });
    });
    afterAll(async () => {
      through.onApplicationShutdown();
      proxy.close();
      await once(proxy, 'close');
    });
    beforeEach(() => {
      faults = [];
      key = `t/${randomUUID()}`;
    });
    afterEach(async () => {
      expect(faults).toEqual([]);
      await storage.delete([key]);
    });

    const unavailable: Fault = async (_, __, answer) => void answer.writeHead(503).end();
    const refused: Fault = async (request) => void request.socket.destroy();
    const replyLost: Fault = async (request, forward) => {
      (await forward()).resume();
      request.socket.destroy();
    };
    const well: Fault = async (_, forward, answer) => {
      const response = await forward();
      answer.writeHead(response.statusCode ?? 0, response.headers);
      response.pipe(answer);
    };

    it.each([
      ['503', unavailable],
      ['a cut', refused],
    ])('gets over %s', async (_, fault) => {
      faults = [fault, fault];
      await through.put(key, text);
      faults = [fault];
      expect(await through.head(key)).toEqual({ sizeBytes: text.length, sha256: sha256(text) });
      faults = [fault, fault, fault];
      expect(await buffer(await through.read(key))).toEqual(text);
      faults = [fault];
      expect(await through.list(key, { limit: 5 })).toEqual([{ key, sizeBytes: text.length }]);
      faults = [fault];
      await through.delete([key]);
      expect(await storage.head(key)).toBeNull();
    });

    it('knows its own write when the answer to it was lost, and does not claim that of others', async () => {
      faults = [replyLost];
      expect(await through.put(key, text)).toMatchObject({ sizeBytes: text.length });
      faults = [replyLost];
      await expect(through.put(key, text)).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
    });

    it('knows its own completion when the answer to it was lost', async () => {
      const large = randomBytes(17 * 1024 * 1024);
      // Asked for; begun; three parts; completed.
      faults = [well, well, replyLost, well, replyLost, replyLost];
      expect(await through.put(key, large)).toEqual({ sizeBytes: large.length, sha256: sha256(large) });
      expect(sha256(await buffer(await storage.read(key)))).toBe(sha256(large));
      expect(await client.findUploadId(config.bucket, key)).toBeUndefined();
    });

    it('knows its own composition when the answers to it were lost', async () => {
      const large = randomBytes(14 * 1024 * 1024);
      await storage.put(`${key}x`, large);
      const half = large.length / 2;
      const parts = [0, half].map((start) => ({ key: `${key}x`, start, end: start + half }));
      // Asked for; begun; two parts at the same time; completed.
      faults = [well, well, replyLost, unavailable, well, well, replyLost];
      expect(await through.compose(key, parts)).toEqual({ sizeBytes: large.length, sha256: sha256(large) });
      expect(await client.findUploadId(config.bucket, key)).toBeUndefined();
      await storage.delete([`${key}x`]);
    });

    it('goes on reading where the connection broke', async () => {
      const large = randomBytes(9_000_000);
      await storage.put(key, large);
      const cut: Fault = async (_, forward, answer) => {
        const response = await forward();
        answer.writeHead(response.statusCode ?? 0, response.headers);
        const bytes = await buffer(response);
        answer.write(bytes.subarray(0, 2_000_000), () => setTimeout(() => answer.destroy(), 50));
      };
      faults = [cut, cut];
      expect(sha256(await buffer(await through.read(key)))).toBe(sha256(large));
      faults = [cut];
      const part = await buffer(await through.read(key, { start: 1_000_000, end: 8_000_000 }));
      expect(part.equals(large.subarray(1_000_000, 8_000_000))).toBe(true);
    });

    it('ends a multipart upload that was left behind when its key is deleted', async () => {
      const pieces = Array(3).fill(randomBytes(8 * 1024 * 1024));
      const failing = Readable.from(
        (function* () {
          yield* pieces;
          throw new Error('the source broke');
        })(),
      );
      await expect(storage.put(key, failing)).rejects.toThrow('the source broke');
      expect(await client.findUploadId(config.bucket, key)).toBeUndefined();
      for (let k = 0; k < 2; k++) await client.initiateNewMultipartUpload(config.bucket, key, {});
      await storage.delete([key]);
      expect(await client.findUploadId(config.bucket, key)).toBeUndefined();
    });

    it.each([
      ['XMinioStorageFull', 507],
      ['QuotaExceeded', 403],
      ['InsufficientStorage', 507],
    ])('says STORAGE_FULL of %s', async (code, status) => {
      const full: Fault = async (_, __, answer) =>
        void answer
          .writeHead(status, { 'content-type': 'application/xml' })
          .end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no space</Message></Error>`);
      faults = [full];
      await expect(through.put(key, text)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
      // Asked for; begun; the first part; aborted.
      faults = [well, well, full, well];
      await expect(through.put(key, randomBytes(9 * 1024 * 1024))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
      expect(await client.findUploadId(config.bucket, key)).toBeUndefined();
      expect(await storage.head(key)).toBeNull();
    });

    it('says STORAGE_UNAVAILABLE of a store that stays away', async () => {
      const away = new S3Storage({ ...config, endpoint: 'http://127.0.0.1:1' });
      await expect(away.head(key)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      await expect(
        away.presignPut({ key: `incoming/${key}`, sizeBytes: 1, sha256: sha256(text) }),
      ).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
      });
    });

    it.each([-2, 2])('works with a clock that is %i hours off', async (hours) => {
      const now = Date.now;
      const clock = jest.spyOn(Date, 'now').mockImplementation(() => now() + hours * 3_600_000);
      try {
        const incoming = `incoming/${key}`;
        const lost = new S3Storage(config);
        const request = await lost.presignPut({ key: incoming, sizeBytes: text.length, sha256: sha256(text) });
        expect((await send(request.url, { headers: headersOf(request, text.length), body: text })).status).toBe(200);
        expect(await lost.head(incoming)).toEqual({ sizeBytes: text.length, sha256: sha256(text) });
        const fresh = new S3Storage(config);
        await fresh.delete([incoming]);
        await new S3Storage(config).put(key, text);
      } finally {
        clock.mockRestore();
      }
    });

    it('holds two parts of a large body in memory, and of one that nobody reads next to nothing', async () => {
      const piece = randomBytes(1_000_000);
      const hash = createHash('sha256');
      for (let k = 0; k < 150; k++) hash.update(piece);
      const before = heldBytes();
      let most = 0;
      const body = Readable.from(
        (function* () {
          for (let k = 0; k < 150; k++) {
            if (k % 5 === 0) most = Math.max(most, heldBytes() - before);
            yield piece;
          }
        })(),
      );
      expect(await storage.put(key, body)).toEqual({ sizeBytes: 150_000_000, sha256: hash.digest('hex') });
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThan(40_000_000);
      // The memory of a part is kept for the next one, for a while.
      const idle = heldBytes();
      expect(idle - before).toBeLessThan(20_000_000);
      const unread = await storage.read(key);
      try {
        await new Promise((resolve) => setTimeout(resolve, 500));
        expect(heldBytes() - idle).toBeLessThan(10_000_000);
      } finally {
        unread.destroy();
      }
    });
  });
});
