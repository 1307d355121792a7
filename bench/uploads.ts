import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DiskStorage } from '../src/modules/storage/disk-storage.js';
import type { ObjectStorage } from '../src/modules/storage/index.js';
import { S3Storage } from '../src/modules/storage/s3-storage.js';
import { s3Of, startStore } from '../test/support/object-store.js';
import { cpuSecondsSince, cpuTimes } from './cpu.js';
import { graphql, type Place, type Server } from './place.js';
import { median, shuffled, spread, table } from './report.js';

const MIB = 1024 * 1024;
const BYTES = 'application/offset+octet-stream';
/** What is sent, again and again: nobody looks into it. */
const block = randomBytes(8 * MIB);
const blockSha256 = createHash('sha256').update(block).digest('hex');
const CHUNKS_A_COMMIT = 16;
const PUTS_AT_ONCE = 4;

export interface UploadOptions {
  rounds: number;
  only?: string | undefined;
  /** Of the memory part: how many at once, how large each, and the one large one; 0 leaves it out. */
  files: number;
  mib: number;
  largeMib: number;
  /** Of each round of the processor part. */
  roundMib: number;
}

interface Memory {
  store: string;
  what: string;
  uploads: number;
  /** Resident MB of the server: before, and at most. */
  before: number;
  most: number;
  seconds: number;
}
interface Lane {
  lane: string;
  /** Of each round: seconds of processor time a GB. */
  cpu: number[];
  mbPerSecond: number[];
}
export interface UploadsMeasured {
  memory: Memory[];
  lanes: Lane[];
}

interface Session {
  id: string;
  tusUrl: string;
}

/** One of our servers on one of the stores, and who uploads to it. */
class Uploader {
  private token = '';
  private channelId = '';

  constructor(
    readonly server: Server,
    readonly storage: ObjectStorage,
    private readonly email: string,
  ) {}

  async signUp(): Promise<void> {
    const account = { email: this.email, password: 'correct horse battery' };
    const { register } = await this.ask<{ register: { session: { accessToken: string } } }>(
      'mutation ($input: RegisterInput!) { register(input: $input) { session { accessToken } } }',
      { ...account, displayName: 'Ada' },
    );
    this.token = register.session.accessToken;
    const { createChannel } = await this.ask<{ createChannel: { channel: { id: string } } }>(
      'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }',
      { handle: `bench-${randomBytes(4).toString('hex')}`, name: 'Bench' },
    );
    this.channelId = createChannel.channel.id;
    this.renew = async () => {
      const { login } = await this.ask<{ login: { session: { accessToken: string } } }>(
        'mutation ($input: LoginInput!) { login(input: $input) { session { accessToken } } }',
        account,
      );
      this.token = login.session.accessToken;
    };
  }

  renew: () => Promise<void> = async () => undefined;

  ask<Data>(query: string, input: object): Promise<Data> {
    return graphql<Data>(this.server.url, query, { input }, this.token || undefined);
  }

  async begin(sizeBytes: number): Promise<Session> {
    const { createUploadSession } = await this.ask<{ createUploadSession: { session: Session } }>(
      'mutation ($input: CreateUploadSessionInput!) { createUploadSession(input: $input) { session { id tusUrl } userErrors { code } } }',
      { channelId: this.channelId, fileName: 'bench.mp4', sizeBytes, idempotencyKey: randomBytes(16).toString('hex') },
    );
    return createUploadSession.session;
  }

  async append(sizeBytes: number): Promise<Session> {
    const session = await this.begin(sizeBytes);
    const headers = { 'tus-resumable': '1.0.0', 'content-type': BYTES, 'upload-offset': '0' };
    await send('PATCH', `${session.tusUrl}/ranges`, headers, sizeBytes);
    return session;
  }

  /** Chunks of 8 MiB, committed and signed 16 at a time, put 4 at once. */
  async direct(sizeBytes: number): Promise<Session> {
    const session = await this.begin(sizeBytes);
    const chunks = Array.from({ length: sizeBytes / block.length }, (_, k) => ({
      ...{ offset: k * block.length, sizeBytes: block.length, sha256: blockSha256 },
    }));
    let stored: typeof chunks = [];
    for (let from = 0; from <= chunks.length; from += CHUNKS_A_COMMIT) {
      const next = chunks.slice(from, from + CHUNKS_A_COMMIT);
      const { commitChunks } = await this.ask<{ commitChunks: { targets: Target[] } }>(
        'mutation ($input: CommitChunksInput!) { commitChunks(input: $input) { targets { url headers { name value } } userErrors { code } } }',
        { sessionId: session.id, stored, next },
      );
      await putAll(commitChunks.targets);
      stored = next;
    }
    return session;
  }

