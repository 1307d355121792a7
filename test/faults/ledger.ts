import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type { Actor } from '../../src/common/access/index.js';
import { sqlState } from '../../src/common/database/index.js';
import { DomainError } from '../../src/common/errors/index.js';
import { JobWorker } from '../../src/common/jobs/index.js';
import { StorageError, StoredObjects } from '../../src/modules/storage/index.js';
import { StorageCollector } from '../../src/modules/storage/storage-collector.js';
import { AppendLane, prefixOf } from '../../src/modules/uploads/append-lane.service.js';
import { type ByteRange, isCovered, missingRanges, parseMultirange } from '../../src/modules/uploads/byte-ranges.js';
import { type Chunk, ChunksService, type Target } from '../../src/modules/uploads/chunks.service.js';
import { IncomingBytes } from '../../src/modules/uploads/incoming-bytes.js';
import { MergeJob } from '../../src/modules/uploads/merge.job.js';
import { runsOf } from '../../src/modules/uploads/merge-runs.js';
import { UploadExpiry } from '../../src/modules/uploads/upload-expiry.service.js';
import { UploadWriters } from '../../src/modules/uploads/upload-writers.service.js';
import { type UploadSessionRow, UploadsService } from '../../src/modules/uploads/uploads.service.js';
import { VideosService } from '../../src/modules/videos/index.js';
import { brokenInvariants, digestOf, storeDifferences } from '../support/invariants.js';
import { apart, Crash, type Draw, drawFrom, Fault, point, Schedule } from './schedule.js';
import { type App, INSTALLATION_QUOTA, QUOTA, type World } from './world.js';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const QUEUES = ['assemble', 'events', 'default'] as const;
const [ADA, BEN] = [0, 1];
const THIRD_FILE = sha256(Buffer.from('a third file'));
const ENDED = ['COMPLETED', 'CANCELLED', 'EXPIRED'];
/** The link of a client was cut, or its request took longer than the store allows. */
class Cut extends Error {}

export interface Outcome {
  broken: string[];
  trace: readonly string[];
  /** What the session came to, for the figures. */
  end: string;
  turns: number;
}

/**
 * One small upload with everything against everything: a seed draws what its clients, workers and the collector do, and
 * in which order each statement, file and byte of it comes; then a patient client and a sweep end it. All that must hold
 * is compared with what the clients were told.
 */
export async function runSeed(world: World, seed: number): Promise<Outcome> {
  const run = new LedgerRun(world, seed);
  try {
    await run.all();
  } catch (error) {
    run.broken.push((error as Error).stack ?? String(error));
    run.schedule.abandon();
    await pause(500);
  }
  await clear(world);
  return { broken: run.broken, trace: run.schedule.trace, end: run.end, turns: run.schedule.trace.length };
}

async function clear({ database, disk }: World): Promise<void> {
  const tables = ['audit', 'upload_writer', 'upload_chunk', 'upload_target', 'upload_session', 'video', 'job'];
  tables.push('stored_object', 'stored_object_change', 'channel_member', 'channel', 'app_user');
  await database.query(tables.map((table) => `DELETE FROM ${table}`).join(';'));
  await disk.delete((await disk.list('', { limit: 1_000 })).map(({ key }) => key));
}

class LedgerRun {
  readonly broken: string[] = [];
  readonly schedule: Schedule;
  end = '';
  private readonly draw: Draw;
  private readonly size: number;
  private readonly file: Buffer;
  /** Clients that send other bytes than the file's: only the digest of the whole finds them. */
  private readonly corrupts: boolean;
  private readonly mayFail: boolean;
  /** A client declared the digest of another file. */
  private misdeclared: boolean;
  private readonly declared: string | null;
  private readonly users: { actor: Actor; channelId: string }[] = [];
  private id = '';
  private videoId = '';
  /** Signatures of an earlier one have expired. */
  private era = 0;
  private discards = { begun: 0, open: 0 };
  /** Bodies that say nothing any more: their requests end when somebody evicts them. */
  private readonly silent: Promise<unknown>[] = [];
  private readonly evicted: { writers: string[]; at: number }[] = [];
  private committed: Chunk[] = [];

  constructor(
    private readonly world: World,
    seed: number,
  ) {
    this.draw = drawFrom(seed);
    const { draw } = this;
    const profile = draw.of([
      { fails: 0, crashes: 0 },
      { fails: 0, crashes: 0 },
      { fails: 0.02, crashes: 0 },
      { fails: 0.005, crashes: 0.01 },
    ]);
    this.mayFail = profile.fails + profile.crashes > 0;
    this.schedule = new Schedule(drawFrom(seed ^ 0x5eed), () => this.lockWaits(), profile);
    this.size = draw.int(1, draw.of([60, 2_000, 6_000]));
    this.file = draw.bytes(this.size);
    this.corrupts = draw.chance(0.25);
    this.misdeclared = draw.chance(0.05);
    this.declared = this.misdeclared
      ? sha256(Buffer.from('another file'))
      : this.corrupts || draw.chance(0.4)
        ? sha256(this.file)
        : null;
  }

