/*
 * Does the runner see when a guard is missing? `node test/faults/guards.mjs [--seeds 120] [NAME…]`
 *
 * Each guard below is taken away alone, in a copy of the tree, and the schedules of ledger.faults.ts (or the test that is named)
 * are run on it: CAUGHT when they fail. Takes over half an hour; not a part of CI. Ends with 1 when one is missed.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const UPLOADS = 'src/modules/uploads';
const LEDGER = `${UPLOADS}/upload-ledger.ts`;
const WRITERS = `${UPLOADS}/upload-writers.service.ts`;
const LANE = `${UPLOADS}/append-lane.service.ts`;
const CHUNKS = `${UPLOADS}/chunks.service.ts`;
const OBJECTS = 'src/modules/storage/stored-objects.service.ts';
const CHECKS = 'src/modules/media/piece-check.ts';
const CHECKED = 'src/modules/media/piece-check.spec.ts';
const RESULTS = 'src/modules/transcoding/piece-results.ts';
const WORKER = 'src/common/jobs/job-worker.ts';
const SLOTS = 'test/integration/jobs-slots.test.ts';
const RUNGS = 'src/modules/transcoding/on-demand.ts';
const rungs = (name) => ['test/integration/on-demand.test.ts', '-t', name];

/** name: [file, what stands there, what is put in its place, the test that must fail (arguments of jest), where it is not the runner] */
const GUARDS = {
  'commit locks the session FOR NO KEY UPDATE': [
    LEDGER,
    `SELECT id, covered FROM upload_session WHERE id = $1 AND state = 'OPEN' FOR NO KEY UPDATE),
          n AS`,
    `SELECT id, covered FROM upload_session WHERE id = $1 AND state = 'OPEN' FOR KEY SHARE),
          n AS`,
  ],
  'what counts is what was inserted, not what was asked for': [
    LEDGER,
    `SET covered = s.covered + (SELECT coalesce(range_agg(span), '{}') FROM i),`,
    `SET covered = s.covered + coalesce((SELECT range_agg(r) FROM unnest($2::int8range[]) r), '{}'),`,
  ],
  'only a PENDING object is committed': [
    LEDGER,
    `WHERE o.key = n.key AND o.state = 'PENDING' AND NOT`,
    `WHERE o.key = n.key AND NOT`,
  ],
  'contributions of one batch do not overlap': [
    LEDGER,
    `- coalesce(range_agg(o.span) OVER (ORDER BY o.k ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '{}')`,
    '',
  ],
  'complete needs every byte': [LEDGER, `AND covered = int8multirange(int8range(0, size_bytes))`, ''],
  'a discard takes the bytes of whole chunks back': [
    LEDGER,
    `SET covered = s.covered - coalesce((SELECT range_agg(r) FROM d, unnest(d.covers) r), '{}')`,
    `SET covered = s.covered - $2::int8multirange`,
  ],
  'a mismatch sends back its own completion alone (epoch)': [
    LEDGER,
    `expires_at = now() + interval '7 days'
     WHERE id = $1 AND state = 'COMPLETING' AND epoch = $2`,
    `expires_at = now() + interval '7 days'
     WHERE id = $1 AND state = 'COMPLETING' AND $2::int > 0`,
    'test/integration/upload-ledger.test.ts',
  ],
  'only a COMPLETING session is finished': [
    LEDGER,
    `completed_at = now()
     WHERE id = $1 AND state = 'COMPLETING' AND epoch = $2`,
    `completed_at = now()
     WHERE id = $1 AND $2::int > 0`,
    'test/integration/upload-ledger.test.ts',
  ],
  'a merge takes the place of chunks that are all still there': [
    LEDGER,
    `HAVING count(*) = cardinality($2::text[]) AND range_agg(span) = int8multirange($3::int8range)`,
    'HAVING count(*) > 0',
    'test/integration/upload-ledger.test.ts',
  ],
  'the digest of the master is compared': [
    `${UPLOADS}/assemble.job.ts`,
    `declared === undefined || declared === master.sha256`,
    'true',
  ],
  'the digest of a chunk is compared at its commit': [CHUNKS, `object.sha256 !== chunk.sha256`, 'false'],
  'the size of a chunk is compared at its commit': [
    CHUNKS,
    `object.sizeBytes !== chunk.sizeBytes`,
    'false',
    'test/integration/uploads.test.ts',
  ],
  'a key that was given up is never signed again': [
    CHUNKS,
    `AND (o.state = 'PENDING' OR (o.state = 'KEPT' AND t.span <@ s.covered))`,
    '',
    'test/integration/uploads.test.ts',
  ],
  'the fence is looked at': [LANE, `if (!(await this.writers.isIn(tx, id))) return 'FENCED';`, ''],
  'the fence is looked at under the lock': [
    LANE,
    `FROM upload_session WHERE id = $1 FOR NO KEY UPDATE\`,
      [sessionId],
    );
    if (open?.state`,
    `FROM upload_session WHERE id = $1\`,
      [sessionId],
    );
    if (open?.state`,
    'test/integration/uploads-append.test.ts',
  ],
  'whoever evicts fences off who does not answer': [
    WRITERS,
    `    await this.fence(sessionId, ids);
  }`,
    `  }`,
  ],
  'of several who come to one place one gets it': [
    WRITERS,
    `WHERE NOT EXISTS (SELECT FROM upload_writer WHERE session_id = $2::uuid AND span && $3::int8range)
           AND`,
    'WHERE',
    'test/integration/uploads-append.test.ts',
  ],
  'a wrong checksum counts nothing': [LANE, `hash.digest('hex') !== checksum?.digest`, 'hash.digest() === null'],
  'what came before a cut is counted': [
    LANE,
    `if (refused || failure || checksum) {`,
    `if (refused || failure || checksum || bytes.ended === 'CUT') {`,
  ],
  'the last byte completes': [
    LANE,
    `if (completes) await this.uploads.completeIfWhole(tx, sessionId, null);`,
    '',
    'test/integration/uploads-append.test.ts',
  ],
  'one key begins one session': [
    `${UPLOADS}/uploads.service.ts`,
    `ON CONFLICT (owner_id, idempotency_key) DO NOTHING RETURNING`,
    `ON CONFLICT (owner_id, idempotency_key) DO UPDATE SET file_name = excluded.file_name RETURNING`,
  ],
  'what ends gives its quota back': [
    `${UPLOADS}/uploads.service.ts`,
    `await this.users.releaseBytes(tx, session.ownerId, session.sizeBytes);`,
    '',
  ],
  'the quota is asked and taken in one statement': [
    'src/modules/users/users.service.ts',
    `AND used_bytes + $2::bigint <= $3::bigint RETURNING id`,
    `AND $3::bigint > 0 RETURNING id`,
    'test/integration/uploads-abuse.test.ts',
  ],
  'who reserves of the installation waits for others who do': [
    'src/modules/users/users.service.ts',
    `await tx.query('SELECT pg_advisory_xact_lock($1)', [HOLDINGS_LOCK]);`,
    '',
    'test/integration/uploads-abuse.test.ts',
  ],
  'the collector takes only what nobody keeps': [
    OBJECTS,
    `WHERE state = 'PENDING' AND created_at <`,
    `WHERE state <> 'DELETING' AND created_at <`,
  ],
  'a given-up object cannot be kept': [
    OBJECTS,
    `WHERE key IN (SELECT key FROM n) AND state = 'PENDING' ORDER BY`,
    `WHERE key IN (SELECT key FROM n) ORDER BY`,
    'test/integration/storage-objects.test.ts',
  ],
  'a put that slept through its grace leaves nothing': [
    OBJECTS,
    `    await this.storage.delete([key]);
    throw`,
    `    throw`,
    'test/integration/storage-objects.test.ts',
  ],
  'the row stays while a straggler may land': [
    OBJECTS,
    `[keysOf(true)]`,
    `[claimed.map((row) => row.key)]`,
    'test/integration/storage-objects.test.ts',
  ],
  'an object on disk is written once': [
    'src/modules/storage/disk-storage.ts',
    `if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EEXIST') throw new ObjectExists(key);`,
    `if (codeOf(error) === 'ENOTEMPTY') return;`,
    'test/integration/storage-disk.test.ts',
  ],
  'bytes are on the disk before their name is': [
    'src/modules/storage/disk-storage.ts',
    `    await file.sync();\n`,
    '',
    'test/faults/power.test.ts',
  ],
  'the name is on the disk before the answer': [
    'src/modules/storage/disk-storage.ts',
    `    await this.syncUpwards(parent);\n`,
    '',
    'test/faults/power.test.ts',
  ],

  'a piece has an init': [CHECKS, `if (!read.init) return fault('there is no init segment');`, '', CHECKED],
  'its init is that of the other pieces': [
    CHECKS,
    `expected.initSha256 !== null && read.init.sha256 !== expected.initSha256`,
    'false',
    CHECKED,
  ],
  'its timescale is the plan’s': [CHECKS, `read.init.timescale !== timing.timescale`, 'false', CHECKED],
  'it has all of its segments': [CHECKS, `read.fragments.length !== segments`, 'false', CHECKED],
  'a segment has all of its frames': [CHECKS, `fragment.samples !== count`, 'false', CHECKED],
  'a segment begins at its time': [
    CHECKS,
    `fragment.decodeTime !== at) return fault(\`segment`,
    'false) return fault(`segment',
    CHECKED,
  ],
  'a segment is as long as its frames': [
    CHECKS,
    `fragment.duration !== count * timing.frameDuration`,
    'false',
    CHECKED,
  ],
  'ffmpeg said how many frames it read': [
    CHECKS,
    `if (input === undefined) return fault('the log does not say how many frames were read');`,
    '',
    CHECKED,
  ],
  'something was read': [CHECKS, `if (Number(input) === 0) return sourceFault('no frame was read');`, '', CHECKED],
  'few frames are damaged': [CHECKS, `damaged > frames * MAX_DAMAGED_SHARE`, 'false', CHECKED],
  'the end is no row of clones': [CHECKS, `!isLast && Number(output) < frames`, 'false', CHECKED],
  'no frame is doubled at a constant rate': [CHECKS, `Number(duplicated) > 0`, 'false', CHECKED],
  'a segment of sound has no gap': [
    CHECKS,
    `fragment.decodeTime !== at) return fault(\`starts`,
    'false) return fault(`starts',
    CHECKED,
  ],
  'a segment of sound is as long as planned': [CHECKS, `length === expected.duration`, 'length > 0', CHECKED],
  'all pieces of a rendition have one init': [
    RESULTS,
    `if (!first?.same) throw`,
    'if (!first) throw',
    'test/integration/transcoding-attempts.test.ts',
  ],
  'a result counts in its own run alone': [
    RESULTS,
    `WHERE id = $1 AND run = $2 AND deleted_at IS NULL AND state = ANY($3) FOR SHARE`,
    `WHERE id = $1 AND $2::int > 0 AND cardinality($3::text[]) > 0 FOR SHARE`,
    'test/integration/transcoding-attempts.test.ts',
  ],
  'the whole is looked at before READY': [
    'src/modules/transcoding/publisher.ts',
    `presentationFaults(await this.made.read(videoId, run))`,
    `presentationFaults(await this.made.read(videoId, run)).slice(0, 0)`,
    'test/integration/publish.test.ts',
  ],

  'spare work leaves a slot free': [
    WORKER,
    `slot.behind >= Math.max(1, slot.limit - 1)`,
    `slot.behind >= slot.limit`,
    SLOTS,
  ],
  'spare work gives the only slot up': [WORKER, `if (slot.used > slot.limit) this.interrupt(queue);`, '', SLOTS],
  'spare work that was claimed too late is put back': [
    WORKER,
    `if (job && slot.used > slot.limit) await`,
    `if (job && slot.used > slot.limit + 1) await`,
    SLOTS,
  ],
  'one owner leaves slots to others': [WORKER, `SHARED.has(queue) ? limit / 2 : limit`, `limit`, SLOTS],
  'a claim knows what the one before has got': [WORKER, `slot.claiming.then(`, `Promise.resolve().then(`, SLOTS],
  'a rung is asked for once': [
    RUNGS,
    `AND on_demand = ANY($4) RETURNING`,
    `AND cardinality($4::text[]) > 0 RETURNING`,
    rungs('made once when it is asked for'),
  ],
  'an ask that begins nothing is free': [
    RUNGS,
    `if (outcome !== 'begun') this.limits.giveBack(ASKS, viewer);`,
    '',
    rungs('is bounded'),
  ],
  'no pieces of a rung that is being given up': [
    RUNGS,
    `run = $2 AND state = 'READY' AND deleted_at IS NULL FOR SHARE`,
    `run = $2 AND state = 'READY' AND deleted_at IS NULL`,
    rungs('given up at the same time'),
  ],
  'no segments of a rung that was given up': [
    RESULTS,
    `return asked.length === 1;`,
    `return true;`,
    rungs('was given up meanwhile'),
  ],
  'an ask that comes to nothing is forgotten': [RUNGS, `await this.forget(run);`, '', rungs('is forgotten')],
  'nobody is held for a rung that has not begun': [
    'src/modules/streaming/media-library.ts',
    `(row.onDemand === 'ASKED' && !row.hasInit)`,
    'false',
    rungs('given up alone'),
  ],
  'a rung is looked at before it is listed': [
    RUNGS,
    `if (faults.length > 0) {`,
    `if (faults.length > 1e6) {`,
    rungs('before all of it was looked at'),
  ],
  'whoever asked gets to see it': [
    RUNGS,
    `await this.videos.noteWatched(videoId);`,
    '',
    rungs('what nobody watches goes'),
  ],
  'other bytes have other addresses': [RUNGS, `edition = edition + 1, `, '', rungs('what nobody watches goes')],
  'a premiere keeps its rungs': [
    RUNGS,
    `greatest(watched_at, processing_finished_at, publish_at)`,
    `greatest(watched_at, processing_finished_at)`,
    rungs('nothing is given up'),
  ],
  'what cannot be made again is kept': [
    RUNGS,
    `if (!unwatched || !(await this.uploads.masterOf(tx, videoId))) return;`,
    `if (!unwatched) return;`,
    rungs('nothing is given up'),
  ],
};

