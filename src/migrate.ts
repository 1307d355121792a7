import { fileURLToPath } from 'node:url';
import { readSettings } from './common/config/index.js';
import { migrate } from './common/database/index.js';
import { embed } from './embedded/index.js';
import { explain } from './explain.js';

async function run(): Promise<string[]> {
  const { config, stop } = await embed(readSettings());
  try {
    return await migrate(config.databaseUrl, fileURLToPath(new URL('../migrations/', import.meta.url)));
  } finally {
    await stop();
  }
}

try {
  const names = await run();
  process.stdout.write(names.length > 0 ? `Migrated: ${names.join(', ')}\n` : 'The schema is the newest already.\n');
} catch (error) {
  process.stderr.write(explain(error));
  process.exitCode = 1;
}
