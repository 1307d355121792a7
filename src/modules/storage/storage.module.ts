import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { CONFIG, type Config, type StoreName } from '../../common/config/index.js';
import { DiskIngress } from './disk-ingress.js';
import { DiskStorage } from './disk-storage.js';
import { MovingStorage } from './moving-storage.js';
import { ObjectStorage } from './object-storage.js';
import { measured, StorageUsage } from './storage.metrics.js';
import { StorageCheck } from './storage-check.js';
import { StorageCollector } from './storage-collector.js';
import { StorageMover } from './storage-mover.js';
import { StoredObjects } from './stored-objects.service.js';

async function storeOf(name: StoreName, config: Config): Promise<ObjectStorage> {
  if (name === 's3') {
    if (!config.s3) throw new Error('No S3 store is configured.');
    // Its client is a tenth of what there is to load at start: only for those who need it.
    const { S3Storage } = await import('./s3-storage.js');
    const s3 = new S3Storage(config.s3);
    await s3.prepare(config.corsOrigins);
    return measured(s3);
  }
  const disk = new DiskStorage({
    root: join(config.dataDir, 'storage'),
    publicUrl: config.publicUrl,
    signingSecret: config.storageSecret,
  });
  await disk.prepare();
  return measured(disk);
}

@Module({
  providers: [
    {
      provide: ObjectStorage,
      inject: [CONFIG],
      useFactory: async (config: Config): Promise<ObjectStorage> => {
        const storage = await storeOf(config.storage ?? (config.s3 ? 's3' : 'disk'), config);
        return config.storageAlso ? new MovingStorage(storage, await storeOf(config.storageAlso, config)) : storage;
      },
    },
    StoredObjects,
    StorageCheck,
    StorageMover,
    StorageCollector,
    StorageUsage,
    DiskIngress,
  ],
  exports: [ObjectStorage, StoredObjects, StorageCheck, StorageMover],
})
export class StorageModule {}
