import { spawn } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { type Config, readSettings } from '../../src/common/config/index.js';
import { httpAdapter } from '../../src/common/http/index.js';
import { DiskIngress } from '../../src/modules/storage/disk-ingress.js';
import { DiskStorage } from '../../src/modules/storage/disk-storage.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { MovingStorage } from '../../src/modules/storage/moving-storage.js';
import { headersOf, objectStorageContract, presignedAgo, send, sha256 } from '../contract/object-storage.js';
import { heldBytes } from '../support/memory.js';

let root: string;
let storage: DiskStorage;
let app: NestFastifyApplication;
let ingress: DiskIngress;

async function startServer(): Promise<{ app: NestFastifyApplication; url: string }> {
  const config = readSettings({ CORS_ORIGINS: 'https://app.example.org' }) as Config;
  const testing = await Test.createTestingModule({
    providers: [{ provide: ObjectStorage, useValue: storage }, DiskIngress],
  }).compile();
  const server = testing.createNestApplication<NestFastifyApplication>(httpAdapter(config));
  await server.listen(0, '127.0.0.1');
  return { app: server, url: await server.getUrl() };
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'sluice-storage-'));
  // The port is known once it listens; what is signed names it.
  const options = { root, publicUrl: '', signingSecret: 'a secret for tests' };
  storage = new DiskStorage(options);
  await storage.prepare();
  const server = await startServer();
  app = server.app;
  ingress = app.get(DiskIngress);
  options.publicUrl = server.url;
});

afterAll(async () => {
  await app.close();
  rmSync(root, { recursive: true, force: true });
});

it('is closed to other accounts of the machine', async () => {
  for (const folder of ['objects', 'scratch']) expect((await stat(join(root, folder))).mode & 0o777).toBe(0o700);
});

const scratch = () => readdir(join(root, 'scratch'));

describe('disk storage', () => {
  objectStorageContract(() => storage);

  afterEach(async () => expect(await scratch()).toEqual([]));
  afterAll(async () => expect(await readdir(join(root, 'objects'))).toEqual([]));
});

describe('two stores as one', () => {
  let old: DiskStorage;
  let moving: MovingStorage;
  beforeAll(async () => {
    const folder = join(root, 'old');
    old = new DiskStorage({ root: folder, publicUrl: 'http://localhost', signingSecret: 'another secret' });
    await old.prepare();
    moving = new MovingStorage(storage, old);
  });

  objectStorageContract(() => moving, { keys: 500 });

  it('finds what is in either, and writes to one', async () => {
    const [key, text] = [`t/${randomUUID()}`, Buffer.from('old')];
    await old.put(key, text);
    await moving.put(`${key}-new`, Buffer.from('newer'));
    await old.put(`${key}-new`, text);
    expect(await storage.head(key)).toBeNull();
    expect(await moving.head(key)).toMatchObject({ sizeBytes: 3 });
    expect(await buffer(await moving.read(key, { start: 1, end: 3 }))).toEqual(Buffer.from('ld'));
    expect(await moving.list('t/', { limit: 9 })).toEqual([
      { key, sizeBytes: 3 },
      { key: `${key}-new`, sizeBytes: 5 },
    ]);
    expect(await moving.list('t/', { limit: 1 })).toEqual([{ key, sizeBytes: 3 }]);
    // What is about to go from there is read through a stream, which goes on to its end.
    expect([old.localPath(key), moving.localPath(key)]).toEqual([expect.any(String), null]);
    expect(moving.localPath(`${key}-new`)).not.toBeNull();
    await expect(moving.put(key, text)).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
    await moving.delete([key, `${key}-new`]);
    expect([await old.list('', { limit: 9 }), await storage.list('', { limit: 9 })]).toEqual([[], []]);
  });

  it.each(['head', 'read', 'list'] as const)('finds by %s what moves between two looks', async (how) => {
    const [key, text] = [`t/${randomUUID()}`, Buffer.from('old')];
    await old.put(key, text);
    const look = old[how].bind(old) as (...given: unknown[]) => Promise<never>;
    jest.spyOn(old, how).mockImplementation(async (...given: unknown[]) => {
      await storage.put(key, text);
      await old.delete([key]);
      return look(...given);
    });
    if (how === 'head') expect(await moving.head(key)).toMatchObject({ sizeBytes: 3 });
    if (how === 'read') expect(await buffer(await moving.read(key))).toEqual(text);
    if (how === 'list') expect(await moving.list(key, { limit: 9 })).toEqual([{ key, sizeBytes: 3 }]);
    jest.restoreAllMocks();
    await moving.delete([key]);
  });
});

