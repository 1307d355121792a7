import { type DynamicModule, Module } from '@nestjs/common';
import type { Config } from './config.js';

export const CONFIG = Symbol('CONFIG');

@Module({})
class ConfigModule {}

/** Gives the one `Config` of this application to every module: `@Inject(CONFIG) private readonly config: Config`. */
export function configModule(config: Config): DynamicModule {
  return { module: ConfigModule, global: true, providers: [{ provide: CONFIG, useValue: config }], exports: [CONFIG] };
}
