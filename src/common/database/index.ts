export { columnsOf, Database, type Sql, sqlState, type Tx } from './database.js';
export { DatabaseModule } from './database.module.js';
export { deleteInSteps, FIRST_UUID } from './delete-in-steps.js';
export { MIGRATION_LOCK, migrate, RESTORE_MARK } from './migrations.js';
