export { INCOMING } from './object-key.js';
export * from './object-storage.js';
export * from './storage.errors.js';
export { StorageModule } from './storage.module.js';
export { type Difference, StoredObjects } from './stored-objects.service.js';
