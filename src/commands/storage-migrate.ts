import { DatabaseModule } from '../common/database/index.js';
import { StorageModule, StorageMover, StorageUnavailable } from '../modules/storage/index.js';
import { CommandError, runCommand, withModules } from './command.js';
import { bytesInWords, everyFewSeconds } from './progress.js';

const WHY = {
  UNKNOWN: 'the database knows nothing of it (npm run check -- --free-unknown)',
  DIFFERENT: 'it is not what is on record, or not what the other store has under this key (npm run check -- --digests)',
};

/** Of more than so many it may be said twice that they stay. */
const TOLD_ONCE = 10_000;

await runCommand({
  help: `npm run storage:migrate

Moves every object from the store that STORAGE_ALSO names to the one that STORAGE names, while everything works. Each is
copied, its SHA-256 compared with the one on record, and only then deleted where it was. The command may be killed and
run again, and ends when the old store is empty. docs/operations/storage.md has the whole way; in short:

  1. every process runs with the old STORAGE and STORAGE_ALSO=the new one, so that each finds objects in both
     (one process alone may leave this step out)
  2. every process runs with the new STORAGE and STORAGE_ALSO=the old one: new objects go to the new store
  3. npm run storage:migrate, with the environment of step 2; once more when an hour has passed since step 2 ended, for
     what clients still sent to addresses that were signed before
  4. every process runs without STORAGE_ALSO

Exit code: 0 the old store is empty, 1 something stays there (each a line on standard output), 2 it could not go on: run it again.
`,
  options: {},
  run: (config) =>
    withModules(config, [DatabaseModule, StorageModule], async (context) => {
      const mover = context.get(StorageMover, { strict: false });
      if (!mover.isMoving) {
        throw new CommandError('Nothing is set to move: see npm run storage:migrate -- --help, steps 1 and 2.');
      }
      let [objects, bytes, staying] = [0, 0, 0];
      const sums = () => `${objects} objects moved, ${bytesInWords(bytes)}`;
      const told = new Set<string>();
      const progress = everyFewSeconds(sums);
      try {
        for (let before = -1; before < objects; ) {
          before = objects;
          staying = 0;
          const onMoved = (sizeBytes: number) => {
            objects++;
            bytes += sizeBytes;
          };
          for await (const { key, why } of mover.move(onMoved)) {
            staying++;
            if (told.has(key)) continue;
            if (told.size < TOLD_ONCE) told.add(key);
            process.stdout.write(`${key} stays: ${WHY[why]}\n`);
          }
        }
      } catch (error) {
        throw error instanceof StorageUnavailable
          ? new CommandError(`${sums()}. An object store: ${error.reason}. Run it again.`)
          : error;
      } finally {
        progress.stop();
      }
      process.stderr.write(`${sums()}${staying > 0 ? `, ${staying} stay` : ': the old store is empty'}.\n`);
      return staying > 0 ? 1 : 0;
    }),
});