  async complete({ id: sessionId }: Session): Promise<void> {
    await this.ask(
      'mutation ($input: CompleteUploadSessionInput!) { completeUploadSession(input: $input) { userErrors { code } } }',
      {
        sessionId,
      },
    );
    const state = 'query ($input: ID!) { uploadSession(id: $input) { state } }';
    for (;;) {
      const { uploadSession } = await graphql<{ uploadSession: { state: string } }>(
        ...([this.server.url, state, { input: sessionId }, this.token] as const),
      );
      if (uploadSession.state === 'COMPLETED') return;
      await pause(100);
    }
  }

  /** No worker runs that would do it, and disks are finite. */
  async empty(): Promise<void> {
    for (let keys = ['']; keys.length > 0; ) {
      keys = (await this.storage.list('', { limit: 1_000 })).map(({ key }) => key);
      await this.storage.delete(keys);
    }
  }
}

interface Target {
  url: string;
  headers: { name: string; value: string }[];
}

async function putAll(targets: readonly Target[]): Promise<void> {
  const rest = targets.values();
  const put = async () => {
    for (const { url, headers } of rest) {
      await send('PUT', url, Object.fromEntries(headers.map(({ name, value }) => [name, value])), block.length);
    }
  };
  await Promise.all(Array.from({ length: PUTS_AT_ONCE }, put));
}

async function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  sizeBytes: number,
): Promise<IncomingMessage> {
  const sent = request(url, { method, headers: { ...headers, 'content-length': sizeBytes } });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  for (let left = sizeBytes; left > 0; left -= block.length) {
    if (!sent.write(left < block.length ? block.subarray(0, left) : block))
      await Promise.race([once(sent, 'drain'), answered]);
  }
  sent.end();
  const [response] = await answered;
  response.resume();
  await once(response, 'end');
  if ((response.statusCode ?? 500) >= 300) throw new Error(`${method} was answered ${response.statusCode}.`);
  return response;
}

