import { Logger, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { histogram } from '../../common/metrics/index.js';
import { traceStep } from '../../common/tracing/index.js';
import { FfmpegEngine } from './ffmpeg-engine.js';
import { MediaEngine, type MediaJob, MediaRunError } from './media-engine.js';
import type { Packets } from './packets.js';
import type { Probe } from './probe.js';

const duration = histogram(
  'sluice_media_run_duration_seconds',
  'Runs of ffmpeg and ffprobe, and why they ended',
  [0.1, 0.5, 2, 10, 60, 600],
  ['program', 'outcome'],
);

async function measured<T>(program: 'ffmpeg' | 'ffprobe', run: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const ended = (outcome: string) => duration.observe({ program, outcome }, (performance.now() - begun) / 1000);
  try {
    const result = await traceStep(program, {}, run);
    ended('done');
    return result;
  } catch (error) {
    ended(error instanceof MediaRunError ? error.failure : 'failed');
    throw error;
  }
}

/**
 * Tries its sandbox while the rest of the application starts: what is asked of it meanwhile waits, and the start fails
 * at its end where nothing works. A process without jobs needs no ffmpeg, and looks for none.
 */
class EngineOnTrial extends MediaEngine implements OnApplicationBootstrap {
  private readonly logger = new Logger('MediaModule');

  private trial: Promise<FfmpegEngine> | undefined;

  constructor(private readonly config: Config) {
    super();
    // A failure is for onApplicationBootstrap, which comes later.
    if (config.role !== 'api') void Promise.allSettled([this.engine]);
  }

  private get engine(): Promise<FfmpegEngine> {
    this.trial ??= FfmpegEngine.find(this.config);
    return this.trial;
  }

  async onApplicationBootstrap(): Promise<void> {
    if (this.config.role === 'api') return;
    this.logger.log(`ffmpeg runs in the sandbox: ${(await this.engine).sandboxInWords}`);
  }

  async probe(path: string, signal?: AbortSignal): Promise<Probe> {
    const engine = await this.engine;
    return measured('ffprobe', () => engine.probe(path, signal));
  }

  async packets(path: string, probe: Probe, signal?: AbortSignal): Promise<Packets> {
    const engine = await this.engine;
    return measured('ffprobe', () => engine.packets(path, probe, signal));
  }

  async run(job: MediaJob): Promise<{ log: string }> {
    const engine = await this.engine;
    return measured('ffmpeg', () => engine.run(job));
  }
}

@Module({
  providers: [
    {
      provide: MediaEngine,
      inject: [CONFIG],
      useFactory: (config: Config): MediaEngine => new EngineOnTrial(config),
    },
  ],
  exports: [MediaEngine],
})
export class MediaModule {}
