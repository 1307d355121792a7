import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { Database } from '../../src/common/database/index.js';
import { Events } from '../../src/common/events/index.js';
import { decodeId, encodeId } from '../../src/common/graphql/index.js';
import { ObjectStorage, StoredObjects } from '../../src/modules/storage/index.js';
import { UploadCompleted } from '../../src/modules/uploads/index.js';
import { VideosService } from '../../src/modules/videos/index.js';
import { ApiClient } from '../support/client.js';
import type { TestApp } from '../support/index.js';

const run = promisify(execFile);

/** A moving picture with a tone, of so many frames. */
export async function clip(
  folder: string,
  name: string,
  options: { frames: number; fps: string; size: string; sound?: boolean; more?: string[] },
): Promise<string> {
  const { frames, fps, size, sound = true, more = [] } = options;
  const file = join(folder, name);
  const [num = 0, den = 1] = fps.split('/').map(Number);
  const seconds = (frames * den) / num;
  await run('ffmpeg', [
    ...['-nostdin', '-v', 'error', '-y', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${fps}`],
    ...(sound ? ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=44100:duration=${seconds}`] : []),
    ...['-frames:v', String(frames), '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'],
    ...(sound ? ['-c:a', 'aac', '-ac', '2'] : []),
    ...more,
    file,
  ]);
  return file;
}

export interface Uploaded {
  videoId: string;
  /** As the API names it. */
  globalId: string;
  masterKey: string;
  owner: ApiClient;
}

/** A video whose upload is complete, as `uploads` leaves it; that is then published as it publishes it. */
export async function uploaded(app: TestApp, file: string, publish = true): Promise<Uploaded> {
  const owner = await ApiClient.signUp(app.url);
  const channelId = decodeId('Channel', await owner.createChannel());
  const [user] = await app.database.query<{ id: string }>(
    `SELECT user_id AS id FROM channel_member WHERE channel_id = $1`,
    [channelId],
  );
  const ownerId = user?.id as string;
  const bytes = await readFile(file);
  const masterKey = `masters/${randomUUID()}/${randomUUID()}`;
  await app.get(StoredObjects).write(masterKey, bytes);
  const videos = app.get(VideosService);
  const videoId = await app.get(Database).tx(async (tx) => {
    const id = await videos.create(tx, { channelId, ownerId, title: 'A', description: '', visibility: 'PRIVATE' });
    await app.get(StoredObjects).keep(tx, [{ key: masterKey, sizeBytes: bytes.length }]);
    const [session] = await tx.query<{ id: string }>(
      `INSERT INTO upload_session (owner_id, channel_id, video_id, file_name, size_bytes, idempotency_key, input_hash, state, master_key, covered)
       VALUES ($1, $2, $3, 'a.mp4', $4, $5, $6, 'COMPLETED', $7, int8multirange(int8range(0, $4))) RETURNING id`,
      [ownerId, channelId, id, bytes.length, randomUUID(), createHash('sha256').digest(), masterKey],
    );
    await tx.query('UPDATE app_user SET used_bytes = used_bytes + $2 WHERE id = $1', [ownerId, bytes.length]);
    await videos.markVerified(tx, id);
    const event = { sessionId: session?.id as string, videoId: id, run: 1 };
    if (publish) await app.get(Events).publish(tx, UploadCompleted, event);
    return id;
  });
  return { videoId, globalId: encodeId('Video', videoId), masterKey, owner };
}

/** A rendition as one file: the init segment, then all segments as the rows name them. */
export async function joined(app: TestApp, videoId: string, rendition: string, folder: string): Promise<string> {
  const [row] = await app.database.query<{ init: Buffer }>(
    'SELECT init FROM rendition WHERE video_id = $1 AND name = $2',
    [videoId, rendition],
  );
  const segments = await app.database.query<{ key: string; start: string; size: number }>(
    `SELECT object_key AS key, byte_offset AS start, byte_size AS size FROM segment
     WHERE video_id = $1 AND rendition = $2 ORDER BY number`,
    [videoId, rendition],
  );
  const parts: Buffer[] = [row?.init as Buffer];
  for (const { key, start, size } of segments) {
    const range = { start: Number(start), end: Number(start) + size };
    const stream: Readable = await app.get(ObjectStorage).read(key, range);
    parts.push(Buffer.concat(await stream.toArray()));
  }
  const file = join(folder, `${rendition}.mp4`);
  await writeFile(file, Buffer.concat(parts));
  return file;
}

/** Presentation times of all packets of the only track, in ticks, in order; and how long they last in all. */
export async function times(file: string): Promise<{ pts: number[]; seconds: number }> {
  const { stdout } = await run('ffprobe', [
    ...['-v', 'error', '-show_entries', 'packet=pts,duration_time', '-of', 'json', file],
  ]);
  const { packets } = JSON.parse(stdout) as { packets: { pts: number; duration_time: string }[] };
  return {
    pts: packets.map((packet) => packet.pts).sort((a, b) => a - b),
    seconds: packets.reduce((sum, packet) => sum + Number(packet.duration_time), 0),
  };
}

/** Frames that really decode. */
export async function decodedFrames(file: string): Promise<number> {
  const { stdout } = await run('ffprobe', [
    ...['-v', 'error', '-count_frames', '-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0', file],
  ]);
  return Number(stdout.trim());
}

/** What ffprobe says of each stream, with its frames counted. */
export async function streamsOf(file: string): Promise<Record<string, string>[]> {
  const shown = ['-count_frames', '-show_entries', 'stream=codec_name,height,start_time,duration,nb_read_frames'];
  const { stdout } = await run('ffprobe', ['-v', 'error', ...shown, '-of', 'json', file]);
  return JSON.parse(stdout).streams;
}

/** Every key that some row of the video names, and every key that is kept. */
export async function keys(app: TestApp): Promise<{ named: string[]; kept: string[]; pending: number }> {
  const list = async (sql: string) => (await app.database.query<{ key: string }>(sql)).map((row) => row.key);
  const [pending] = await app.database.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM stored_object WHERE state = 'PENDING'`,
  );
  return {
    named: await list(
      `SELECT object_key AS key FROM segment UNION SELECT object_key FROM still UNION SELECT object_key FROM download
       UNION SELECT master_key FROM upload_session WHERE master_key IS NOT NULL
       UNION SELECT picture_key FROM transcode_source WHERE picture_key IS NOT NULL ORDER BY key`,
    ),
    kept: await list(`SELECT key FROM stored_object WHERE state = 'KEPT' ORDER BY key`),
    pending: pending?.n ?? 0,
  };
}
