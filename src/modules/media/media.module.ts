import { Logger, Module } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { FfmpegEngine } from './ffmpeg-engine.js';
import { MediaEngine } from './media-engine.js';

@Module({
  providers: [
    {
      provide: MediaEngine,
      inject: [CONFIG],
      async useFactory(config: Config): Promise<MediaEngine> {
        const engine = await FfmpegEngine.find(config);
        new Logger('MediaModule').log(`ffmpeg runs in the sandbox: ${engine.sandboxInWords}`);
        return engine;
      },
    },
  ],
  exports: [MediaEngine],
})
export class MediaModule {}
