import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ObjectStorage, PresignedRequest } from '../../src/modules/storage/index.js';

export interface Sent {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** One request, with exactly these headers and nothing thought up beside them. Rejects where there is no answer. */
export async function send(
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string | string[]>;
    body?: Buffer;
    /** Send so many bytes of the body, then cut the connection. */
    cutAfter?: number;
    /** Trusted in place of the usual authorities. */
    ca?: string;
  } = {},
): Promise<Sent> {
  const { method = 'PUT', headers = {}, body = Buffer.alloc(0), cutAfter, ca } = options;
  const client = url.startsWith('https:') ? https : http;
  const request = client.request(url, { method, headers, ca, agent: false });
  const answer = new Promise<Sent>((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      buffer(response).then(
        (bytes) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes.toString() }),
        reject,
      );
    });
  });
  if (cutAfter === undefined) request.end(body);
  else request.write(body.subarray(0, cutAfter), () => setTimeout(() => request.destroy(), 100));
  return answer;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function headersOf(request: PresignedRequest, sizeBytes: number): Record<string, string> {
  return {
    ...Object.fromEntries(request.headers.map(({ name, value }) => [name, value])),
    'content-length': String(sizeBytes),
  };
}

/** Signed as if it had been asked for so long ago. */
export async function presignedAgo(
  storage: ObjectStorage,
  ms: number,
  object: { key: string; sizeBytes: number; sha256: string },
): Promise<PresignedRequest> {
  const now = Date.now();
  const clock = jest.spyOn(Date, 'now').mockReturnValue(now - ms);
  try {
    return await storage.presignPut(object);
  } finally {
    clock.mockRestore();
  }
}

async function codeOf(result: Promise<unknown>): Promise<unknown> {
  return result.then(
    () => 'no error',
    (error: { code?: unknown; name: string }) => (error.name === 'AbortError' ? error.name : (error.code ?? error)),
  );
}

async function contentOf(storage: ObjectStorage, key: string): Promise<Buffer> {
  return buffer(await storage.read(key));
}

/** Pieces of a body, one after the other; then `end`. */
function body(pieces: Buffer[], end: () => void = () => undefined): Readable {
  return Readable.from(
    (async function* () {
      yield* pieces;
      end();
    })(),
  );
}

/**
 * What every object store must do. `current` gives the one under test, reachable by its presigned requests.
 * @param options.keys how many objects are listed
 */
