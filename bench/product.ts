import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DiskStorage } from '../src/modules/storage/disk-storage.js';
import { ApiClient, chunkOf, put, rowId, type Target } from '../test/support/client.js';
import { family } from './cpu.js';
import type { Place, Server } from './place.js';

const CHUNK = 32 * 1024 * 1024;
export const LOOK_MS = 20;
export const IDLE_MS = 200;
const SAMPLE_MS = 50;
const PAGE = 4096;
const TICKS_A_SECOND = 100;

export interface Rung {
  name: string;
  width: number;
  height: number;
  maxBitsPerSecond: number;
}

/** Processor time in seconds and resident MB of one process; null when it has ended. */
function used(pid: number): { cpu: number; memory: number } | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
      .map(Number);
    return {
      cpu: ((fields[11] as number) + (fields[12] as number)) / TICKS_A_SECOND,
      memory: ((fields[21] as number) * PAGE) / 1e6,
    };
  } catch (error) {
    return ifGone(error, null);
  }
}

/** Empty when it has ended. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch (error) {
    return ifGone(error, '');
  }
}

export function tree(pid: number): number[] {
  try {
    return family(pid);
  } catch (error) {
    return ifGone(error, []);
  }
}

function ifGone<T>(error: unknown, value: T): T {
  if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  return value;
}

/**
 * What `work` takes of the processes that `pids` names, looked at 20 times a second: nobody is told the times of what ran in a sandbox,
 * so of each that ends its last moment is missed, of ours and of the others.
 */
export async function measure<T>(
  pids: () => readonly number[],
  work: () => Promise<T>,
): Promise<T & { cpu: number; memory: number }> {
  const before = new Map(pids().map((pid) => [pid, used(pid)?.cpu ?? 0]));
  const last = new Map<number, number>();
  let memory = 0;
  const look = () => {
    let resident = 0;
    for (const pid of pids()) {
      const now = used(pid);
      if (!now) continue;
      last.set(pid, now.cpu);
      resident += now.memory;
    }
    memory = Math.max(memory, resident);
  };
  const timer = setInterval(look, SAMPLE_MS);
  try {
    const result = await work();
    look();
    const cpu = [...last].reduce((sum, [pid, seconds]) => sum + seconds - (before.get(pid) ?? 0), 0);
    return { ...result, cpu, memory };
  } finally {
    clearInterval(timer);
  }
}

/** The product: its processes, and who uploads to it. */
export class Sluice {
  private constructor(
    private readonly place: Place,
    private readonly servers: readonly Server[],
  ) {}

  /** @param workers processes with one encoder each; 0: one process that does all */
  static async start(place: Place, { workers, early }: { workers: number; early: boolean }): Promise<Sluice> {
    const how = { EARLY_PROCESSING: String(early), COPY_TOP_RUNG: 'false' };
    const env = { ...how, LOG_LEVEL: 'info', RATE_LIMIT_FACTOR: '0', UPLOAD_QUOTA_BYTES: '1000000000000000' };
    const first = await place.start('dist/main.js', '/readyz', { ...env, ROLE: workers > 0 ? 'api' : 'all' });
    const more = await Promise.all(
      Array.from({ length: workers }, () =>
        place.start('dist/main.js', '/readyz', { ...env, ROLE: 'worker', ENCODE_CONCURRENCY: '1' }),
      ),
    );
    return new Sluice(place, [first, ...more]);
  }

  /** Its own processes, what they start, PostgreSQL and Redis. */
  pids = (): number[] => tree(process.pid).filter((pid) => pid !== process.pid && !this.place.isLoader(pid));

  signUp = (): Promise<ApiClient> => ApiClient.signUp((this.servers[0] as Server).url);

