import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { DiskIngress } from './disk-ingress.js';
import { DiskStorage } from './disk-storage.js';
import { ObjectStorage } from './object-storage.js';
import { measured, StorageUsage } from './storage.metrics.js';
import { StorageCollector } from './storage-collector.js';
import { StoredObjects } from './stored-objects.service.js';

/** The store that is configured; `onApplicationShutdown` ends what it keeps open. */
export async function openStorage(config: Config): Promise<ObjectStorage> {
  if (config.s3) {
    // Its client is a tenth of what there is to load at start: only for those who need it.
    const { S3Storage } = await import('./s3-storage.js');
    return new S3Storage(config.s3);
  }
  const disk = new DiskStorage({
    root: join(config.dataDir, 'storage'),
    publicUrl: config.publicUrl,
    signingSecret: config.storageSecret,
  });
  await disk.prepare();
  return disk;
}

@Module({
  providers: [
    {
      provide: ObjectStorage,
      inject: [CONFIG],
      useFactory: async (config: Config) => measured(await openStorage(config)),
    },
    StoredObjects,
    StorageCollector,
    StorageUsage,
    DiskIngress,
  ],
  exports: [ObjectStorage, StoredObjects],
})
export class StorageModule {}