export function objectStorageContract(current: () => ObjectStorage, { keys: count = 10_000 } = {}): void {
  let storage: ObjectStorage;
  let prefix: string;
  const text = Buffer.from('a chunk of a film');

  beforeEach(() => {
    storage = current();
    prefix = `incoming/${randomUUID()}/`;
  });

  afterEach(async () => {
    for (;;) {
      const left = await storage.list(prefix, { limit: 1000 });
      await storage.delete(left.map((object) => object.key));
      if (left.length < 1000) return;
    }
  });

  describe('put', () => {
    it.each([
      ['a buffer', () => text],
      ['a stream', () => body([text.subarray(0, 3), text.subarray(3)])],
    ])('stores %s, and tells its size and digest', async (_, make) => {
      const stored = { sizeBytes: text.length, sha256: sha256(text) };
      expect(await storage.put(`${prefix}a`, make())).toEqual(stored);
      expect(await storage.head(`${prefix}a`)).toEqual(stored);
      expect(await contentOf(storage, `${prefix}a`)).toEqual(text);
      expect(await storage.put(`${prefix}b`, make(), stored)).toEqual(stored);
      expect(await storage.head(`${prefix}b`)).toEqual(stored);
    });

    it('stores nothing at all as an object of no bytes', async () => {
      const stored = { sizeBytes: 0, sha256: sha256(Buffer.alloc(0)) };
      expect(await storage.put(`${prefix}buffer`, Buffer.alloc(0), { sizeBytes: 0 })).toEqual(stored);
      expect(await storage.put(`${prefix}stream`, body([]))).toEqual(stored);
      expect(await storage.head(`${prefix}stream`)).toEqual(stored);
      expect(await contentOf(storage, `${prefix}stream`)).toHaveLength(0);
    });

    it('stores a large stream of unknown size', async () => {
      const piece = randomBytes(1024 * 1024);
      const whole = Buffer.concat(Array(37).fill(piece));
      const stored = { sizeBytes: whole.length, sha256: sha256(whole) };
      expect(await storage.put(`${prefix}large`, body(Array(37).fill(piece)))).toEqual(stored);
      expect((await storage.head(`${prefix}large`))?.sizeBytes).toBe(whole.length);
      expect(sha256(await contentOf(storage, `${prefix}large`))).toBe(stored.sha256);
    });

    it('knows the digest of a large object that was put with it', async () => {
      const piece = randomBytes(1024 * 1024);
      const whole = Buffer.concat(Array(17).fill(piece));
      const stored = { sizeBytes: whole.length, sha256: sha256(whole) };
      const key = `masters/${randomUUID()}`;
      expect(await storage.put(key, body(Array(17).fill(piece)), stored)).toEqual(stored);
      expect(await storage.head(key)).toEqual(stored);
      await storage.delete([key]);
    });

    it('writes once', async () => {
      await storage.put(`${prefix}a`, text);
      expect(await codeOf(storage.put(`${prefix}a`, Buffer.from('others')))).toBe('OBJECT_EXISTS');
      const again = body([text]);
      expect(await codeOf(storage.put(`${prefix}a`, again))).toBe('OBJECT_EXISTS');
      expect(again.destroyed).toBe(true);
      expect(await contentOf(storage, `${prefix}a`)).toEqual(text);
    });

    it('lets one of fifty win', async () => {
      const bodies = Array.from({ length: 50 }, () => randomBytes(100_000));
      const results = await Promise.all(bodies.map((bytes) => codeOf(storage.put(`${prefix}a`, body([bytes])))));
      expect(results.filter((code) => code === 'no error')).toHaveLength(1);
      expect(results.filter((code) => code === 'OBJECT_EXISTS')).toHaveLength(49);
      const won = bodies[results.indexOf('no error')] as Buffer;
      expect(await storage.head(`${prefix}a`)).toEqual({ sizeBytes: won.length, sha256: sha256(won) });
      expect(won.equals(await contentOf(storage, `${prefix}a`))).toBe(true);
    });

    it('lets one of three large ones win', async () => {
      const pieces = Array.from({ length: 3 }, () => randomBytes(1024 * 1024));
      const results = await Promise.all(
        pieces.map((piece) => codeOf(storage.put(`${prefix}a`, body(Array(17).fill(piece))))),
      );
      expect([...results].sort()).toEqual(['OBJECT_EXISTS', 'OBJECT_EXISTS', 'no error']);
      const won = Buffer.concat(Array(17).fill(pieces[results.indexOf('no error')]));
      expect(sha256(await contentOf(storage, `${prefix}a`))).toBe(sha256(won));
    });

    it.each([
      ['fewer bytes than told', { sizeBytes: text.length + 1 }, 'SIZE_MISMATCH'],
      ['more bytes than told', { sizeBytes: text.length - 1 }, 'SIZE_MISMATCH'],
      ['other bytes than told', { sha256: sha256(Buffer.from('others')) }, 'DIGEST_MISMATCH'],
    ])('stores nothing of %s', async (_, told, code) => {
      expect(await codeOf(storage.put(`${prefix}a`, body([text]), told))).toBe(code);
      expect(await codeOf(storage.put(`${prefix}a`, text, told))).toBe(code);
      expect(await storage.head(`${prefix}a`)).toBeNull();
      expect(await storage.list(prefix, { limit: 10 })).toEqual([]);
      await storage.put(`${prefix}a`, text);
    });

    it('does not read on where more bytes come than told', async () => {
      let pieces = 0;
      const endless = Readable.from(
        (function* () {
          for (; pieces < 1000; pieces++) yield Buffer.alloc(100_000);
        })(),
      );
      expect(await codeOf(storage.put(`${prefix}a`, endless, { sizeBytes: 1_000_000 }))).toBe('SIZE_MISMATCH');
      expect(pieces).toBeLessThan(100);
    });

    it.each([1, 20])('stores nothing of a body that fails, or is aborted, after %i MiB', async (mebibytes) => {
      const pieces = Array(mebibytes).fill(randomBytes(1024 * 1024));
      const failing = body(pieces, () => {
        throw new Error('the source broke');
      });
      await expect(storage.put(`${prefix}a`, failing)).rejects.toThrow('the source broke');

      const abort = new AbortController();
      const aborted = body(pieces, () => abort.abort());
      expect(await codeOf(storage.put(`${prefix}a`, aborted, { signal: abort.signal }))).toBe('AbortError');
      expect(aborted.destroyed).toBe(true);

      const stalled = new Readable({ read() {} });
      stalled.push(text);
      const impatient = new AbortController();
      setTimeout(() => impatient.abort(), 50);
      expect(await codeOf(storage.put(`${prefix}a`, stalled, { signal: impatient.signal }))).toBe('AbortError');

      expect(await storage.head(`${prefix}a`)).toBeNull();
      expect(await storage.list(prefix, { limit: 10 })).toEqual([]);
    });
  });

  describe('compose', () => {
    const mebibyte = 1024 * 1024;
    const whole = randomBytes(20 * mebibyte);
    const put = async (name: string, start: number, end: number) => {
      await storage.put(prefix + name, whole.subarray(start, end));
    };

    it.each([
      ['of large parts, the last one small', [0, 8, 14, 19.5, 20]],
      ['of small parts', [0, 2, 4, 4.5, 12, 20]],
      ['of one part', [0, 20]],
      ['that is small', [0, 1, 3]],
    ])('makes an object %s', async (_, cuts) => {
      const bounds = cuts.map((cut) => cut * mebibyte);
      const parts = [];
      for (const [index, end] of bounds.slice(1).entries()) {
        const start = bounds[index] as number;
        // Of every second one its middle alone.
        const around = index % 2 === 1 ? 1000 : 0;
        await storage.put(
          `${prefix}part-${index}`,
          Buffer.concat([Buffer.alloc(around), whole.subarray(start, end), Buffer.alloc(around)]),
        );
        parts.push({ key: `${prefix}part-${index}`, start: around, end: around + end - start });
      }
      const made = whole.subarray(0, bounds.at(-1));
      const stored = { sizeBytes: made.length, sha256: sha256(made) };
      expect(await storage.compose(`${prefix}a`, parts, { sizeBytes: made.length })).toEqual(stored);
      expect(sha256(await contentOf(storage, `${prefix}a`))).toBe(stored.sha256);
      const master = `masters/${randomUUID()}`;
      expect(await storage.compose(master, parts, stored)).toEqual(stored);
      expect(await storage.head(master)).toEqual(stored);
      await storage.delete([master]);
      expect(await codeOf(storage.compose(`${prefix}a`, parts))).toBe('OBJECT_EXISTS');
    });

    it('makes nothing where a part is missing, or where it is not what was told', async () => {
      await put('x', 0, 10 * mebibyte);
      const parts = [
        { key: `${prefix}x`, start: 0, end: 10 * mebibyte },
        { key: `${prefix}x`, start: mebibyte, end: 9 * mebibyte },
      ];
      const missing = [...parts, { key: `${prefix}y`, start: 0, end: 6 * mebibyte }];
      expect(await codeOf(storage.compose(`${prefix}a`, missing))).toBe('OBJECT_MISSING');
      expect(await codeOf(storage.compose(`${prefix}a`, parts, { sizeBytes: 1 }))).toBe('SIZE_MISMATCH');
      expect(await codeOf(storage.compose(`${prefix}a`, parts, { sha256: sha256(whole) }))).toBe('DIGEST_MISMATCH');
      const signal = AbortSignal.abort();
      expect(await codeOf(storage.compose(`${prefix}a`, parts, { signal }))).toBe('AbortError');
      expect((await storage.list(prefix, { limit: 9 })).map(({ key }) => key)).toEqual([`${prefix}x`]);
      expect(await storage.compose(`${prefix}a`, parts)).toMatchObject({ sizeBytes: 18 * mebibyte });
    });
  });

  describe('keys', () => {
    const long = 'l'.repeat(200);

    it.each([
      'az-09_.-',
      '-',
      '_',
      '--/__/-.-',
      'a.',
      'a..',
      'a...b..c/d.',
      'con/nul.txt/aux',
      '0',
      'index.html',
      'xl.meta',
      'bucket-metadata.json',
      '_sgwtmp',
      '0-8388608-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.12',
      long,
      `${long}/${long}`,
    ])('may be %j', async (name) => {
      const key = prefix + name;
      await storage.put(key, text);
      expect(await storage.head(key)).toEqual({ sizeBytes: text.length, sha256: sha256(text) });
      expect(await contentOf(storage, key)).toEqual(text);
      expect(await storage.list(key, { limit: 2 })).toEqual([{ key, sizeBytes: text.length }]);
      await storage.delete([key]);
      expect(await storage.head(key)).toBeNull();
      const signed = { key, sizeBytes: text.length, sha256: sha256(text) };
      const request = await storage.presignPut(signed);
      expect((await send(request.url, { headers: headersOf(request, text.length), body: text })).status).toBe(200);
      expect(await contentOf(storage, key)).toEqual(text);
    });

    it('have no other character, and no segment that begins with a dot or is empty', async () => {
      const allowed = /^[a-z0-9_./-]$/;
      const characters = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code));
      const strange = [...characters.filter((one) => !allowed.test(one)), '\u2028', '\ud800', '💥', '．', '／'];
      const names = strange.flatMap((one) => [one, `a${one}`, `a/${one}b`]);
      for (const name of [
        ...names,
        '../a',
        '/a',
        'a//b',
        'a/../../b',
        'a/.',
        '.a',
        'a/',
        `${long}l`,
        'A',
        'a/%2e%2e/b',
        '',
      ]) {
        const key = name === '' || name.startsWith('/') ? name : prefix + name;
        expect([name, await codeOf(storage.put(key, text))]).toEqual([name, 'INVALID_KEY']);
        expect(await codeOf(storage.head(key))).toBe('INVALID_KEY');
        expect(await codeOf(storage.read(key))).toBe('INVALID_KEY');
        expect(await codeOf(storage.delete([key]))).toBe('INVALID_KEY');
        expect(await codeOf(storage.presignPut({ key, sizeBytes: 1, sha256: sha256(text) }))).toBe('INVALID_KEY');
      }
    });

    it('signs for incoming objects alone', async () => {
      const object = { key: 'masters/a', sizeBytes: 1, sha256: sha256(text) };
      expect(await codeOf(storage.presignPut(object))).toBe('INVALID_KEY');
    });

    it('keeps neighbours apart', async () => {
      const names = ['a-b', 'a.b', 'a/b', 'a/c/d', 'a0', 'a_'];
      for (const name of names) await storage.put(prefix + name, Buffer.from(name));
      expect((await storage.list(prefix, { limit: 10 })).map(({ key }) => key)).toEqual(
        names.map((name) => prefix + name),
      );
      await storage.delete([`${prefix}a/b`]);
      for (const name of names.filter((other) => other !== 'a/b')) {
        expect((await contentOf(storage, prefix + name)).toString()).toBe(name);
      }
      expect(await storage.head(`${prefix}a/b`)).toBeNull();
    });
  });

  describe('read', () => {
    const bytes = randomBytes(300_000);

    it.each([
      [0, 1],
      [0, 300_000],
      [65_535, 65_537],
      [299_999, 300_000],
      [100, 400_000],
    ])('gives bytes %i to %i', async (start, end) => {
      await storage.put(`${prefix}a`, bytes);
      const read = await buffer(await storage.read(`${prefix}a`, { start, end }));
      expect(read.equals(bytes.subarray(start, end))).toBe(true);
    });

    it.each([
      [300_000, 300_001],
      [5, 5],
      [6, 5],
      [-1, 5],
    ])('has no bytes %i to %i', async (start, end) => {
      await storage.put(`${prefix}a`, bytes);
      expect(await codeOf(storage.read(`${prefix}a`, { start, end }))).toBe('RANGE_NOT_SATISFIABLE');
    });

    it('says what is missing', async () => {
      expect(await codeOf(storage.read(`${prefix}a`))).toBe('OBJECT_MISSING');
      expect(await codeOf(storage.read(`${prefix}a`, { start: 0, end: 1 }))).toBe('OBJECT_MISSING');
      expect(await storage.head(`${prefix}a`)).toBeNull();
      expect(storage.localPath(`${prefix}a`)).toBeNull();
    });

    it('stops when aborted', async () => {
      await storage.put(`${prefix}a`, randomBytes(20_000_000));
      const abort = new AbortController();
      const stream = await storage.read(`${prefix}a`, undefined, abort.signal);
      abort.abort();
      expect(await codeOf(buffer(stream))).toBe('AbortError');
      expect(await codeOf(storage.read(`${prefix}a`, undefined, AbortSignal.abort()))).toBe('AbortError');
    });

    it('never gives other bytes while the object is deleted and written', async () => {
      const versions = [randomBytes(200_000), randomBytes(200_000)];
      let writing = true;
      const writer = (async () => {
        for (let round = 0; round < 25; round++) {
          await storage.put(`${prefix}a`, versions[round % 2] as Buffer);
          await storage.delete([`${prefix}a`]);
        }
        writing = false;
      })();
      let whole = 0;
      const reader = async () => {
        while (writing) {
          const stream = await storage.read(`${prefix}a`).catch((error: { code: string }) => {
            expect(error.code).toBe('OBJECT_MISSING');
            return null;
          });
          if (!stream) continue;
          const read = await buffer(stream);
          expect(versions.some((version) => version.equals(read))).toBe(true);
          whole++;
        }
      };
      await Promise.all([writer, reader(), reader(), reader(), reader()]);
      expect(whole).toBeGreaterThan(0);
    });
  });

  describe('list', () => {
    it(`pages through ${count} keys in order, and delete takes them all`, async () => {
      const keys = Array.from({ length: count }, (_, k) => `${prefix}${k % 40}/${k % 7 === 0 ? 'x.' : ''}${k}`).sort();
      const queue = keys.entries();
      await Promise.all(
        Array.from({ length: 16 }, async () => {
          for (const [k, key] of queue) await storage.put(key, Buffer.alloc(k % 3));
        }),
      );
      const seen: { key: string; sizeBytes: number }[] = [];
      for (;;) {
        const page = await storage.list(prefix, { after: seen.at(-1)?.key, limit: 1333 });
        seen.push(...page);
        if (page.length < 1333) break;
      }
      expect(seen).toEqual(keys.map((key, k) => ({ key, sizeBytes: k % 3 })));

      for (const cut of [`${prefix}3`, `${prefix}3/`, `${prefix}3/x`, `${prefix}3/x.`, `${prefix}none`]) {
        expect((await storage.list(cut, { limit: 9000 })).map(({ key }) => key)).toEqual(
          keys.filter((key) => key.startsWith(cut)),
        );
      }
      expect(await storage.list(prefix, { after: keys.at(-1), limit: 5 })).toEqual([]);
      expect(await storage.list(prefix, { after: `${prefix}3`, limit: 1 })).toHaveLength(1);

      await storage.delete(keys);
      expect(await storage.list(prefix, { limit: 5 })).toEqual([]);
    }, 180_000);
  });

  describe('delete', () => {
    it('is idempotent, and the key can be written again', async () => {
      await storage.put(`${prefix}a`, text);
      await storage.put(`${prefix}b`, text);
      await storage.delete([`${prefix}a`, `${prefix}never`]);
      await storage.delete([`${prefix}a`]);
      await storage.delete([]);
      expect(await storage.head(`${prefix}a`)).toBeNull();
      expect((await storage.list(prefix, { limit: 9 })).map(({ key }) => key)).toEqual([`${prefix}b`]);
      await storage.put(`${prefix}a`, Buffer.from('again'));
      expect((await contentOf(storage, `${prefix}a`)).toString()).toBe('again');
    });

    it('does not disturb those who write beside it', async () => {
      await Promise.all(
        Array.from({ length: 40 }, async (_, k) => {
          const key = `${prefix}${k % 2}/${k}`;
          for (let round = 0; round < 10; round++) {
            await storage.put(key, text);
            if (round < 9) await storage.delete([key]);
          }
        }),
      );
      expect(await storage.list(prefix, { limit: 100 })).toHaveLength(40);
    });
  });

  describe('a presigned PUT', () => {
    const bytes = randomBytes(500_000);
    let key: string;
    let request: PresignedRequest;
    let headers: Record<string, string>;

    beforeEach(async () => {
      key = `${prefix}0-500000.1`;
      request = await storage.presignPut({ key, sizeBytes: bytes.length, sha256: sha256(bytes) });
      headers = headersOf(request, bytes.length);
    });

    async function expectNothing(): Promise<void> {
      expect(await storage.head(key)).toBeNull();
      expect(await storage.list(prefix, { limit: 10 })).toEqual([]);
      expect((await send(request.url, { headers, body: bytes })).status).toBe(200);
    }

    it('stores, once', async () => {
      expect(request.method).toBe('PUT');
      expect(request.expiresAt.getTime()).toBeGreaterThan(Date.now() + 14 * 60_000);
      expect(request.expiresAt.getTime()).toBeLessThan(Date.now() + 16 * 60_000);
      expect((await send(request.url, { headers, body: bytes })).status).toBe(200);
      expect(await storage.head(key)).toEqual({ sizeBytes: bytes.length, sha256: sha256(bytes) });
      expect((await send(request.url, { headers, body: bytes })).status).toBe(412);
      expect(bytes.equals(await contentOf(storage, key))).toBe(true);
    });

    it('lets one of fifty win', async () => {
      const all = await Promise.all(Array.from({ length: 50 }, () => send(request.url, { headers, body: bytes })));
      const statuses = all.map(({ status }) => status);
      expect(statuses.filter((status) => status === 200)).toHaveLength(1);
      // 409: two at the same moment; S3 wants the loser to ask again, and then says 412.
      expect(statuses.filter((status) => status === 412 || status === 409)).toHaveLength(49);
      expect(bytes.equals(await contentOf(storage, key))).toBe(true);
    });

    it('is refused with another length', async () => {
      for (const length of [bytes.length - 1, bytes.length + 1, 0]) {
        const body = Buffer.alloc(length, bytes);
        const answer = await send(request.url, { headers: headersOf(request, length), body });
        expect([length, answer.status]).toEqual([length, 403]);
      }
      await expectNothing();
    });

    it('is refused with other bytes', async () => {
      const others = Buffer.from(bytes);
      others[499_999] = (others[499_999] as number) ^ 1;
      expect((await send(request.url, { headers, body: others })).status).toBe(400);
      const digest = createHash('sha256').update(others).digest('base64');
      const retold = { ...headers, 'x-amz-checksum-sha256': digest };
      expect((await send(request.url, { headers: retold, body: others })).status).toBe(403);
      await expectNothing();
    });

    it.each(['x-amz-checksum-sha256', 'if-none-match'])('is refused without %s', async (name) => {
      const { [name]: _, ...others } = headers;
      expect([400, 403]).toContain((await send(request.url, { headers: others, body: bytes })).status);
      await expectNothing();
    });

    it('is refused on another condition', async () => {
      const others = { ...headers, 'if-none-match': '"an-etag"' };
      expect((await send(request.url, { headers: others, body: bytes })).status).toBe(403);
      await expectNothing();
    });

    it('is refused under another key, or with a changed query', async () => {
      const other = request.url.replace('0-500000.1', '0-500000.2');
      expect((await send(other, { headers, body: bytes })).status).toBe(403);
      const [address, query] = request.url.split('?') as [string, string];
      expect((await send(address, { headers, body: bytes })).status).toBe(403);
      for (const [name, value] of new URLSearchParams(query)) {
        const changed = new URLSearchParams(query);
        changed.set(name, /^\d+$/.test(value) ? String(Number(value) + 1) : `${value}0`);
        const answer = await send(`${address}?${changed}`, { headers, body: bytes });
        expect([name, answer.status]).toEqual([name, answer.status === 400 ? 400 : 403]);
      }
      await expectNothing();
    });

    it('is refused when it has expired', async () => {
      const object = { key, sizeBytes: bytes.length, sha256: sha256(bytes) };
      const late = await presignedAgo(storage, 15 * 60_000 + 5_000, object);
      expect((await send(late.url, { headers: headersOf(late, bytes.length), body: bytes })).status).toBe(403);
      await expectNothing();
      await storage.delete([key]);
      const inTime = await presignedAgo(storage, 14 * 60_000, object);
      expect((await send(inTime.url, { headers: headersOf(inTime, bytes.length), body: bytes })).status).toBe(200);
    });

    it('stores nothing when it is cut', async () => {
      await expect(send(request.url, { headers, body: bytes, cutAfter: 300_000 })).rejects.toThrow();
      await expectNothing();
    });

    it('stores an object of no bytes', async () => {
      const none = { key, sizeBytes: 0, sha256: sha256(Buffer.alloc(0)) };
      const signed = await storage.presignPut(none);
      expect((await send(signed.url, { headers: headersOf(signed, 0) })).status).toBe(200);
      expect(await storage.head(key)).toEqual({ sizeBytes: 0, sha256: none.sha256 });
    });

    it('may be sent by a page of another origin', async () => {
      const preflight = await send(request.url, {
        method: 'OPTIONS',
        headers: {
          origin: 'https://app.example.org',
          'access-control-request-method': 'PUT',
          'access-control-request-headers': 'content-type,if-none-match,x-amz-checksum-sha256',
        },
      });
      expect([200, 204]).toContain(preflight.status);
      expect(['*', 'https://app.example.org']).toContain(preflight.headers['access-control-allow-origin']);
      expect(preflight.headers['access-control-allow-methods']).toContain('PUT');
      const allowed = preflight.headers['access-control-allow-headers']?.toLowerCase() ?? '';
      for (const name of ['content-type', 'if-none-match', 'x-amz-checksum-sha256']) {
        expect(allowed === '*' || allowed.includes(name)).toBe(true);
      }
      const answer = await send(request.url, {
        headers: { ...headers, origin: 'https://app.example.org' },
        body: bytes,
      });
      expect(answer.status).toBe(200);
      expect(['*', 'https://app.example.org']).toContain(answer.headers['access-control-allow-origin']);
      expect(answer.headers['access-control-expose-headers']?.toLowerCase()).toContain('etag');
    });
  });
}

/** An address on this machine where nothing listens. */
export async function freePort(): Promise<number> {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
