import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { cachesTable, measureCaches } from './cache.js';
import { deliveryTable, measureDelivery } from './delivery.js';
import { earlyTable, measureEarly } from './early.js';
import { fanoutTable, measureFanout } from './fanout.js';
import { liveTable, measureLive } from './live.js';
import { measurePipeline, pipelineTable } from './pipeline.js';
import { Place } from './place.js';
import { measureRequests, requestsTable } from './requests.js';
import { measureSearch, searchTable } from './search.js';
import { measureUploads, uploadsTable } from './uploads.js';
import { measureVerdict, verdictTable } from './verdict.js';

const HELP = `npm run bench -- requests | delivery | uploads | early | pipeline | verdict | live | fanout | cache | search [--rounds N] [--seconds N] [--only TEXT] [--at N,N] [--json]

requests   processor time and latency of the server for { __typename }, a list of 20 videos and commitChunks of 100 chunks,
           beside a bare Nest + Apollo + Fastify server with the same SQL and beside node:http + pg
delivery   segments of 1 MB per second of processor time from the application and from the edge, beside nginx with the files
uploads    memory of the server while files are appended, and processor time a GB of each lane, beside @tus/server with its file
           store, SHA-256 of the same bytes, and MinIO alone
early      seconds until the owner of a film sees its first frame, while it is sent over 4 Mbit/s and processed early or afterwards
pipeline   from a file's last byte to its first playable rung and to READY, through the whole product, beside ffmpeg run
           for each rendition in turn and for all in one; then a new video beside a hundred of somebody else, while these arrive and when they are queued
verdict    seconds until the owner of a broken or hostile file is told, and the memory that telling takes, beside one decode of it

live       subscribers of one channel on two replicas: processor time of a delivery, memory of a socket, how long the event loop is held,
           beside bare graphql-ws servers; then cuts, a replica killed and Redis flushed: what is lost
fanout     one video of a channel with many followers, as rows and as one for all: rows a second, first and last, and how long
           another channel's video waits meanwhile; plans and buffers of inbox, feed and followers at a tenth and at all of it

cache      processor time of the server, PostgreSQL and Redis for what a crowd asks for that is not signed in, by the layers of the
           caches: none, in the process, in Redis, both
search     titles, titles with a typo and words of many titles, in a corpus with known answers: milliseconds at four at once and
           recall, beside MiniSearch with the same titles; and a crawler that asks for hidden videos

--rounds   how often each is measured, in random order (default 7; of uploads and early 3, of pipeline and search 5, of live 20)
--seconds  how long each time (default 2)
--only     only operations whose name has this text
--at       how many requests at once (default 1,16)
--files    of uploads: how many at once (default 20), …
--mib      … how large each (default 256), …
--large-mib  … the one that is large (default 4096; 0: none of these) …
--round-mib  … and what is sent in a round (default 512)
--clips    of pipeline: which (default 1080p30,4k60; short is for a trial; none leaves them out), …
--workers  … with how many worker processes of one encoder each (default 0: one process does all), …
--others   … and how many videos of somebody else are queued (default 100; 0 leaves this out)
--sockets  of live: how many (default 10000), …
--faults   … and for how many seconds things break (default 30)
--without  of cache: names of caches, to measure each left out instead
--followers  of fanout: how many (default 1000000)
--videos   of search: how many (default 1000000)
--json     one line of JSON with every round's figures

commitChunks uses the disk store, or the S3 store that S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY name.
BENCH_NODE_OPTIONS is given to the measured Node servers: --cpu-prof, say. bench/README.md has more.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    files: { type: 'string', default: '20' },
    mib: { type: 'string', default: '256' },
    'large-mib': { type: 'string', default: '4096' },
    'round-mib': { type: 'string', default: '512' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string' },
    at: { type: 'string', default: '1,16' },
    clips: { type: 'string', default: '1080p30,4k60' },
    workers: { type: 'string', default: '0' },
    others: { type: 'string', default: '100' },
    sockets: { type: 'string', default: '10000' },
    faults: { type: 'string', default: '30' },
    followers: { type: 'string', default: '1000000' },
    without: { type: 'string', default: '' },
    videos: { type: 'string', default: '1000000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const suite = positionals[0];
if (
  values.help ||
  !['requests', 'delivery', 'uploads', 'early', 'pipeline', 'verdict', 'live', 'fanout', 'cache', 'search'].includes(
    suite ?? '',
  )
) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 1);
}

const options = {
  rounds: Number(
    values.rounds ??
      ({ uploads: 3, early: 3, pipeline: 5, search: 5, live: 20 } as Record<string, number>)[suite ?? ''] ??
      7,
  ),
  seconds: Number(values.seconds),
  only: values.only,
  at: values.at.split(',').map(Number),
};
// Also when it is broken off while its servers start.
const opening = Place.open();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void opening.then((place) => place.close()).finally(() => process.exit(1));
  });
}
const place = await opening;
try {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}`;
  const report = <Measured>(measured: Measured, tableOf: (measured: Measured) => string) =>
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ suite, machine, ...options, measured })}\n`
        : `${machine}\n\n${tableOf(measured)}\n`,
    );
  if (suite === 'uploads') {
    const sizes = {
      files: values.files,
      mib: values.mib,
      largeMib: values['large-mib'],
      roundMib: values['round-mib'],
    };
    const [files = 0, mib = 0, largeMib = 0, roundMib = 0] = Object.values(sizes).map(Number);
    report(await measureUploads(place, { ...options, files, mib, largeMib, roundMib }), uploadsTable);
  } else if (suite === 'early') report(await measureEarly(place, options), earlyTable);
  else if (suite === 'verdict') report(await measureVerdict(place, options), verdictTable);
  else if (suite === 'pipeline') {
    const clips = values.clips === 'none' ? [] : values.clips.split(',');
    const [workers, others] = [values.workers.split(',').map(Number), Number(values.others)];
    report(await measurePipeline(place, { ...options, clips, workers, others }), pipelineTable);
  } else if (suite === 'live') {
    const [sockets, faults] = [Number(values.sockets), Number(values.faults)];
    report(await measureLive(place, { ...options, sockets, faults }), liveTable);
  } else if (suite === 'fanout') {
    report(await measureFanout(place, { followers: Number(values.followers) }), fanoutTable);
  } else if (suite === 'search')
    report(await measureSearch(place, { ...options, videos: Number(values.videos) }), searchTable);
  else if (suite === 'cache')
    report(await measureCaches(place, { ...options, without: values.without.split(',').filter(Boolean) }), cachesTable);
  else if (suite === 'requests') report(await measureRequests(place, options), requestsTable);
  else report(await measureDelivery(place, options), deliveryTable);
} finally {
  await place.close();
}
process.exit(0);
