export { columnsOf, Database, type Sql, sqlState, type Tx } from './database.js';
export { DatabaseModule } from './database.module.js';
export { MIGRATION_LOCK, migrate, RESTORE_MARK } from './migrations.js';