describe('disk storage, its own', () => {
  const bytes = randomBytes(200_000);
  let key: string;

  beforeEach(() => {
    key = `incoming/${randomUUID()}/a`;
  });
  afterEach(async () => {
    await storage.delete([key]);
    expect(await scratch()).toEqual([]);
  });

  async function signed(body = bytes): Promise<{ url: string; headers: Record<string, string> }> {
    const request = await storage.presignPut({ key, sizeBytes: body.length, sha256: sha256(body) });
    return { url: request.url, headers: headersOf(request, body.length) };
  }

  it('has a file for each object, named after its digest', async () => {
    await storage.put(key, bytes);
    const path = storage.localPath(key) as string;
    expect(path.endsWith(`/a@/${sha256(bytes)}`)).toBe(true);
    expect(bytes.equals(await readFile(path))).toBe(true);
  });

  it("has objects whose keys are others' folders", async () => {
    const keys = [key, `${key}/b`, `${key}/b/c`];
    for (const each of keys) await storage.put(each, Buffer.from(each));
    expect((await storage.list(key, { limit: 9 })).map((object) => object.key)).toEqual(keys);
    await storage.delete([`${key}/b`]);
    expect((await storage.list(key, { limit: 9 })).map((object) => object.key)).toEqual([key, `${key}/b/c`]);
    await storage.delete(keys);
  });

  it('takes a deletion that was cut for done', async () => {
    await storage.put(key, bytes);
    const path = storage.localPath(key) as string;
    rmSync(path);
    expect(await storage.head(key)).toBeNull();
    expect(storage.localPath(key)).toBeNull();
    expect(await storage.list(dirname(key), { limit: 9 })).toEqual([]);
    await storage.put(key, Buffer.from('again'));
    expect(await storage.head(key)).toMatchObject({ sizeBytes: 5 });
  });

  it('puts into a folder that a delete takes away meanwhile', async () => {
    const folders = Array.from({ length: 8 }, (_, k) => `${key}/${k}`);
    await Promise.all(
      folders.flatMap((folder) =>
        ['a', 'b'].map(async (name) => {
          for (let round = 0; round < 40; round++) {
            await storage.put(`${folder}/${name}`, Buffer.from(name));
            await storage.delete([`${folder}/${name}`]);
          }
        }),
      ),
    );
    expect(await readdir(join(root, 'objects'))).toEqual([]);
  });

  it('removes at the start what a crashed process left, and nothing of those that live', async () => {
    const dead = spawn('true');
    await once(dead, 'exit');
    const left = {
      dead: `${hostname()}@${dead.pid}@1`,
      before: `${hostname()}@${process.pid}@1`,
      alive: `${hostname()}@${process.ppid}@1`,
      elsewhere: 'another-host@1@1',
      elsewhereLongAgo: 'another-host@1@2',
    };
    for (const name of Object.values(left)) {
      await mkdir(join(root, 'scratch', name));
      await writeFile(join(root, 'scratch', name, 'bytes'), 'x');
    }
    const longAgo = new Date(Date.now() - 2 * 60 * 60 * 1000);
    await utimes(join(root, 'scratch', left.elsewhereLongAgo, 'bytes'), longAgo, longAgo);
    await storage.prepare();
    expect((await scratch()).sort()).toEqual([left.alive, left.elsewhere].sort());
    for (const name of await scratch()) rmSync(join(root, 'scratch', name), { recursive: true });
  });

  it("answers in S3's words", async () => {
    const { url, headers } = await signed();
    const stored = await send(url, { headers, body: bytes });
    expect(stored).toMatchObject({ status: 200, body: '' });
    expect(stored.headers['x-amz-checksum-sha256']).toBe(createHash('sha256').update(bytes).digest('base64'));
    const again = await send(url, { headers, body: bytes });
    expect(again.headers['content-type']).toMatch('application/xml');
    expect(again.body).toContain('<Code>PreconditionFailed</Code>');
    await storage.delete([key]);
    expect((await send(url, { headers, body: Buffer.alloc(bytes.length) })).body).toContain('<Code>BadDigest</Code>');
    const late = await presignedAgo(storage, 16 * 60_000, { key, sizeBytes: bytes.length, sha256: sha256(bytes) });
    const expired = await send(late.url, { headers: headersOf(late, bytes.length), body: bytes });
    expect(expired.body).toMatch(/<Code>AccessDenied<\/Code>.*expired/);
  });

  it('tells no other origin that it may read the answer', async () => {
    const { url, headers } = await signed();
    for (const [origin, allowed] of [
      ['https://evil.example.org', undefined],
      ['https://app.example.org', 'https://app.example.org'],
    ]) {
      const answer = await send(url, {
        method: 'OPTIONS',
        headers: { origin: origin as string, 'access-control-request-method': 'PUT' },
      });
      expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([204, allowed]);
    }
    expect((await send(url, { headers: { ...headers, origin: 'https://app.example.org' }, body: bytes })).status).toBe(
      200,
    );
  });

  it.each([
    '..%2f..%2fetc/passwd',
    'incoming/../../etc/passwd',
    'incoming/%2e%2e/a',
    'incoming//a',
    'incoming/A',
    'masters/a',
    '',
  ])('puts nothing at %j', async (path) => {
    const { url, headers } = await signed();
    const target = `/storage/${path}${url.slice(url.indexOf('?'))}`;
    const answer = await raw(port(url), [head(target, { ...headers, connection: 'close' }), bytes]);
    expect(answer).toMatch(/^HTTP\/1.1 40[34] /);
    expect(await storage.list('', { limit: 10 })).toEqual([]);
  });

  it('reads no body by its content type', async () => {
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data', 'video/mp4']) {
      const body = randomBytes(2_000_000);
      const { url, headers } = await signed(body);
      expect((await send(url, { headers: { ...headers, 'content-type': type }, body })).status).toBe(200);
      expect(await storage.head(key)).toEqual({ sizeBytes: body.length, sha256: sha256(body) });
      await storage.delete([key]);
    }
  });

  it('refuses a body without a length, and a header that is there twice', async () => {
    const { url, headers } = await signed();
    const { 'content-length': _, ...chunked } = headers;
    expect((await send(url, { headers: { ...chunked, 'transfer-encoding': 'chunked' }, body: bytes })).status).toBe(
      400,
    );
    const twice = { ...headers, 'if-none-match': ['*', '*'] };
    expect((await send(url, { headers: twice, body: bytes })).status).toBe(400);
    expect(await storage.head(key)).toBeNull();
  });

  it('takes no byte beyond the length', async () => {
    const { url, headers } = await signed();
    const answer = await raw(port(url), [head(url, headers), bytes, Buffer.alloc(1_000_000)]);
    // What comes after the length is the next request to HTTP, and none that is understood.
    expect(answer).toMatch(/^HTTP\/1.1 (200 [\s\S]*HTTP\/1.1 )?400 /);
    await until(async () => (await scratch()).length === 0);
    const stored = await storage.head(key);
    if (stored) expect(stored).toEqual({ sizeBytes: bytes.length, sha256: sha256(bytes) });
  });

  it('lets go of a client that says nothing any more', async () => {
    const usual = ingress.idleMs;
    ingress.idleMs = 200;
    try {
      const { url, headers } = await signed();
      const answer = await raw(port(url), [head(url, headers), bytes.subarray(0, 1000)]);
      expect(answer).toMatch(/^HTTP\/1.1 400 [\s\S]*<Code>RequestTimeout<\/Code>/);
      expect(await storage.head(key)).toBeNull();
    } finally {
      ingress.idleMs = usual;
    }
  });

  it('lets those at work finish when the server stops, takes no others, and cuts those that take too long', async () => {
    const other = await startServer();
    const [nearly, slow] = (await Promise.all(
      ['nearly', 'slow'].map(async (name) => {
        const object = { key: `${key}/${name}`, sizeBytes: bytes.length, sha256: sha256(bytes) };
        const { url, ...rest } = await storage.presignPut(object);
        const request = { ...rest, url: other.url + new URL(url).pathname + new URL(url).search };
        const socket = net.connect(port(other.url), '127.0.0.1');
        socket.write(head(request.url, headersOf(request, bytes.length)));
        socket.write(bytes.subarray(0, 1000));
        return socket;
      }),
    )) as [net.Socket, net.Socket];
    await until(async () => (await scratch()).length === 2);
    const stopped = other.app.close();
    const answer = once(nearly, 'data');
    const cut = once(
      slow.on('error', () => slow.destroy()),
      'close',
    );
    await until(() =>
      fetch(other.url).then(
        () => false,
        () => true,
      ),
    );
    nearly.write(bytes.subarray(1000));
    expect(String((await answer)[0])).toMatch(/^HTTP\/1.1 200 [\s\S]*connection: close/i);
    await cut;
    await stopped;
    expect((await storage.list(key, { limit: 9 })).map((object) => object.key)).toEqual([`${key}/nearly`]);
    await storage.delete([`${key}/nearly`]);
  });

  it('reads a refused body to its end, so that its client comes to reading the answer and asks again', async () => {
    const large = randomBytes(20_000_000);
    const refused = await signed(large);
    const good = await signed();
    const answer = await raw(port(good.url), [
      head(refused.url.replace('signature=', 'signature=x'), refused.headers),
      large,
      head(good.url, { ...good.headers, connection: 'close' }),
      bytes,
    ]);
    expect(answer).toMatch(/^HTTP\/1.1 403 [\s\S]*HTTP\/1.1 200 /);
  });

  it('does not read a refused body of any size', async () => {
    const { url, headers } = await signed();
    const answer = await raw(port(url), [head(url, { ...headers, 'content-length': '50000000000' }), bytes]);
    expect(answer).toMatch(/^HTTP\/1.1 403 [\s\S]*connection: close/i);
  });

  it('holds little of a large body in memory', async () => {
    const size = 200_000_000;
    const piece = randomBytes(1_000_000);
    const hash = createHash('sha256');
    for (let sent = 0; sent < size; sent += piece.length) hash.update(piece);
    const request = await storage.presignPut({ key, sizeBytes: size, sha256: hash.digest('hex') });
    const socket = net.connect(port(request.url), '127.0.0.1');
    const answer = once(socket, 'data');
    socket.write(head(request.url, headersOf(request, size)));
    const before = heldBytes();
    let most = 0;
    for (let sent = 0; sent < size; sent += piece.length) {
      if (!socket.write(piece)) await once(socket, 'drain');
      if (sent % 10_000_000 === 0) most = Math.max(most, heldBytes() - before);
    }
    expect(String((await answer)[0])).toMatch(/^HTTP\/1.1 200 /);
    socket.destroy();
    expect(most).toBeLessThan(40_000_000);
  }, 60_000);
});

