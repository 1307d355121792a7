import { Inject, Logger, Module, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { CONFIG, type Config } from '../config/index.js';
import { type SpanMaker, setSpanMaker } from './tracing.js';

/** Traces of uploads, where they have somewhere to go. */
@Module({})
export class TracingModule implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(TracingModule.name);
  private maker: SpanMaker | null = null;

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  async onModuleInit(): Promise<void> {
    const { tracing, role } = this.config;
    if (!tracing) return;
    const { openTelemetry } = await import('./open-telemetry.js');
    this.maker = openTelemetry(tracing, { 'sluice.role': role }, (message) =>
      this.logger.warn(`traces could not be sent: ${message}`),
    );
    setSpanMaker(this.maker);
  }

  /** Everything that makes spans has ended by now. */
  async onApplicationShutdown(): Promise<void> {
    if (!this.maker) return;
    setSpanMaker(null);
    await this.maker.stop();
  }
}