const residentMb = (pid: number, line: 'VmRSS' | 'VmHWM') =>
  (Number(new RegExp(`${line}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024) / 1e6;

export async function measureUploads(place: Place, options: UploadOptions): Promise<UploadsMeasured> {
  const env = { ROLE: 'api', LOG_LEVEL: 'info', UPLOAD_QUOTA_BYTES: '1000000000000000' };
  const minio = await startStore('minio');
  place.onClose(() => minio.remove());
  const onDisk = join(place.folder, 'data', 'storage');
  const uploaders = {
    disk: new Uploader(
      await place.start('dist/main.js', '/readyz', env),
      new DiskStorage({ root: onDisk, publicUrl: '', signingSecret: place.secret }),
      'disk@example.org',
    ),
    MinIO: new Uploader(
      await place.start('dist/main.js', '/readyz', { ...env, ...minio.env }),
      new S3Storage(s3Of(minio)),
      'minio@example.org',
    ),
  };
  await mkdir(join(place.folder, 'data', 'tus'), { recursive: true });
  const tus = await place.start('bench/peers/tus.ts', '/');
  for (const uploader of Object.values(uploaders)) await uploader.signUp();

  const measured: UploadsMeasured = { memory: [], lanes: [] };
  const sizes = [
    // What one needs is seen before the many have grown the heap.
    { what: `${options.largeMib} MiB`, uploads: 1, mib: options.largeMib },
    { what: `${options.files} × ${options.mib} MiB`, uploads: options.files, mib: options.mib },
  ].filter(({ uploads, mib }) => uploads * mib > 0);
  for (const [store, uploader] of Object.entries(uploaders)) {
    const { pid } = uploader.server;
    for (const { what, uploads, mib } of sizes) {
      // The kernel's own high-water mark, from here on.
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
      const before = residentMb(pid, 'VmRSS');
      const began = performance.now();
      await Promise.all(Array.from({ length: uploads }, () => uploader.append(mib * MIB)));
      const seconds = (performance.now() - began) / 1000;
      measured.memory.push({ store, what, uploads, before, most: residentMb(pid, 'VmHWM'), seconds });
      await uploader.empty();
      process.stderr.write(`memory, ${store}, ${what}: done\n`);
    }
  }

  const bytes = options.roundMib * MIB;
  const toTus = async () => {
    const version = { 'tus-resumable': '1.0.0' };
    const made = await send('POST', `${tus.url}/files`, { ...version, 'upload-length': String(bytes) }, 0);
    const url = new URL(String(made.headers.location), tus.url).href;
    await send('PATCH', url, { ...version, 'content-type': BYTES, 'upload-offset': '0' }, bytes);
    await send('DELETE', url, version, 0);
  };
  const alone = async () => {
    const presign = (_: unknown, k: number) =>
      uploaders.MinIO.storage.presignPut({
        ...{
          key: `incoming/alone/${randomBytes(8).toString('hex')}-${k}`,
          sizeBytes: block.length,
          sha256: blockSha256,
        },
      });
    await putAll(await Promise.all(Array.from({ length: bytes / block.length }, presign)));
  };
  const hash = async () => {
    const sha256 = createHash('sha256');
    for (let at = 0; at < bytes; at += 65_536)
      sha256.update(block.subarray(at % block.length, (at % block.length) + 65_536));
    sha256.digest();
  };
  const { disk, MinIO } = uploaders;
  const lanes: { lane: string; pids: () => number[]; run: () => Promise<unknown> }[] = [
    { lane: 'append, disk', pids: () => [disk.server.pid], run: () => disk.append(bytes) },
    { lane: 'direct, disk', pids: () => [disk.server.pid], run: () => disk.direct(bytes) },
    { lane: 'append, MinIO', pids: () => [MinIO.server.pid], run: () => MinIO.append(bytes) },
    { lane: 'direct, MinIO', pids: () => [MinIO.server.pid], run: () => MinIO.direct(bytes) },
    { lane: '@tus/server, file store', pids: () => [tus.pid], run: toTus },
    { lane: 'SHA-256 alone', pids: () => [process.pid], run: hash },
    { lane: 'MinIO alone', pids: () => [minio.pid()], run: alone },
  ];
  const wanted = lanes.filter(({ lane }) => !options.only || lane.includes(options.only));
  const found = new Map<string, Lane>(wanted.map(({ lane }) => [lane, { lane, cpu: [], mbPerSecond: [] }]));
  const note = (lane: string, cpuSeconds: number, began: number) => {
    const of = found.get(lane) ?? { lane, cpu: [], mbPerSecond: [] };
    found.set(lane, of);
    of.cpu.push(cpuSeconds / (bytes / 1e9));
    of.mbPerSecond.push(bytes / 1e3 / (performance.now() - began));
  };
  // The first round warms up.
  for (let round = 0; round <= options.rounds; round++) {
    for (const uploader of Object.values(uploaders)) await uploader.renew();
    for (const { lane, pids, run } of shuffled(wanted)) {
      const [before, began] = [cpuTimes(pids()), performance.now()];
      await run();
      // What runs on by itself after the answer belongs to it.
      await pause(100);
      if (round > 0) note(lane, cpuSecondsSince(before), began + 100);
      await Promise.all([disk.empty(), MinIO.empty()]);
    }
    process.stderr.write(`round ${round} of ${options.rounds} done\n`);
  }

  for (const [store, uploader] of Object.entries(uploaders)) {
    const lane = `assembling, ${store}`;
    if (options.only && !lane.includes(options.only)) continue;
    for (const how of ['append', 'direct'] as const) {
      const session = await uploader[how](bytes);
      const worker = await place.start('dist/main.js', '/readyz', {
        ...{ ...env, ROLE: 'worker' },
        ...(store === 'MinIO' && minio.env),
      });
      const [before, began] = [cpuTimes([worker.pid]), performance.now()];
      await uploader.complete(session);
      note(`${lane}, from ${how}`, cpuSecondsSince(before), began);
      process.kill(worker.pid, 'SIGTERM');
      await uploader.empty();
    }
  }
  return { memory: measured.memory, lanes: [...found.values()] };
}

export function uploadsTable({ memory, lanes }: UploadsMeasured): string {
  const seconds = (lane: string) => lanes.find((one) => one.lane === lane)?.cpu;
  const tusAndHash = seconds('@tus/server, file store')?.map(
    (cpu, round) => cpu + (seconds('SHA-256 alone')?.[round] ?? NaN),
  );
  const ratio = (cpu: number[], other: number[] | undefined) =>
    other && cpu.length === other.length
      ? median(cpu.map((value, round) => value / (other[round] as number))).toFixed(2)
      : '';
  return [
    table(
      ['store', 'appended at once', 'MB before', 'MB at most', 'goal: below', 'seconds'],
      memory.map(({ store, what, uploads, before, most, seconds }) => [
        ...[store, what, before.toFixed(0), most.toFixed(0)],
        ...[(200 + (uploads * 10 * MIB) / 1e6).toFixed(0), seconds.toFixed(0)],
      ]),
    ),
    table(
      ['lane', 'CPU s a GB', '× (tus + SHA-256)', '× MinIO alone', 'MB a second'],
      lanes.map(({ lane, cpu, mbPerSecond }) => [
        ...[lane, spread(cpu, 2), ratio(cpu, tusAndHash), ratio(cpu, seconds('MinIO alone')), spread(mbPerSecond, 0)],
      ]),
    ),
  ].join('\n\n');
}
