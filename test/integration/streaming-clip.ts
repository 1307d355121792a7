import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Database } from '../../src/common/database/index.js';
import { finishedAudio, readFragments } from '../../src/modules/media/index.js';
import type { ObjectStorage } from '../../src/modules/storage/index.js';

const FPS = 30;
const GOP = 2 * FPS;
const SEGMENT_FRAMES = 2 * GOP;
const TIMESCALE = 512 * FPS;
export const RUNGS = [
  { name: '240p', width: 426, height: 240, maxBitsPerSecond: 400_000 },
  { name: '360p', width: 640, height: 360, maxBitsPerSecond: 800_000 },
] as const;

interface Segment {
  file: string;
  offset: number;
  size: number;
  duration: number;
  decodeTime: number;
  keyBytes: number | null;
}

interface ClipTrack {
  name: string;
  kind: 'VIDEO' | 'AUDIO';
  width: number | null;
  height: number | null;
  timescale: number;
  maxBitsPerSecond: number;
  segmentDuration: number;
  totalDuration: number;
  codecs: string;
  init: Buffer;
  segments: Segment[];
}

export interface Clip {
  seconds: number;
  tracks: ClipTrack[];
  still: Buffer;
}

/** A moving picture with sound, really encoded, in the shape in which transcoding leaves a video. */
export async function makeClip(folder: string, seconds: number): Promise<Clip> {
  const frames = seconds * FPS;
  const tracks: ClipTrack[] = [];
  for (const rung of RUNGS) {
    const file = join(folder, `${rung.name}.mp4`);
    await ffmpeg(folder, [
      ...['-f', 'lavfi', '-i', `testsrc2=size=${rung.width}x${rung.height}:rate=${FPS}`, '-frames:v', `${frames}`],
      ...['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-threads', '1', '-g', `${GOP}`],
      ...['-maxrate', `${rung.maxBitsPerSecond}`, '-bufsize', `${2 * rung.maxBitsPerSecond}`],
      ...['-keyint_min', `${GOP}`, '-sc_threshold', '0', '-pix_fmt', 'yuv420p', '-x264-params', 'stitchable=1'],
      ...['-video_track_timescale', `${TIMESCALE}`, '-f', 'mp4'],
      ...['-movflags', '+cmaf+frag_keyframe+delay_moov+frag_discont+skip_trailer'],
      ...['-min_frag_duration', `${(SEGMENT_FRAMES / FPS - 0.1) * 1e6}`, file],
    ]);
    const { init, fragments } = await readFragments(file);
    if (!init) throw new Error('no init');
    tracks.push({
      ...rung,
      kind: 'VIDEO',
      timescale: TIMESCALE,
      segmentDuration: SEGMENT_FRAMES * 512,
      totalDuration: frames * 512,
      codecs: init.codecs,
      init: init.bytes,
      segments: fragments.map((fragment) => ({ file, ...fragment })),
    });
  }
  await ffmpeg(folder, [
    ...['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-af', `atrim=end_sample=${seconds * 48_000}`],
    ...['-ac', '2', '-c:a', 'aac', '-b:a', '128k', '-bsf:a', 'noise=drop=eq(n\\,0)', '-f', 'hls', '-hls_time', '4'],
    ...['-hls_playlist_type', 'event', '-hls_segment_type', 'fmp4', '-start_number', '1'],
    ...['-hls_segment_options', 'movflags=+cmaf+frag_discont', '-hls_fmp4_init_filename', 'audio-init.mp4'],
    ...['-hls_segment_filename', 's%05d.m4s', 'ff.m3u8'],
  ]);
  const { init } = await readFragments(join(folder, 'audio-init.mp4'));
  if (!init) throw new Error('no init');
  const segments: Segment[] = [];
  for (const name of finishedAudio(await readFile(join(folder, 'ff.m3u8'), 'utf8'))) {
    const file = join(folder, name);
    const { fragments } = await readFragments(file);
    const size = fragments.reduce((sum, fragment) => sum + fragment.size, 0);
    const duration = fragments.reduce((sum, fragment) => sum + fragment.duration, 0);
    const [first] = fragments;
    segments.push({ file, offset: 0, size, duration, decodeTime: first?.decodeTime ?? 0, keyBytes: null });
  }
  tracks.push({
    name: 'audio',
    kind: 'AUDIO',
    width: null,
    height: null,
    timescale: 48_000,
    maxBitsPerSecond: 128_000,
    segmentDuration: 192_000,
    totalDuration: seconds * 48_000,
    codecs: init.codecs,
    init: init.bytes,
    segments,
  });
  const still = join(folder, 'still.jpg');
  await ffmpeg(folder, ['-f', 'lavfi', '-i', 'testsrc2=size=160x90', '-frames:v', '1', still]);
  return { seconds, tracks, still: await readFile(still) };
}

