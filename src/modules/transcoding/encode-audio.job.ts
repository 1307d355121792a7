import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import {
  AUDIO_INIT,
  AUDIO_PLAYLIST,
  audioArguments,
  audioPlan,
  checkAudio,
  finishedAudio,
  frameTime,
  type Init,
  MediaEngine,
  mainAudio,
  readFragments,
  soundSpans,
} from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { soundSamples, soundUntil } from './early-plan.js';
import { PieceAttempts, type PieceWork } from './piece-attempts.js';
import { PieceResults } from './piece-results.js';
import { AUDIO_BITS_PER_SECOND, AUDIO_RENDITION } from './plan.js';
import { Publisher } from './publisher.js';
import { SourceFiles } from './source-files.js';
import { PieceRefused } from './transcoding.errors.js';
import { EncodeAudio, EncodeFirstSound, hasteOf } from './transcoding.jobs.js';

const LOOK_MS = 300;
/** About 2 MB. */
const BATCH_SEGMENTS = 32;
const LEAST_TIMEOUT_MS = 10 * 60_000;

/** The sound goes through one encoder from start to end, but its segments count as soon as each is final. */
@Injectable()
export class EncodeAudioJob {
  constructor(
    private readonly engine: MediaEngine,
    private readonly objects: StoredObjects,
    private readonly sources: SourceFiles,
    private readonly attempts: PieceAttempts,
    private readonly results: PieceResults,
    private readonly publisher: Publisher,
  ) {}

  @HandlesJob(EncodeFirstSound)
  first(payload: { pieceId: string; segments?: number }, context: JobContext): Promise<void> {
    return this.handle(payload, context);
  }

  @HandlesJob(EncodeAudio)
  handle({ pieceId, segments }: { pieceId: string; segments?: number }, context: JobContext): Promise<void> {
    const make = (work: PieceWork, folder: string) => {
      const until = segments === undefined ? Number.POSITIVE_INFINITY : soundUntil(work.timing, segments);
      const encode = (path: string) => this.encode(work, segments ?? null, path, folder, context);
      if (work.strikes > 0 && work.file.masterKey) return this.sources.whole(work.file, context.signal, encode);
      return this.sources.during(work.file, (index) => soundSpans(index, until), context.signal, encode);
    };
    return this.attempts.attempt(pieceId, context, make, segments !== undefined);
  }

  /** @param segments only so many: null for all */
  private async encode(
    work: PieceWork,
    segments: number | null,
    path: string,
    folder: string,
    context: JobContext,
  ): Promise<void> {
    const audio = mainAudio(work.probe);
    if (!audio || !work.probe.video) throw new Error('A probe without picture or sound was planned with sound.');
    const { timing } = work;
    const videoStart = work.probe.video.startTime;
    const whole = audioPlan(timing);
    const plan = whole.slice(0, segments ?? whole.length);
    const last = plan.at(-1);
    const samples = segments !== null && last ? soundSamples(timing, last) : undefined;
    const made = await this.results.segmentsOf(work, AUDIO_RENDITION);
    if (segments !== null && plan.every(({ number }) => made.has(number))) return;
    const stop = new AbortController();
    const running = this.engine.run({
      command: audioArguments({ path, audio, videoStart, timing, bitsPerSecond: AUDIO_BITS_PER_SECOND, samples }),
      workDir: folder,
      timeoutMs: LEAST_TIMEOUT_MS + 1000 * frameTime(timing, timing.frames),
      signal: AbortSignal.any([context.signal, stop.signal]),
      haste: segments === 1 ? hasteOf(context.waitedSeconds) : 'none',
      onProgress: this.attempts.progress(work),
    });
    let ended = false;
    const end = running.finally(() => {
      ended = true;
    });
    try {
      for (let next = 0; next < plan.length; ) {
        const isLastLook = ended;
        const ready = await finishedFiles(folder);
        const batch = plan.slice(next, Math.min(ready.length, next + BATCH_SEGMENTS));
        if (batch.length > 0) {
          const isAll = next + batch.length === whole.length;
          // What is final is only known to be all once ffmpeg has ended well.
          if (isAll) await end;
          const fresh = batch.filter(({ number }) => !made.has(number));
          if (!(await this.commit(work, folder, fresh, context, isAll))) return;
          await this.publisher.advance(work.videoId, work.run);
          next += batch.length;
        } else if (isLastLook) {
          await end;
          throw new PieceRefused(`sound ended after ${next} of ${plan.length} segments`);
        } else {
          await Promise.race([Promise.allSettled([end]), delay(LOOK_MS)]);
        }
      }
    } finally {
      // Whatever ended this, the encoder does not outlive it.
      stop.abort();
      await Promise.allSettled([end]);
    }
  }

  private async commit(
    work: PieceWork,
    folder: string,
    batch: ReturnType<typeof audioPlan>,
    { lease, signal }: JobContext,
    isAll: boolean,
  ): Promise<boolean> {
    if (batch.length === 0) return this.results.commit(work, [], isAll);
    const init = await initOf(folder);
    const segments = [];
    const bodies: Buffer[] = [];
    let byteOffset = 0;
    for (const planned of batch) {
      const file = join(folder, planned.file);
      const read = await readFragments(file);
      const checked = checkAudio(planned, read);
      if (!checked.ok) throw new PieceRefused(`sound, segment ${planned.number}: ${checked.reason}`);
      const body = await readFile(file);
      const duration = read.fragments.reduce((sum, fragment) => sum + fragment.duration, 0);
      const { number, decodeTime } = planned;
      segments.push({ number, byteOffset, byteSize: body.length, duration, decodeTime, keyBytes: null });
      bodies.push(body);
      byteOffset += body.length;
    }
    const key = `pieces/${work.videoId}/${work.run}/${work.id}/${lease}/${AUDIO_RENDITION}-${batch[0]?.number}.mp4`;
    await this.objects.write(key, Buffer.concat(bodies), { sizeBytes: byteOffset, signal });
    return this.results.commit(
      work,
      [{ rendition: AUDIO_RENDITION, init, key, sizeBytes: byteOffset, segments }],
      isAll,
    );
  }
}

async function finishedFiles(folder: string): Promise<string[]> {
  try {
    return finishedAudio(await readFile(join(folder, AUDIO_PLAYLIST), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function initOf(folder: string): Promise<Init> {
  const { init } = await readFragments(join(folder, AUDIO_INIT));
  if (!init) throw new PieceRefused('sound has no init segment');
  return init;
}
