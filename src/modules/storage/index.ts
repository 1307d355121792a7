export { DiskStorage } from './disk-storage.js';
export { INCOMING } from './object-key.js';
export * from './object-storage.js';
export * from './storage.errors.js';
export { openStorage, StorageModule } from './storage.module.js';
export { DELETIONS_LOCK, type Difference, StoredObjects } from './stored-objects.service.js';
