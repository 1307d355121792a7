import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CONFIG, type Config } from '../config/index.js';
import { Database } from './database.js';

/** A container that is started again has the same host and process id. */
const START = randomBytes(4).toString('hex');

@Global()
@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      inject: [CONFIG],
      useFactory: (config: Config) => ({
        type: 'postgres',
        url: config.databaseUrl,
        autoLoadEntities: true,
        synchronize: false,
        installExtensions: false,
        uuidExtension: 'pgcrypto',
        poolSize: config.databasePoolSize,
        // Who else is connected, and how much each may take: `npm run doctor` adds it up. UploadWriters sees by it who is gone.
        applicationName: `sluice ${config.databasePoolSize} ${config.role} ${START} ${process.pid}@${hostname()}`.slice(
          0,
          63,
        ),
        extra: {
          connectionTimeoutMillis: 10_000,
          // Sent as start-up parameters: every statement of ours is short, and nobody waits long for a lock.
          statement_timeout: 30_000,
          lock_timeout: 2_000,
          idle_in_transaction_session_timeout: 10_000,
        },
      }),
    }),
  ],
  providers: [Database],
  exports: [Database],
})
export class DatabaseModule {}
