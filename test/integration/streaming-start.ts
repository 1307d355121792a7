import { mkdtemp } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import pg from 'pg';
import { type Config, configModule } from '../../src/common/config/index.js';
import { DatabaseModule } from '../../src/common/database/index.js';
import { migrate } from '../../src/common/database/migrations.js';
import { httpAdapter } from '../../src/common/http/index.js';
import { LiveModule } from '../../src/common/live/index.js';
import { StreamingModule } from '../../src/modules/streaming/index.js';

export async function startApp() {
  const name = `t${Date.now()}`;
  const base = 'postgres://postgres:pw@127.0.0.1:54871';
  const client = new pg.Client(`${base}/postgres`);
  await client.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  await migrate(`${base}/${name}`, resolve('migrations'));
  const dataDir = await mkdtemp(join('/tmp', 'streaming-data-'));
  const config = {
    role: 'all',
    host: '127.0.0.1',
    port: 0,
    publicUrl: 'http://127.0.0.1:1',
    dataDir,
    databaseUrl: `${base}/${name}`,
    databasePoolSize: 10,
    redisUrl: 'redis://127.0.0.1:54872',
    redisPrefix: name,
    s3: null,
    tokenSecret: 't'.repeat(32),
    storageSecret: 's'.repeat(32),
    playbackSecret: 'p'.repeat(32),
    corsOrigins: '*',
    trustProxy: false,
    logLevel: 'error',
  } as unknown as Config;
  class Root {}
  const app = await NestFactory.create<NestFastifyApplication>(
    { module: Root, imports: [configModule(config), DatabaseModule, LiveModule, StreamingModule] },
    httpAdapter(config),
    { logger: ['error', 'warn', 'debug'], abortOnError: false },
  );
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl(), config };
}
