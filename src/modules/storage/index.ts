export { INCOMING } from './object-key.js';
export * from './object-storage.js';
export * from './storage.errors.js';
export { StorageModule } from './storage.module.js';
export { type CheckOptions, type Difference, StorageCheck } from './storage-check.js';
export { type Left, type Moved, StorageMover } from './storage-mover.js';
export { StoredObjects } from './stored-objects.service.js';