  async all(): Promise<void> {
    await this.begin();
    const { draw } = this;
    const tasks = [
      ...draw.times(1, 3).map(() => this.client(draw.int(2, 5))),
      ...draw.times(0, 2).map(() => this.worker(draw.int(1, 4))),
      ...(draw.chance(0.4) ? draw.times(1, 2).map(() => this.collect()) : []),
      ...(draw.chance(0.3) ? [this.timeJump()] : []),
      ...(draw.chance(0.3) ? [this.discard()] : []),
      ...(draw.chance(0.25) ? draw.times(1, 3).map(() => this.ending()) : []),
      ...draw.times(0, draw.chance(0.05) ? 50 : 3).map(() => this.complete()),
      ...(draw.chance(0.1) ? [this.takeover()] : []),
      ...(draw.chance(0.5) ? [this.ask(() => this.invariants())] : []),
    ];
    await this.schedule.drive(Promise.all(tasks));
    this.schedule.faults = { fails: 0, crashes: 0 };
    await this.schedule.drive(this.finish());
    await this.check();
  }

  // --- what the world is at first

  private async begin(): Promise<void> {
    const { database } = this.world;
    for (const name of ['ada', 'ben']) {
      const [row] = await database.query<{ userId: string; channelId: string }>(
        `WITH u AS (INSERT INTO app_user (email, email_key, display_name, password_hash) VALUES ($1, $1, $1, '') RETURNING id),
              c AS (INSERT INTO channel (handle, handle_key, name) VALUES ($1, $1, $1) RETURNING id),
              m AS (INSERT INTO channel_member (channel_id, user_id, role) SELECT c.id, u.id, 'OWNER' FROM c, u)
         SELECT u.id AS "userId", c.id AS "channelId" FROM u, c`,
        [name],
      );
      if (row)
        this.users.push({ actor: { userId: row.userId, sessionId: '', role: 'MEMBER' }, channelId: row.channelId });
    }
    await this.createAtOnce();
    const main = () =>
      database.query<{ id: string }>(`SELECT id FROM upload_session WHERE idempotency_key = 'ada main'`);
    if ((await main()).length === 0) {
      // What has taken its room goes.
      const rows = await database.query<{ id: string }>('SELECT id FROM upload_session');
      for (const { id } of rows) await this.app().get(UploadsService).cancelSession(id);
      await this.create(ADA, 'ada main', this.app());
    }
    this.id = (await main())[0]?.id as string;
    this.videoId = (await this.session()).videoId;
  }

  /** Whatever comes at once with one key begins one upload; with other keys, as many as there is room for. */
  private async createAtOnce(): Promise<void> {
    const { draw } = this;
    const wanted = [{ user: ADA, key: 'ada main' }, ...draw.times(0, 2).map(() => ({ user: ADA, key: 'ada main' }))];
    if (draw.chance(0.3)) {
      wanted.push(...draw.times(0, 3).map((_, k) => ({ user: ADA, key: `ada ${k}` })));
      wanted.push(...draw.times(1, 3).map((_, k) => ({ user: BEN, key: `ben ${k}` })));
    }
    const answers = await this.schedule.drive(
      Promise.all(
        wanted.map(({ user, key }) => {
          const app = this.app();
          return this.tries(() => this.schedule.request('create', app.name, () => this.create(user, key, app)), 6);
        }),
      ),
    );
    const begun = new Map<string, string>();
    for (const [index, { key }] of wanted.entries()) {
      const session = answers[index];
      if (!session || typeof session === 'string') continue;
      if ((begun.get(key) ?? session.id) !== session.id) this.broken.push(`the key ${key} began two sessions`);
      begun.set(key, session.id);
    }
    const rows = await this.world.database.query<{ key: string }>('SELECT idempotency_key AS key FROM upload_session');
    const heldBy = (who: string) => rows.filter(({ key }) => key.startsWith(who)).length * this.size;
    if (rows.length * this.size > INSTALLATION_QUOTA)
      this.broken.push(`${rows.length} sessions are more than there is room for`);
    for (const who of ['ada', 'ben']) if (heldBy(who) > QUOTA) this.broken.push(`${who} holds ${heldBy(who)} bytes`);
    for (const { key } of this.mayFail ? [] : wanted) {
      const who = key.slice(0, 3);
      const room = heldBy(who) + this.size <= QUOTA && (rows.length + 1) * this.size <= INSTALLATION_QUOTA;
      if (!begun.has(key) && room) this.broken.push(`${key} was refused, and there is room`);
    }
  }

  private create(user: number, key: string, app: App): Promise<UploadSessionRow> {
    const { actor, channelId } = this.users[user] as (typeof this.users)[number];
    return app.get(UploadsService).create(actor, {
      channelId,
      fileName: 'film.mp4',
      sizeBytes: this.size,
      sha256: this.declared,
      visibility: 'PRIVATE',
      idempotencyKey: key,
    });
  }

