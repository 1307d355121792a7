import type { Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule, WorkerModule } from './app.module.js';
import { type Config, configModule } from './common/config/index.js';
import { httpAdapter } from './common/http/index.js';
import { StructuredLogger } from './common/logging/index.js';

/**
 * The whole application on a database that is up to date; it does not listen yet.
 * @param more modules beside it: jobs and operations of a test
 */
export function createApp(config: Config, more: Type[] = []): Promise<NestFastifyApplication> {
  return NestFactory.create<NestFastifyApplication>(
    { module: config.role === 'worker' ? WorkerModule : AppModule, imports: [configModule(config), ...more] },
    httpAdapter(config),
    { logger: new StructuredLogger(config), abortOnError: false },
  );
}
