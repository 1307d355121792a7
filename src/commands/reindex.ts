import { Database, DatabaseModule } from '../common/database/index.js';
import { IndexWriter, Reindex } from '../modules/search/index.js';
import { runCommand, withModules } from './command.js';
import { everyFewSeconds } from './progress.js';

const help = `npm run reindex

Makes the index of search anew, beside the one in use, and exchanges them in one transaction. Searches are answered all the
time, and what changes meanwhile is in both. It is not needed in daily use: the index is kept current by itself.

A million videos take some minutes, and room for a second index (some 700 MB) until it is done. A backup that is under way is
waited for, ten minutes at most. One that is broken off leaves the index as it was; of two at the same time, the later one goes on.

Exit code: 0 done; 2 the index is the one from before.
docs/operations/search.md has the rest.
`;

await runCommand({
  help,
  options: {},
  run: async (config) => {
    let line = 'Beginning …';
    const progress = everyFewSeconds(() => line);
    try {
      const { videos, uncounted } = await withModules(config, [DatabaseModule], (modules) => {
        const db = modules.get(Database);
        return new Reindex(db, new IndexWriter(db)).run(({ done, of }) => {
          line = done < of ? `${done} of ${of} videos …` : 'Building indexes …';
        });
      });
      process.stdout.write(`The index is new: ${videos} videos.\n`);
      if (uncounted) process.stderr.write(`Its words are counted by a worker later, here: ${uncounted.message}\n`);
    } finally {
      progress.stop();
    }
    return 0;
  },
});
