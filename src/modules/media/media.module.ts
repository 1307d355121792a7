import { Logger, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { FfmpegEngine } from './ffmpeg-engine.js';
import { MediaEngine, type MediaJob } from './media-engine.js';
import type { Probe } from './probe.js';

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
    return (await this.engine).probe(path, signal);
  }

  async run(job: MediaJob): Promise<{ log: string }> {
    return (await this.engine).run(job);
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