async function ffmpeg(cwd: string, args: string[]): Promise<void> {
  await promisify(execFile)('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args], { cwd, timeout: 60_000 });
}

/** A video of which everything is planned and nothing is made. */
export async function insertVideo(
  db: Database,
  clip: Clip,
  video: { visibility?: string; state?: string; tracks?: string[] } = {},
): Promise<{ videoId: string; ownerId: string; channelId: string }> {
  const name = randomBytes(8).toString('hex');
  const [user] = await db.query<{ id: string }>(
    `INSERT INTO app_user (email, email_key, display_name, password_hash) VALUES ($1, $1, 'Somebody', '-') RETURNING id`,
    [`${name}@example.org`],
  );
  const [channel] = await db.query<{ id: string }>(
    'INSERT INTO channel (handle, handle_key, name) VALUES ($1, $1, $1) RETURNING id',
    [name],
  );
  const [ownerId, channelId] = [user?.id ?? '', channel?.id ?? ''];
  await db.query(`INSERT INTO channel_member (channel_id, user_id, role) VALUES ($1, $2, 'OWNER')`, [
    channelId,
    ownerId,
  ]);
  const [row] = await db.query<{ id: string }>(
    `INSERT INTO video (channel_id, owner_id, title, visibility, state, verified_at, duration_ms)
     VALUES ($1, $2, 'A clip', $3, $4, now(), $5) RETURNING id`,
    [channelId, ownerId, video.visibility ?? 'PUBLIC', video.state ?? 'PLAYABLE', clip.seconds * 1000],
  );
  const videoId = row?.id ?? '';
  for (const [position, track] of clip.tracks.entries()) {
    if (video.tracks && !video.tracks.includes(track.name)) continue;
    await db.query(
      `INSERT INTO rendition (video_id, run, name, kind, position, width, height, frame_rate_num, frame_rate_den, timescale,
                              max_bits_per_second, segment_count, segment_duration, total_duration)
       VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
      [
        ...[videoId, track.name, track.kind, position, track.width, track.height],
        ...(track.kind === 'VIDEO' ? [FPS, 1] : [null, null]),
        ...[track.timescale, track.maxBitsPerSecond, track.segments.length, track.segmentDuration, track.totalDuration],
      ],
    );
  }
  return { videoId, ownerId, channelId };
}

/** Makes segments of one rendition: all, or those named. */
export async function insertSegments(
  db: Database,
  storage: ObjectStorage,
  clip: Clip,
  videoId: string,
  rendition: string,
  numbers?: readonly number[],
): Promise<void> {
  const track = clip.tracks.find(({ name }) => name === rendition);
  if (!track) throw new Error(`no ${rendition}`);
  for (const [index, segment] of track.segments.entries()) {
    if (numbers && !numbers.includes(index + 1)) continue;
    // Like a piece, the object holds more than the segment.
    const key = `media/${videoId}/1/${rendition}/${index + 1}-${randomBytes(4).toString('hex')}`;
    const before = segment.offset;
    await storeFile(db, storage, key, segment.file, before + segment.size);
    await db.query(
      `INSERT INTO segment (video_id, run, rendition, number, object_key, byte_offset, byte_size, duration, decode_time, key_bytes)
       VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [
        ...[videoId, rendition, index + 1, key, before, segment.size, segment.duration],
        ...[segment.decodeTime, segment.keyBytes],
      ],
    );
  }
  await db.query('UPDATE rendition SET codecs = $3, init = $4 WHERE video_id = $1 AND name = $2', [
    videoId,
    rendition,
    track.codecs,
    track.init,
  ]);
}

export async function insertStills(db: Database, storage: ObjectStorage, clip: Clip, videoId: string): Promise<void> {
  for (const [kind, columns, tiles, interval] of [
    ['POSTER', 1, 1, 0],
    ['THUMBNAIL', 1, 1, 0],
    ['STORYBOARD', 2, 2, 2000],
  ] as const) {
    const key = `media/${videoId}/1/stills/${kind.toLowerCase()}`;
    await keepObject(db, key, clip.still.length);
    await storage.put(key, clip.still);
    await db.query(
      `INSERT INTO still (video_id, run, kind, number, at_ms, width, height, columns, tiles, interval_ms, object_key)
       VALUES ($1, 1, $2, 0, 0, $3, 90, $4, $5, $6, $7)`,
      [videoId, kind, 160 / columns, columns, tiles, interval, key],
    );
  }
}

/** A file to save, of whatever bytes. */
export async function insertDownload(db: Database, storage: ObjectStorage, videoId: string, bytes: Buffer) {
  const key = `media/${videoId}/1/download/download.mp4`;
  await keepObject(db, key, bytes.length);
  await storage.put(key, bytes);
  await db.query('INSERT INTO download (video_id, run, object_key, size_bytes) VALUES ($1, 1, $2, $3)', [
    videoId,
    key,
    bytes.length,
  ]);
  await db.query('UPDATE video SET downloadable = true WHERE id = $1', [videoId]);
}

async function storeFile(db: Database, storage: ObjectStorage, key: string, file: string, sizeBytes: number) {
  await keepObject(db, key, sizeBytes);
  await storage.put(key, createReadStream(file, { end: sizeBytes - 1 }), { sizeBytes });
}

async function keepObject(db: Database, key: string, sizeBytes: number): Promise<void> {
  await db.query(`INSERT INTO stored_object (key, size_bytes, state) VALUES ($1, $2, 'KEPT')`, [key, sizeBytes]);
}