  /** Sends all but the last word. @returns what completes it, at once */
  async upload(
    client: ApiClient,
    channelId: string,
    file: Buffer,
  ): Promise<{ videoId: string; complete(): Promise<unknown> }> {
    const { session } = await client.createSession({ channelId, sizeBytes: file.length });
    const chunks = Array.from({ length: Math.ceil(file.length / CHUNK) }, (_, k) =>
      chunkOf(file, k * CHUNK, Math.min(file.length, (k + 1) * CHUNK)),
    );
    const { targets } = await client.commit(session.id, { next: chunks });
    const send = async (target: Target | undefined) => {
      const status = target && (await put(target, file.subarray(target.offset, target.offset + target.sizeBytes)));
      if (status !== 200) throw new Error(`The store answered ${status}.`);
    };
    for (const [k, target] of (targets as Target[]).entries()) {
      await send(target);
      if (k < chunks.length - 1) await client.commit(session.id, { stored: chunks.slice(k, k + 1) });
    }
    return {
      videoId: rowId(session.video.id),
      complete: async () => {
        await client.commit(session.id, { stored: chunks.slice(-1) });
        await client.complete(session.id);
      },
    };
  }

  async state(videoId: string): Promise<string> {
    const { rows } = await this.place.db.query('SELECT state, failure_message FROM video WHERE id = $1', [videoId]);
    if (rows[0].state === 'FAILED') throw new Error(`The video failed: ${rows[0].failure_message}`);
    return rows[0].state;
  }

  /** What becomes of a file that was completed: its code, or PLAYABLE, and how long after COMPLETED. */
  async verdict(videoId: string): Promise<{ outcome: string; seconds: number }> {
    for (let completedAt: number | undefined; ; await pause(LOOK_MS)) {
      const { rows } = await this.place.db.query(
        `SELECT u.state = 'COMPLETED' AS whole, v.state, v.failure_code AS code
         FROM upload_session u JOIN video v ON v.id = u.video_id WHERE v.id = $1`,
        [videoId],
      );
      const { whole, state, code } = rows[0];
      if (whole) completedAt ??= performance.now();
      const outcome = state === 'FAILED' ? code : ['PLAYABLE', 'READY'].includes(state) ? 'PLAYABLE' : null;
      if (outcome && completedAt) return { outcome, seconds: (performance.now() - completedAt) / 1000 };
    }
  }

  async until(videoId: string, states: readonly string[]): Promise<void> {
    while (!states.includes(await this.state(videoId))) await pause(LOOK_MS);
  }

  /** Takes a video off, and waits until nothing is left to do for it. */
  async remove(client: ApiClient, videoId: string): Promise<void> {
    const id = Buffer.from(`Video:${videoId}`).toString('base64url');
    await client.query('mutation ($input: DeleteVideoInput!) { deleteVideo(input: $input) { userErrors { code } } }', {
      input: { videoId: id },
    });
    for (;;) {
      const { rows } = await this.place.db.query(
        `SELECT FROM job WHERE state <> 'DONE' AND run_at < now() + interval '1 min' LIMIT 1`,
      );
      if (rows.length === 0) return;
      await pause(IDLE_MS);
    }
  }

  async rungs(videoId: string): Promise<Rung[]> {
    const { rows } = await this.place.db.query<Rung>(
      `SELECT name, width, height, max_bits_per_second AS "maxBitsPerSecond" FROM rendition
       WHERE video_id = $1 AND kind = 'VIDEO' AND on_demand IS NULL ORDER BY position`,
      [videoId],
    );
    return rows;
  }

  /** A rung as one file. @returns the bytes of its segments */
  async join(videoId: string, rung: string, file: string): Promise<number> {
    const storage = new DiskStorage({
      ...{ root: join(this.place.folder, 'data', 'storage'), publicUrl: '', signingSecret: this.place.secret },
    });
    const of = [videoId, rung];
    const { rows: inits } = await this.place.db.query(
      'SELECT init FROM rendition WHERE video_id = $1 AND name = $2',
      of,
    );
    const { rows } = await this.place.db.query(
      `SELECT object_key AS key, byte_offset::int AS start, byte_size AS size FROM segment WHERE video_id = $1 AND rendition = $2 ORDER BY number`,
      of,
    );
    const parts: Buffer[] = [inits[0].init];
    for (const { key, start, size } of rows) {
      const stream = await storage.read(key, { start, end: start + size });
      parts.push(Buffer.concat(await stream.toArray()));
    }
    await writeFile(file, Buffer.concat(parts));
    return rows.reduce((sum, { size }) => sum + size, 0);
  }

  async stop(): Promise<void> {
    for (const { pid } of this.servers) process.kill(pid, 'SIGTERM');
    for (const { pid } of this.servers) while (tree(pid).length > 0) await pause(LOOK_MS);
  }
}