// A file system of 2 MiB, to be had without being root by a namespace of one's own; other systems have no such thing.
if (process.platform === 'linux') {
  describe('a full disk', () => {
    let holder: ReturnType<typeof spawn>;
    let small: DiskStorage;
    let at: string;

    beforeAll(async () => {
      const mount = mkdtempSync(join(tmpdir(), 'sluice-full-'));
      chmodSync(mount, 0o755);
      const script = ['--dev-bind', '/', '/', '--size', String(2 * 1024 * 1024), '--tmpfs', mount, '--die-with-parent'];
      holder = spawn('bwrap', [...script, 'sh', '-c', 'echo $$; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
      const [line] = (await once(holder.stdout as Readable, 'data')) as [Buffer];
      at = join('/proc', line.toString().trim(), 'root', mount);
      small = new DiskStorage({ root: at, publicUrl: 'http://localhost', signingSecret: 's' });
      await small.prepare();
    });
    afterAll(async () => {
      holder.stdin?.end();
      await once(holder, 'exit');
    });

    it('says STORAGE_FULL and leaves nothing half done', async () => {
      await small.put('a', randomBytes(1_000_000));
      const body = Readable.from(Array.from({ length: 30 }, () => randomBytes(100_000)));
      await expect(small.put('b', body)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
      expect(await readdir(join(at, 'scratch'))).toEqual([]);
      expect(await small.list('', { limit: 9 })).toEqual([{ key: 'a', sizeBytes: 1_000_000 }]);
      await small.delete(['a']);
      await small.put('b', randomBytes(1_500_000));
    });
  });
}

function port(url: string): number {
  return Number(new URL(url).port);
}

/** The path of an address, or what is given in its place, goes out as it is. */
function head(url: string, headers: Record<string, string>): string {
  const target = url.replace(/^https?:\/\/[^/]*/, '');
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `PUT ${target} HTTP/1.1\r\nhost: a\r\n${lines.join('\r\n')}\r\n\r\n`;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Bytes as they are, and all that comes back until the server closes. */
async function raw(port: number, parts: (string | Buffer)[]): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => {
    answer += data.toString('latin1');
  });
  socket.on('error', () => socket.destroy());
  for (const part of parts) socket.write(part);
  await once(socket, 'close');
  return answer;
}
