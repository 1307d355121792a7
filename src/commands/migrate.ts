import { migrate } from '../common/database/index.js';
import { MIGRATIONS, runCommand } from './command.js';

await runCommand({
  help: `npm run migrate

Brings the database (DATABASE_URL, or the embedded one on DATA_DIR) to the newest schema. Every start does this by itself;
use it to do so before.
`,
  options: {},
  run: async ({ databaseUrl }) => {
    const names = await migrate(databaseUrl, MIGRATIONS);
    process.stdout.write(names.length > 0 ? `Migrated: ${names.join(', ')}\n` : 'The schema is the newest already.\n');
    return 0;
  },
});
