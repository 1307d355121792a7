import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from './servers.js';

/** A real clip with moving picture and sound, 30 frames a second: H.264 and AAC in MP4. */
export async function makeClip(options: { seconds: number; size: string }): Promise<Buffer> {
  const path = join(await temporaryFolder(), 'clip.mp4');
  const { seconds, size } = options;
  await promisify(execFile)('ffmpeg', [
    ...['-v', 'error', '-nostdin', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=30:duration=${seconds}`],
    ...['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=48000:duration=${seconds}`],
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '75', '-pix_fmt', 'yuv420p', '-c:a', 'aac', path],
  ]);
  return readFile(path);
}

/** The same clip in `sizeBytes` bytes: players pass over what it ends with, which is random, so that no byte is lost unseen. */
export function padded(clip: Buffer, sizeBytes: number): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(sizeBytes - clip.length);
  head.write('free', 4, 'latin1');
  return Buffer.concat([clip, head, randomBytes(sizeBytes - clip.length - head.length)]);
}
