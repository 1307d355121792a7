import { BackupFolder, backUp } from '../backup/index.js';
import { DatabaseModule } from '../common/database/index.js';
import { ObjectStorage, StorageModule } from '../modules/storage/index.js';
import { CommandError, runCommand, withModules } from './command.js';
import { bytesInWords, progressOnStderr } from './progress.js';

const help = `npm run backup -- DIR [--keep N] [--json]

Copies the database (one snapshot) and every object that it names to a new backup in DIR, while the system works. DIR is
made where it is missing; objects that an earlier backup of DIR has are not copied again. DATA_DIR/secrets and Redis are
not in it.

  --keep N   afterwards remove all but the newest N backups, and the objects that none of those names
  --json     one line of JSON on standard output

Exit code: 0 whole; 1 whole but for objects that the store itself had lost (run npm run check); 2 there is no new backup.
A backup that was killed does not count, and the next one goes on with the objects that it has copied.
docs/operations/backup.md has the rest.
`;

await runCommand({
  help,
  options: { keep: { type: 'string' }, json: { type: 'boolean' } },
  run: async (config, { values, positionals }) => {
    const [path] = positionals;
    if (path === undefined || positionals.length > 1) throw new CommandError(`Name one folder.\n\n${help}`);
    const keep = values.keep === undefined ? undefined : Number(values.keep);
    if (keep !== undefined && !(Number.isSafeInteger(keep) && keep > 0)) {
      throw new CommandError('--keep must be a whole number from 1.');
    }
    const folder = await BackupFolder.prepare(path, config.dataDir);
    const result = await withModules(config, [DatabaseModule, StorageModule], (modules) =>
      backUp({
        databaseUrl: config.databaseUrl,
        storage: modules.get(ObjectStorage),
        folder,
        keep,
        onProgress: progressOnStderr('copied'),
      }),
    );
    const { name, rows, objects, bytes, copiedObjects, copiedBytes, removed, damaged, damagedKeys } = result;
    const lines = [
      `Backup ${name}: ${rows} rows and ${objects} objects (${bytesInWords(bytes)}), of which ${copiedObjects} (${bytesInWords(copiedBytes)}) were copied now.`,
      ...(removed.length > 0 ? [`Removed: ${removed.join(', ')}.`] : []),
      ...(damaged > 0
        ? [`The store had lost ${damaged} objects, which are not in it: ${damagedKeys.join(', ')}. See npm run check.`]
        : []),
    ];
    process.stdout.write(`${values.json ? JSON.stringify(result) : lines.join('\n')}\n`);
    return damaged > 0 ? 1 : 0;
  },
});