  private get actor(): Actor {
    return (this.users[ADA] as (typeof this.users)[number]).actor;
  }

  private app(): App {
    return this.draw.of(this.world.apps);
  }

  private async session(): Promise<UploadSessionRow> {
    const [app] = this.world.apps as [App];
    return this.schedule.look(async () => (await app.get(UploadsService).byId(this.id)) as UploadSessionRow);
  }

  private async lockWaits(): Promise<number> {
    const [row] = await this.world.database.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return row?.n ?? 0;
  }

  // --- what goes on

  /** Asks again when the answer was lost. @returns the answer, or the code of a refusal */
  private async tries<T>(work: () => Promise<T>, most = this.draw.int(1, 3)): Promise<T | string> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        // PostgreSQL ends the connection of who was stopped within a transaction.
        const cutOff = /connection error|Connection terminated|idle-in-transaction|already released/.test(
          (error as Error).message,
        );
        const lost = cutOff || error instanceof Fault || error instanceof Crash || error instanceof Cut;
        const again = lost || (error as Error).message.includes('changed in mid-call') || sqlState(error) === '55P03';
        if (again && attempt < most) continue;
        if (lost || again) return 'LOST';
        if (error instanceof DomainError) return error.code;
        // Its process slept so long that the object was given up.
        if (error instanceof StorageError && error.code === 'OBJECT_EXISTS' && this.era > 0) return error.code;
        // What a merge reads may be discarded meanwhile.
        if (error instanceof StorageError && error.code === 'OBJECT_MISSING' && this.discards.begun > 0)
          return error.code;
        this.broken.push(`unexpected: ${(error as Error).stack}`);
        return 'BROKEN';
      }
    }
  }

  private request<T>(
    name: string,
    work: (app: App) => Promise<T>,
    app = this.app(),
    stop?: { stopsIn?: number; onStop?: () => void },
  ): Promise<T> {
    return this.schedule.request(name, app.name, () => work(app), stop);
  }

  /** Something of the test's own, at a drawn moment. */
  private ask<T>(work: () => Promise<T>): Promise<T> {
    return this.schedule
      .request('test', 'test', () => apart('of the test', work))
      .catch((error) => {
        if (error instanceof Fault || error instanceof Crash) return undefined as T;
        throw error;
      });
  }

  private async client(count: number): Promise<void> {
    const { draw } = this;
    for (let k = 0; k < count; k++) {
      const dice = draw.int(1, 100);
      if (dice <= 40) await this.direct();
      else if (dice <= 75) await this.append();
      else if (dice <= 82) await this.head();
      else if (dice <= 88) await this.complete();
      else if (dice <= 90) await this.pause();
      else if (dice <= 93) await this.merge();
      else if (dice <= 95) await this.repair();
      else if (dice <= 98) await this.sendAgain();
      else await this.replay();
    }
  }

  private range(): ByteRange {
    const { draw, size } = this;
    const start = draw.int(0, size - 1);
    return { start, end: Math.min(size, start + draw.int(1, Math.max(1, Math.ceil(size / draw.int(1, 6))))) };
  }

  /** The file's bytes, or what a client with a bad memory takes for them. */
  private bytesOf({ start, end }: ByteRange): Buffer {
    const bytes = Buffer.from(this.file.subarray(start, end));
    if (this.corrupts && this.draw.chance(0.3)) {
      const at = this.draw.int(0, bytes.length - 1);
      bytes[at] = (bytes[at] as number) ^ 1;
    }
    return bytes;
  }

  /** What was acknowledged is there at that moment, unless a discard takes it at the same time. */
  private async acknowledged(
    what: string,
    ranges: readonly ByteRange[],
    begun: { begun: number; open: number },
  ): Promise<void> {
    const { covered, state } = await this.session();
    const taken = this.discards.begun !== begun.begun || begun.open > 0;
    for (const range of ranges) {
      if (range.start < range.end && !taken && !isCovered(range, parseMultirange(covered))) {
        this.broken.push(`${what} acknowledged ${range.start}–${range.end}, which is not there: ${state} ${covered}`);
      }
    }
  }

  private async direct(ranges: ByteRange[] = this.draw.times(1, 3).map(() => this.range())): Promise<void> {
    const { draw } = this;
    const bodies = ranges.map((range) => {
      const bytes = this.bytesOf(range);
      return { bytes, chunk: { offset: range.start, sizeBytes: bytes.length, sha256: sha256(bytes) } };
    });
    const next = bodies.map(({ chunk }) => chunk);
    const era = this.era;
    const signed = await this.tries(() =>
      this.request('sign', async (app) => {
        const failed = draw.chance(0.1) ? next.map((chunk) => ({ ...chunk, reason: 'a cut' })) : [];
        const { targets } = await app.get(ChunksService).commit(this.actor, this.id, { stored: [], failed, next });
        return targets;
      }),
    );
    if (typeof signed === 'string') return;
    await Promise.all(
      signed.map(async (target, index) => {
        const how = draw.int(1, 100);
        const { bytes, chunk } = bodies[index] as (typeof bodies)[number];
        if (how <= 8) return;
        if (how <= 16) return void (await this.tries(() => this.put(target, this.others(bytes), chunk, era)));
        // A store that is broken, or that somebody else wrote into.
        if (how <= 22) return void (await this.ask(() => this.foreign(target, bytes)));
        const cutAt = how <= 32 ? draw.int(0, bytes.length - 1) : null;
        await this.tries(() => this.put(target, bytes, chunk, era, cutAt));
      }),
    );
    const stored = [...next, ...(draw.chance(0.2) ? next.slice(0, 1) : [])];
    if (draw.chance(0.1)) stored.push({ ...(next[0] as Chunk), sha256: sha256(Buffer.from('never sent')) });
    await this.commit(stored);
    this.committed.push(...next);
  }

  private async commit(stored: readonly Chunk[]): Promise<void> {
    const begun = { ...this.discards };
    const answer = await this.tries(() =>
      this.request('commit', (app) =>
        app.get(ChunksService).commit(this.actor, this.id, { stored, failed: [], next: [] }),
      ),
    );
    if (typeof answer === 'string') return;
    const good = stored.filter((_, index) =>
      ['COMMITTED', 'ALREADY_COVERED'].includes(answer.outcomes[index] as string),
    );
    await this.acknowledged(
      'commit',
      good.map(({ offset, sizeBytes }) => ({ start: offset, end: offset + sizeBytes })),
      begun,
    );
  }

  /** A batch of long ago comes once more. */
  private async replay(): Promise<void> {
    if (this.committed.length > 0) await this.commit(this.draw.times(1, 3).map(() => this.draw.of(this.committed)));
  }

  /** What was taken back is sent and told once more, while the collector is at it. */
  private async sendAgain(): Promise<void> {
    if (this.committed.length === 0) return;
    const chunk = this.draw.of(this.committed);
    const range = { start: chunk.offset, end: chunk.offset + chunk.sizeBytes };
    await this.discard([range]);
    const again = [() => this.commit([chunk]), () => this.commit([chunk]), () => this.direct([range])];
    await Promise.all([this.collect(), this.collect(), ...again.map((one) => one())]);
  }

  private others(bytes: Buffer): Buffer {
    return Buffer.from(bytes.map((byte) => byte ^ 0xff));
  }

  private put(
    target: Target,
    bytes: Buffer,
    { sizeBytes, sha256: digest }: Chunk,
    era: number,
    cutAt: number | null = null,
  ): Promise<void> {
    const { disk } = this.world;
    const { pathname, searchParams } = new URL(target.url);
    const key = pathname.slice('/storage/'.length);
    const checksum = target.headers.find(({ name }) => name === 'x-amz-checksum-sha256')?.value;
    return this.request(`put ${key.slice(-20)}`, async () => {
      const refusal = disk.refusalOf({
        key,
        contentLength: String(sizeBytes),
        checksum,
        ifNoneMatch: '*',
        expires: searchParams.get('expires') ?? undefined,
        signature: searchParams.get('signature') ?? undefined,
      });
      if (refusal) this.broken.push(`a signed PUT is refused: ${refusal.code}`);
      const inTime = () => {
        if (this.era !== era) throw new Cut('the signature has expired');
      };
      const body = async function* (): AsyncGenerator<Buffer> {
        let sent = 0;
        for (const end of [...(cutAt === null ? [] : [cutAt]), bytes.length]) {
          await point('file', 'bytes', async () => undefined);
          inTime();
          yield bytes.subarray(sent, end);
          sent = end;
          if (end === cutAt) throw new Cut('cut');
        }
        await point('file', 'end of body', async () => undefined);
        inTime();
      };
      try {
        await disk.receive(key, body(), { sizeBytes, sha256: digest });
        if (sha256(bytes) !== digest) this.broken.push(`the store took other bytes for ${key}`);
      } catch (error) {
        if (
          !(error instanceof StorageError && ['OBJECT_EXISTS', 'DIGEST_MISMATCH', 'SIZE_MISMATCH'].includes(error.code))
        )
          throw error;
      }
    });
  }

  private async foreign(target: Target, bytes: Buffer): Promise<void> {
    const key = new URL(target.url).pathname.slice('/storage/'.length);
    const wrong = this.draw.chance(0.5) ? this.others(bytes) : Buffer.concat([bytes, bytes]);
    const [row] = await this.world.database.query(`SELECT FROM stored_object WHERE key = $1 AND state = 'PENDING'`, [
      key,
    ]);
    if (row)
      await this.world.disk.put(key, wrong).catch((error: unknown) => {
        if (!(error instanceof StorageError)) throw error;
      });
  }

  private async append(given?: { range: ByteRange; app: App; stopsIn?: number; onStop?: () => void }): Promise<void> {
    const { draw } = this;
    const tus = !given && draw.chance(0.5);
    let range = given?.range ?? this.range();
    if (tus) {
      const { covered } = await this.session();
      const start = prefixOf(covered);
      if (start >= this.size) return;
      range = { start, end: Math.min(this.size, start + draw.int(1, this.size)) };
    }
    const bytes = this.bytesOf(range);
    const checked = draw.chance(0.25);
    const lies = checked && draw.chance(0.3);
    const how = draw.int(1, 100);
    const cutAt = how <= 25 ? draw.int(0, bytes.length) : null;
    const silentAt = how > 25 && how <= 32 ? draw.int(0, bytes.length) : null;
    const end = cutAt ?? silentAt ?? bytes.length;
    const pieces = draw.int(1, 3);
    const length = draw.chance(0.8) ? bytes.length : null;
    const app = given?.app ?? this.app();
    const begun = { ...this.discards };
    const { epoch } = await this.session();
    const { era } = this;

    const sent = { bytes: 0 };
    const body = async function* (): AsyncGenerator<Buffer> {
      for (let piece = 1; piece <= pieces; piece++) {
        const part = bytes.subarray(sent.bytes, Math.floor((end * piece) / pieces));
        if (part.length === 0) continue;
        await point('file', 'bytes', async () => undefined);
        sent.bytes += part.length;
        yield part;
      }
      if (silentAt !== null) await new Promise(() => undefined);
      await point('file', 'end of body', async () => undefined);
      if (cutAt !== null) throw new Cut('cut');
    };
    const work = async (app: App) => {
      const lane = app.get(AppendLane);
      const before = (await app.get(UploadsService).byId(this.id)) as UploadSessionRow;
      if (before.state === 'OPEN')
        await this.evict(app, { start: range.start, end: range.start + Math.max(1, length ?? 1) });
      const now = (await app.get(UploadsService).byId(this.id)) as UploadSessionRow;
      if (now.state !== 'OPEN' || (tus && prefixOf(now.covered) !== range.start)) return null;
      const checksum = checked
        ? { algorithm: 'sha256' as const, digest: sha256(lies ? this.others(bytes) : bytes) }
        : null;
      const incoming = new IncomingBytes(Readable.from(body(), { objectMode: false }));
      return lane.append(now, range.start, incoming, {
        length: checked ? bytes.length : length,
        checksum,
        completes: tus,
      });
    };
    const name = `append ${range.start}–${range.end}${checked ? ' checked' : ''}${silentAt === null ? '' : ' silent'}`;
    const answered = this.tries(() => this.request(name, work, app, given), 1).then(async (answer) => {
      if (!answer || typeof answer === 'string') return;
      const { stop, reached } = answer;
      if (lies && stop === 'END') this.broken.push(`a wrong checksum counted: ${name}`);
      if (checked && !lies && stop === 'MISMATCH') this.broken.push(`a right checksum was refused: ${name}`);
      // Who slept for hours does not know what was given up meanwhile; the protocol's answer looks again.
      if (this.era === era) await this.acknowledged(name, [{ start: range.start, end: reached }], begun);
      // Of a link that was cut everything is kept that had arrived.
      const session = await this.session();
      const alone = !this.mayFail && this.discards.begun === begun.begun && begun.open === 0 && session.epoch === epoch;
      if (stop === 'CUT' && !checked && alone && this.era === 0) {
        const arrived = { start: range.start, end: range.start + sent.bytes };
        if (sent.bytes > 0 && !isCovered(arrived, parseMultirange(session.covered))) {
          this.broken.push(`${name} was cut at ${arrived.end}, and not all of it is kept: ${session.covered}`);
        }
      }
      if (stop === 'END' && reached !== range.end && cutAt === null) this.broken.push(`${name} ended at ${reached}`);
    });
    if (silentAt === null) await answered;
    else this.silent.push(answered);
  }

  /** Whoever was evicted counts nothing afterwards. */
  private async evict(app: App, range: ByteRange): Promise<void> {
    const { database } = this.world;
    const writers = await this.schedule.look(() =>
      database.query<{ id: string }>('SELECT id FROM upload_writer WHERE session_id = $1 AND span && $2::int8range', [
        this.id,
        `[${range.start},${range.end})`,
      ]),
    );
    await app.get(UploadWriters).evict(this.id, range);
    if (writers.length > 0) this.evicted.push({ writers: writers.map(({ id }) => id), at: await this.lastNote() });
  }

  private lastNote(): Promise<number> {
    return this.schedule.look(async () => {
      const [row] = await this.world.database.query<{ k: number }>('SELECT coalesce(max(k), 0)::int AS k FROM audit');
      return row?.k ?? 0;
    });
  }

  /** A process is stopped in the middle of an append, another goes on in its place, then it wakes. */
  private async takeover(): Promise<void> {
    const [one, other] = this.draw.chance(0.5) ? this.world.apps : [...this.world.apps].reverse();
    const range = this.range();
    let appending: Promise<void> = Promise.resolve();
    await new Promise<void>((onStop) => {
      appending = this.append({ range, app: one as App, stopsIn: this.draw.int(6, 18), onStop }).finally(onStop);
    });
    await this.tries(() => this.request('evict', (app) => this.evict(app, range), other), 3);
    if (this.draw.chance(0.5)) await this.append({ range, app: other as App });
    this.schedule.continueStopped();
    await appending;
  }

  private async head(): Promise<void> {
    const begun = { ...this.discards };
    const answer = await this.tries(() =>
      this.request('head', async (app) => {
        const uploads = app.get(UploadsService);
        const session = (await uploads.byId(this.id)) as UploadSessionRow;
        const place = prefixOf(session.covered);
        await this.evict(app, { start: place, end: place + 1 });
        return prefixOf(((await uploads.byId(this.id)) as UploadSessionRow).covered);
      }),
    );
    if (typeof answer === 'number') await this.acknowledged('head', [{ start: 0, end: answer }], begun);
  }

  private async complete(): Promise<void> {
    const digest = this.draw.of([null, null, this.declared ?? sha256(this.file), THIRD_FILE]);
    if (digest === THIRD_FILE) this.misdeclared = true;
    const answer = await this.tries(() =>
      this.request('complete', (app) => app.get(UploadsService).complete(this.actor, this.id, digest)),
    );
    if (typeof answer === 'string') return;
    if (missingRanges(parseMultirange(answer.covered), this.size).length > 0) {
      this.broken.push(`complete answered ${answer.state} with ${answer.covered} of ${this.size}`);
    }
  }

  private async pause(): Promise<void> {
    const paused = this.draw.chance(0.5);
    await this.tries(() =>
      this.request('pause', (app) => app.get(UploadsService).setPaused(this.actor, this.id, paused)),
    );
  }

  private async discard(ranges: ByteRange[] = this.draw.times(1, 2).map(() => this.range())): Promise<void> {
    this.discards.begun++;
    this.discards.open++;
    await this.tries(() =>
      this.request('discard', (app) => app.get(UploadsService).discard(this.actor, this.id, ranges)),
    );
    this.discards.open--;
  }

  /** As a client does after a mismatch: whatever the server has other digests of goes. */
  private async repair(): Promise<void> {
    if ((await this.session()).failureCode === null) return;
    const found = await this.tries(() =>
      this.request('chunks', (app) => app.get(UploadsService).chunksOf(this.id, 'COMMITTED', 100)),
    );
    if (typeof found === 'string') return;
    const wrong = found.rows
      .map(({ offset, sizeBytes, sha256: digest }) => ({
        start: offset,
        end: offset + sizeBytes,
        digest: digest?.toString('hex'),
      }))
      .filter(({ start, end, digest }) => digest !== sha256(this.file.subarray(start, end)));
    if (wrong.length > 0) await this.discard(wrong.map(({ start, end }) => ({ start, end })));
  }

  /** What a job of its own does to a thousand objects and more, done to a few. */
  private async merge(): Promise<void> {
    const signal = new AbortController().signal;
    await this.tries(
      () =>
        this.request('merge', async (app) => {
          const job = app.get(MergeJob);
          job.newestSeconds = 0;
          for (const run of runsOf(await job['small'](this.id), this.size, 2)) {
            await job['mergeRun'](this.id, run, `merged/${this.id}/${randomUUID()}`, signal);
          }
        }),
      1,
    );
  }

  private async worker(count: number): Promise<void> {
    for (let k = 0; k < count; k++) await this.work(this.app(), this.draw.of(['assemble', ...QUEUES]));
  }

  /** One job, as a worker claims, does and finishes it. @returns whether there was one */
  private async work(app: App, queue: (typeof QUEUES)[number]): Promise<boolean> {
    const { database } = this.world;
    if (this.draw.chance(0.15)) {
      // A lease ran out whose worker lives on.
      await this.ask(() =>
        database.query(`UPDATE job SET state = 'QUEUED', lease = NULL, lease_until = NULL WHERE state = 'RUNNING'`),
      );
    }
    const worker = app.get(JobWorker);
    const done = await this.tries(
      () =>
        this.request(`work off ${queue}`, async () => {
          const job = await worker['claim'](queue);
          if (job) await worker['run'](job);
          return job !== undefined;
        }),
      1,
    );
    return done === true;
  }

  private async collect(): Promise<void> {
    const signal = new AbortController().signal;
    await this.tries(() => this.request('collect', (app) => app.get(StorageCollector).collect(signal)), 1);
  }

  /** Two hours go by between two points: graces and signatures are over, and whoever was at something slept through them. */
  private async timeJump(): Promise<void> {
    await this.ask(async () => {
      this.era++;
      await this.world.database.query(AGE);
    });
    await this.collect();
    await this.collect();
  }

  private async ending(): Promise<void> {
    const { draw, actor, id } = this;
    const how = draw.of(['cancel', 'expire', 'delete'] as const);
    if (how === 'expire') {
      await this.ask(() =>
        this.world.database.query(
          `UPDATE upload_session SET expires_at = now() - interval '1 s', expiry_announced = now() - interval '1 s' WHERE id = $1`,
          [id],
        ),
      );
      if (draw.chance(0.3)) await this.tries(() => this.request('announce', (app) => app.get(UploadExpiry).announce()));
      await this.tries(() => this.request('expire', (app) => app.get(UploadsService).expire()));
    } else if (how === 'cancel') {
      const answer = await this.tries(() => this.request('cancel', (app) => app.get(UploadsService).cancel(actor, id)));
      if (typeof answer !== 'string' && answer.state !== 'CANCELLED')
        this.broken.push(`cancel answered ${answer.state}`);
    } else {
      await this.tries(() => this.request('delete', (app) => app.get(VideosService).delete(actor, this.videoId)));
    }
  }

  // --- how it ends

  private async rest(): Promise<void> {
    const [app] = this.world.apps as [App];
    for (let [idle, rounds] = [false, 0]; !idle; rounds++) {
      idle = true;
      if (rounds > 20) {
        const failing = await this.world.database.query(
          `SELECT name, last_error FROM job WHERE last_error IS NOT NULL`,
        );
        throw new Error(`jobs come to no end: ${JSON.stringify(failing)}`);
      }
      await this.world.database.query(
        `UPDATE job SET state = 'QUEUED', lease = NULL, lease_until = NULL, run_at = now() WHERE state <> 'DONE'`,
      );
      const due = await this.world.database.query<{ queue: (typeof QUEUES)[number] }>(
        `SELECT queue FROM job WHERE state = 'QUEUED' AND queue = ANY($1) ORDER BY queue`,
        [QUEUES],
      );
      for (const { queue } of due) if (await this.work(app, queue)) idle = false;
    }
  }

  private async finish(): Promise<void> {
    const { draw } = this;
    // A newcomer at every place, until nobody waits for a silent body any more.
    let open = true;
    const ended = Promise.all(this.silent).finally(() => {
      open = false;
    });
    while (open) {
      await this.tries(() => this.request('evict', (app) => this.evict(app, { start: 0, end: this.size })), 9);
      await Promise.race([ended, pause(100)]);
    }
    await this.invariants();
    const fate = draw.int(1, 100);
    if (fate <= 20) await this.ending();
    if (fate <= 25) await this.ending();
    for (let round = 0; ; round++) {
      await this.rest();
      const { state, covered, failureCode } = await this.session();
      if (ENDED.includes(state)) break;
      if (round > 8) {
        this.broken.push(
          `a patient client does not come to an end: ${state} ${failureCode} ${covered} of ${this.size}`,
        );
        break;
      }
      if (state !== 'OPEN') continue;
      await this.repair();
      for (const { start, end } of missingRanges(parseMultirange((await this.session()).covered), this.size)) {
        const app = this.app();
        await this.schedule.request('last append', app.name, async () => {
          const session = (await app.get(UploadsService).byId(this.id)) as UploadSessionRow;
          const chunks = [this.file.subarray(start, end)];
          const incoming = new IncomingBytes(Readable.from(chunks, { objectMode: false }));
          await app
            .get(AppendLane)
            .append(session, start, incoming, { length: end - start, checksum: null, completes: false });
        });
      }
      const digest = this.declared === null && failureCode === null ? null : sha256(this.file);
      const answer = await this.tries(() =>
        this.request('last complete', (app) => app.get(UploadsService).complete(this.actor, this.id, digest)),
      );
      // After a wrong digest was declared, the next one may be corrected.
      if (answer === 'DIGEST_DIFFERS')
        await this.tries(() =>
          this.request('complete', (app) => app.get(UploadsService).complete(this.actor, this.id, null)),
        );
    }
    const { state, masterKey } = await this.session();
    this.end = state;
    if (state === 'COMPLETED' && masterKey !== null) {
      const digest = await this.schedule.look(() => digestOf(this.world.disk, masterKey));
      if (digest !== sha256(this.file)) this.broken.push('the master is not the file');
    }
    if (draw.chance(0.3)) {
      await this.tries(() => this.request('delete', (app) => app.get(VideosService).delete(this.actor, this.videoId)));
      await this.rest();
    }
    // The other sessions.
    const { database } = this.world;
    const more = await database.query<{ id: string }>(
      `SELECT id FROM upload_session WHERE id <> $1 AND state = 'OPEN'`,
      [this.id],
    );
    for (const { id } of more)
      await this.tries(() => this.request('cancel', (app) => app.get(UploadsService).cancelSession(id)));
    await this.rest();
    const sweep = async () => {
      for (let k = 0; k < 3; k++) {
        await database.query(AGE);
        await this.collect();
      }
    };
    await sweep();
    if (this.era === 0 || !this.mayFail) return;
    // What was put by a process that slept for hours and then died has no row any more: the check finds it.
    const unknown = (await this.schedule.look(() => storeDifferences(database, this.world.disk))).filter(
      ({ kind }) => kind === 'UNKNOWN',
    );
    await this.app()
      .get(StoredObjects)
      .dropUnknown(unknown.map(({ key }) => key));
    await sweep();
  }

  private async invariants(): Promise<void> {
    for (const [rule, rows] of Object.entries(await brokenInvariants(this.world.database))) {
      this.broken.push(`${rule}: ${JSON.stringify(rows)}`);
    }
  }

  /** What must be, once everything has ended. */
  private async check(): Promise<void> {
    const { database, disk } = this.world;
    await this.invariants();
    for (const difference of await storeDifferences(database, disk))
      this.broken.push(`store: ${JSON.stringify(difference)}`);

    const session = await this.session();
    const kept = session.masterKey ? [session.masterKey] : [];
    const stored = await disk.list('', { limit: 1_000 });
    if (JSON.stringify(stored.map(({ key }) => key)) !== JSON.stringify(kept)) {
      this.broken.push(`the store holds ${JSON.stringify(stored)}, and only ${kept} is wanted`);
    }
    const left = await database.query<{ what: string; n: number }>(
      `SELECT * FROM (SELECT 'stored_object' AS what, count(*)::int - $1 AS n FROM stored_object
         UNION ALL SELECT 'upload_chunk', count(*) FROM upload_chunk UNION ALL SELECT 'upload_target', count(*) FROM upload_target
         UNION ALL SELECT 'upload_writer', count(*) FROM upload_writer) t WHERE n <> 0`,
      [kept.length],
    );
    for (const { what, n } of left) this.broken.push(`${n} rows are left in ${what}`);
    const used = await database.query<{ used: number }>('SELECT used_bytes::int AS used FROM app_user ORDER BY email');
    const wanted = [kept.length > 0 ? this.size : 0, 0];
    if (used.some((user, k) => user.used !== wanted[k])) this.broken.push(`the quotas count ${JSON.stringify(used)}`);
    await this.history();
    const [deadlocks] = await database.query<{ n: number }>(
      'SELECT deadlocks::int AS n FROM pg_stat_database WHERE datname = current_database()',
    );
    if (deadlocks && deadlocks.n > (deadlocksOf.get(this.world) ?? 0)) {
      deadlocksOf.set(this.world, deadlocks.n);
      this.broken.push('a deadlock');
    }
  }

  /** What the session went through. */
  private async history(): Promise<void> {
    const notes = await this.world.database.query<Note>('SELECT * FROM audit ORDER BY k');
    for (const { writers, at } of this.evicted) {
      const late = notes.filter((note) => Number(note.k) > at && writers.some((id) => note.object_key?.includes(id)));
      for (const { object_key } of late) this.broken.push(`${object_key} counted after its writer was evicted`);
    }
    const ours = notes.filter((note) => note.session_id === this.id && note.from_state !== null);
    let ends = 0;
    for (const note of ours) {
      const { from_state: from, to_state: to, from_epoch, to_epoch } = note;
      const told = `${from} ${from_epoch} → ${to} ${to_epoch}`;
      if (note.changed && !(from === 'OPEN' && to === 'OPEN')) this.broken.push(`what is covered changed: ${told}`);
      if (note.shrank && to_epoch !== from_epoch + 1) this.broken.push(`what is covered shrank: ${told}`);
      if (from === to) continue;
      if (!LEGAL.has(`${from} ${to}`) || to_epoch !== from_epoch + 1) this.broken.push(`not a legal step: ${told}`);
      if (to === 'COMPLETING' && !note.whole) this.broken.push(`incomplete: ${told}`);
      if (ENDED.includes(to) && ++ends > 1) this.broken.push(`a second end: ${told}`);
      const wrong = note.chunks?.some(
        ({ start, end, sha256: digest }) => digest !== sha256(this.file.subarray(start, end)),
      );
      if (note.chunks && !wrong && !this.misdeclared) this.broken.push(`sent back though every byte is right: ${told}`);
    }
  }
}

interface Note {
  k: number;
  session_id: string;
  object_key: string | null;
  from_state: string;
  to_state: string;
  from_epoch: number;
  to_epoch: number;
  shrank: boolean;
  changed: boolean;
  whole: boolean;
  chunks: { start: number; end: number; sha256: string }[] | null;
}

const LEGAL = new Set([
  'OPEN COMPLETING',
  'OPEN CANCELLED',
  'OPEN EXPIRED',
  'COMPLETING COMPLETED',
  'COMPLETING OPEN',
  'COMPLETING CANCELLED',
]);
const deadlocksOf = new WeakMap<World, number>();

/** Everything of the store's record becomes two hours older. */
const AGE = `UPDATE stored_object SET created_at = created_at - interval '2 hours', due_at = due_at - interval '2 hours',
  sweep_after = sweep_after - interval '2 hours'`;
