import { Database, DatabaseModule } from '../common/database/index.js';
import {
  type Difference,
  isObjectKey,
  StorageCheck,
  StorageModule,
  StorageUnavailable,
  StoredObjects,
} from '../modules/storage/index.js';
import { CommandError, runCommand, withModules } from './command.js';
import { brokenInvariants } from './invariants.js';
import { bytesInWords, everyFewSeconds } from './progress.js';

type Finding = Difference | { kind: 'INVARIANT'; rule: string; rows: Record<string, unknown>[] };

const FREED_AT_ONCE = 500;

function describe(finding: Finding): string {
  switch (finding.kind) {
    case 'MISSING':
      return `MISSING     ${finding.key}: is on record, and the store does not have it`;
    case 'UNKNOWN':
      return `UNKNOWN     ${finding.key}: ${finding.sizeBytes} bytes that no row knows of`;
    case 'SIZE':
      return `SIZE        ${finding.key}: ${finding.sizeBytes} bytes, and ${finding.recordedBytes} are on record`;
    case 'DIGEST':
      return `DIGEST      ${finding.key}: SHA-256 ${finding.sha256}, and ${finding.recordedSha256} is on record`;
    case 'UNREADABLE':
      return `UNREADABLE  ${finding.key}: ${finding.reason}`;
    case 'INVARIANT':
      return `INVARIANT   ${finding.rule}: ${finding.rows.map((row) => Object.values(row).join(' ')).join(', ')}`;
  }
}

await runCommand({
  help: `npm run check [-- OPTIONS]

Compares the object store with the database, and the database with what must always hold. It may run at any time, beside
any number of servers, and by itself changes nothing. Each finding is a line on standard output:

  MISSING     an object that the database relies on is not in the store: restore it from a backup
  SIZE        it has another size than it was stored with: the same
  DIGEST      it has other bytes than it was stored with: the same
  UNREADABLE  the store has it and cannot give it: look at the store's disks
  UNKNOWN     the store has an object that the database knows nothing of: it takes space and does no harm
  INVARIANT   rows contradict each other: please report it, with the line

  --digests        also read every byte and compare its SHA-256 (all that is stored goes over the network once)
  --free-unknown   give the UNKNOWN objects to the collector, which deletes them while a server runs; what is being
                   written is never among them. Be sure that database and store belong together
  --json           one JSON object a line; the last is { "kind": "SUMMARY", … }

Exit code: 0 nothing found (or all of it freed), 1 something found, 2 the check could not run to its end.
`,
  options: {
    digests: { type: 'boolean', default: false },
    'free-unknown': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
  run: (config, { values }) =>
    withModules(config, [DatabaseModule, StorageModule], async (context) => {
      const db = context.get(Database);
      const objects = context.get(StoredObjects, { strict: false });
      const free = values['free-unknown'];
      if (free) {
        const known = await db.query(`SELECT FROM stored_object WHERE state = 'KEPT' LIMIT 1`);
        if (known.length === 0) throw new CommandError('This database knows of no object at all: is it the right one?');
      }
      const sums = { objects: 0, bytes: 0, found: 0, freed: 0 };
      const unknown: string[] = [];
      const freeUnknown = async () => {
        sums.freed += await objects.dropUnknown(unknown.splice(0));
      };
      const tell = (finding: Finding) => {
        sums.found++;
        process.stdout.write(`${values.json ? JSON.stringify(finding) : describe(finding)}\n`);
      };
      const progress = everyFewSeconds(
        () =>
          `${sums.objects} objects checked${values.digests ? `, ${bytesInWords(sums.bytes)} read` : ''}, ${sums.found} findings`,
      );
      try {
        for await (const broken of brokenInvariants(db)) tell({ kind: 'INVARIANT', ...broken });
        const check = context.get(StorageCheck, { strict: false });
        const onProgress = (done: { objects: number; bytes: number }) => Object.assign(sums, done);
        for await (const difference of check.differences({ digests: values.digests, onProgress })) {
          tell(difference);
          if (free && difference.kind === 'UNKNOWN' && isObjectKey(difference.key)) unknown.push(difference.key);
          if (unknown.length >= FREED_AT_ONCE) await freeUnknown();
        }
        await freeUnknown();
      } catch (error) {
        throw error instanceof StorageUnavailable ? new CommandError(`The object store: ${error.reason}.`) : error;
      } finally {
        progress.stop();
      }
      const { objects: checked, bytes, found, freed } = sums;
      if (values.json)
        process.stdout.write(`${JSON.stringify({ kind: 'SUMMARY', objects: checked, bytes, found, freed })}\n`);
      else process.stderr.write(`${checked} objects, ${found} findings${free ? `, ${freed} of them freed` : ''}.\n`);
      return found > freed ? 1 : 0;
    }),
});
