import { setUp } from './setup.mjs';

if (process.argv.includes('--help')) {
  process.stdout.write(`npm run migrate

Brings the database (DATABASE_URL, or the embedded one on DATA_DIR) to the newest schema. Every start does this by itself;
use it to do so before.
`);
} else {
  setUp();
  await import('../dist/migrate.js');
}
