import { BackupFolder, restore } from '../backup/index.js';
import { DatabaseModule } from '../common/database/index.js';
import { ObjectStorage, StorageModule } from '../modules/storage/index.js';
import { CommandError, MIGRATIONS, runCommand, withModules } from './command.js';
import { bytesInWords, progressOnStderr } from './progress.js';

const help = `npm run restore -- DIR [--at NAME] [--json]

Restores the newest backup of DIR into the database and the object store that are configured here, which must both be
empty: an empty DATA_DIR, or a new database and a new bucket. Disk or S3, whichever it was made from. No server may run
on them meanwhile. If it is cut, repeat it.

  --at NAME   another backup: the name of its folder in DIR
  --json      one line of JSON on standard output

Exit code: 0 done; 1 done, but for objects that had been lost before the backup was made; 2 not restored.
docs/operations/backup.md has the rest.
`;

await runCommand({
  help,
  options: { at: { type: 'string' }, json: { type: 'boolean' } },
  run: async (config, { values, positionals }) => {
    const [path] = positionals;
    if (path === undefined || positionals.length > 1) throw new CommandError(`Name one folder.\n\n${help}`);
    const folder = BackupFolder.existing(path);
    const result = await withModules(config, [DatabaseModule, StorageModule], (modules) =>
      restore({
        databaseUrl: config.databaseUrl,
        migrations: MIGRATIONS,
        storage: modules.get(ObjectStorage),
        folder,
        name: values.at,
        onProgress: progressOnStderr('restored'),
      }),
    );
    const { name, rows, objects, bytes, migrated, damaged } = result;
    const lines = [
      `Restored ${name}: ${rows} rows and ${objects} objects (${bytesInWords(bytes)}).`,
      ...(migrated.length > 0 ? [`Migrated: ${migrated.join(', ')}.`] : []),
      ...(damaged > 0
        ? [`${damaged} objects had been lost before the backup was made: npm run check names them.`]
        : []),
    ];
    process.stdout.write(`${values.json ? JSON.stringify(result) : lines.join('\n')}\n`);
    return damaged > 0 ? 1 : 0;
  },
});
