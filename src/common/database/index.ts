export { columnsOf, Database, type Sql, sqlState, type Tx } from './database.js';
export { DatabaseModule } from './database.module.js';
export { migrate } from './migrations.js';
