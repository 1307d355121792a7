export { DiskStorage } from './disk-storage.js';
export { INCOMING, isObjectKey } from './object-key.js';
export * from './object-storage.js';
export * from './storage.errors.js';
export { openStorage, StorageModule } from './storage.module.js';
export { type CheckOptions, type Difference, StorageCheck } from './storage-check.js';
export { type Left, StorageMover } from './storage-mover.js';
export { DELETIONS_LOCK, StoredObjects } from './stored-objects.service.js';
export { within } from './within.js';
