import { join } from 'node:path';
import { Module, type OnApplicationShutdown } from '@nestjs/common';
import { CONFIG, type Config, type StoreName } from '../../common/config/index.js';
import { DiskIngress } from './disk-ingress.js';
import { DiskStorage } from './disk-storage.js';
import { MovingStorage } from './moving-storage.js';
import { ObjectStorage } from './object-storage.js';
import type { S3Storage } from './s3-storage.js';
import { measured, StorageUsage } from './storage.metrics.js';
import { StorageCheck } from './storage-check.js';
import { StorageCollector } from './storage-collector.js';
import { StorageMover } from './storage-mover.js';
import { StoredObjects } from './stored-objects.service.js';

async function storeOf(name: StoreName, config: Config): Promise<DiskStorage | S3Storage> {
  if (name === 's3') {
    if (!config.s3) throw new Error('No S3 store is configured.');
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

const nameOf = (config: Config): StoreName => config.storage ?? (config.s3 ? 's3' : 'disk');

async function ready(name: StoreName, config: Config): Promise<ObjectStorage> {
  const store = await storeOf(name, config);
  if (!(store instanceof DiskStorage)) await store.prepare(config.corsOrigins);
  return measured(store);
}

/** The store that is written to, as it is found: nothing is made or set in it. */
export function openStorage(config: Config): Promise<ObjectStorage & Partial<OnApplicationShutdown>> {
  return storeOf(nameOf(config), config);
}

@Module({
  providers: [
    {
      provide: ObjectStorage,
      inject: [CONFIG],
      useFactory: async (config: Config): Promise<ObjectStorage> => {
        const storage = await ready(nameOf(config), config);
        return config.storageAlso ? new MovingStorage(storage, await ready(config.storageAlso, config)) : storage;
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
