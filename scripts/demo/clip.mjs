import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';

/** Makes a clip of 20 s, 1280 × 720, moving picture and sound, unless `file` is there already. */
export async function ensureClip(ffmpeg, file) {
  if (existsSync(file)) return;
  const making = `${file}.part`;
  const child = spawn(
    ffmpeg,
    [
      ['-v', 'error', '-nostdin', '-y'],
      ['-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=30:duration=20'],
      ['-f', 'lavfi', '-i', 'sine=frequency=330:beep_factor=2:sample_rate=48000:duration=20'],
      ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-pix_fmt', 'yuv420p', '-g', '60'],
      ['-c:a', 'aac', '-b:a', '128k', '-ac', '2', '-movflags', '+faststart', '-f', 'mp4', making],
    ].flat(),
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const [code, signal] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${ffmpeg} could not make the demo's clip (${signal ?? `exit code ${code}`}).`);
  await rename(making, file);
}