const { values, positionals } = parseArgs({
  options: { seeds: { type: 'string', default: '120' } },
  allowPositionals: true,
});
const copy = mkdtempSync(join(tmpdir(), 'sluice-guards-'));
process.on('SIGINT', () => process.exit(130));
process.on('exit', () => rmSync(copy, { recursive: true, force: true }));
for (const name of [
  'src',
  'test',
  'scripts',
  'migrations',
  'client',
  'web',
  'dist',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  '.swcrc',
  'nest-cli.json',
  'schema.graphql',
  'jest.config.mjs',
  'jest.slow.config.mjs',
  'jest.faults.config.mjs',
  'README.md',
  'docs',
]) {
  cpSync(join(root, name), join(copy, name), { recursive: true, preserveTimestamps: true });
}
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));

function fails(test) {
  const runner = test === undefined;
  const jest = [
    join(root, 'node_modules/jest/bin/jest.js'),
    '-i',
    ...(runner ? ['--config', 'jest.faults.config.mjs'] : []),
  ];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...jest, ...[test ?? 'test/faults/ledger.faults.ts'].flat()],
    {
      cwd: copy,
      env: { ...process.env, FAULTS_LEDGER: values.seeds, FAULTS_STOP: '1' },
      encoding: 'utf8',
      timeout: 15 * 60_000,
      maxBuffer: 1 << 28,
    },
  );
  const output = `${stdout}${stderr}`;
  // A build that fails, say, proves nothing.
  if (!/Tests: +\d/.test(output)) throw new Error(output.slice(-3_000));
  return status === 0
    ? null
    : (/^seed \d+\n {2}.*$/m.exec(output)?.[0].replace(/\n\s*/, ': ') ?? /●.*/.exec(output)?.[0] ?? 'failed').slice(
        0,
        130,
      );
}

let missed = 0;
const chosen = Object.entries(GUARDS).filter(
  ([name]) => positionals.length === 0 || positionals.some((part) => name.includes(part)),
);
for (const [name, [file, from, to, test]] of chosen) {
  const path = join(copy, file);
  const source = readFileSync(path, 'utf8');
  if (source.split(from).length !== 2) throw new Error(`${file} does not have this exactly once: ${from}`);
  writeFileSync(
    path,
    source.replace(from, () => to),
  );
  const how = fails(test);
  writeFileSync(path, source);
  if (!how) missed++;
  process.stdout.write(`| ${how ? 'CAUGHT' : 'MISSED'} | ${name} | ${how ?? ''} |\n`);
}
process.stdout.write(`${chosen.length - missed} of ${chosen.length} caught\n`);
process.exit(missed === 0 ? 0 : 1);
