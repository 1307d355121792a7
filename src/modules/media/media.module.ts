import { Logger, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { FfmpegEngine } from './ffmpeg-engine.js';
import { MediaEngine, type MediaJob } from './media-engine.js';
import type { Probe } from './probe.js';

/**
 * Tries its sandbox while the rest of the application starts: what is asked of it meanwhile waits, and the start fails
 * at its end where nothing works.
 */
class EngineOnTrial extends MediaEngine implements OnApplicationBootstrap {
  private readonly logger = new Logger('MediaModule');

  constructor(private readonly engine: Promise<FfmpegEngine>) {
    super();
    // A failure is for onApplicationBootstrap, which comes later.
    void Promise.allSettled([engine]);
  }

  async onApplicationBootstrap(): Promise<void> {
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
      useFactory: (config: Config): MediaEngine => new EngineOnTrial(FfmpegEngine.find(config)),
    },
  ],
  exports: [MediaEngine],
})
export class MediaModule {}
