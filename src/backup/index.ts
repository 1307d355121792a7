export { type BackupResult, backUp, type Progress } from './backup.js';
export { BackupFolder } from './backup-folder.js';
export { type RestoreResult, restore } from './restore.js';
