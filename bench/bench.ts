import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { cachesTable, measureCaches } from './cache.js';
import { deliveryTable, measureDelivery } from './delivery.js';
import { earlyTable, measureEarly } from './early.js';
import { fanoutTable, measureFanout } from './fanout.js';
import { hostileTable, measureHostile } from './hostile.js';
import { liveTable, measureLive } from './live.js';
import { loginsTable, measureLogins } from './logins.js';
import { measurePipeline, pipelineTable } from './pipeline.js';
import { Place } from './place.js';
import { measureRequests, requestsTable } from './requests.js';
import { measureSearch, searchTable } from './search.js';
import { measureUploads, uploadsTable } from './uploads.js';
import { measureVerdict, verdictTable } from './verdict.js';
import { measureViews, viewsTable } from './views.js';

const HELP = `npm run bench -- NAME [--rounds N] [--seconds N] [--only TEXT] [--at N,N] [--json]

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
views      a burst of views on ten videos, with the server killed in its midst: whether all are counted, how many a second, and rows
           written for each, beside a row for each view
cache      processor time of the server, PostgreSQL and Redis for what a crowd asks for that is not signed in, by the layers of the
           caches: none, in the process, in Redis, both
search     titles, titles with a typo and words of many titles, in a corpus with known answers: milliseconds at four at once and
           recall, beside MiniSearch with the same titles; and a crawler that asks for hidden videos
hostile    processor time of the server to refuse each of the hostile documents of the tests, over HTTP, WebSocket and SSE,
           beside what graphql-js needs for them without limits
logins     how many passwords are looked at of 5,000 that are guessed by aliases, sockets and addresses, and whether the time of the
           answer tells that there is an account

--rounds   how often each is measured, in random order (default 7; of uploads, early and hostile 3, of pipeline and search 5, of live 20)
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
--followers  of fanout: how many (default 1000000)
--videos   of search: how many (default 1000000)
--views    of views: how many (default 1000000)
--guesses  of logins: how many (default 5000), …
--pairs    … and how many of a known and of an unknown account are timed (default 500)
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
    videos: { type: 'string', default: '1000000' },
    views: { type: 'string', default: '1000000' },
    guesses: { type: 'string', default: '5000' },
    pairs: { type: 'string', default: '500' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
/** Of those that differ from the others. */
const ROUNDS: Record<string, number> = { uploads: 3, early: 3, hostile: 3, pipeline: 5, search: 5, live: 20 };
const suite = positionals[0] ?? '';
const options = {
  rounds: Number(values.rounds ?? ROUNDS[suite] ?? 7),
  seconds: Number(values.seconds),
  only: values.only,
  at: values.at.split(',').map(Number),
};
const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}`;

const suiteOf =
  <Measured>(measure: (place: Place) => Promise<Measured>, tableOf: (measured: Measured) => string) =>
  async (place: Place): Promise<string> => {
    const measured = await measure(place);
    return values.json
      ? `${JSON.stringify({ suite, machine, ...options, measured })}\n`
      : `${machine}\n\n${tableOf(measured)}\n`;
  };
const suites: Record<string, (place: Place) => Promise<string>> = {
  requests: suiteOf((place) => measureRequests(place, options), requestsTable),
  delivery: suiteOf((place) => measureDelivery(place, options), deliveryTable),
  uploads: suiteOf((place) => {
    const { files, mib, 'large-mib': largeMib, 'round-mib': roundMib } = values;
    const sizes = { files: Number(files), mib: Number(mib), largeMib: Number(largeMib), roundMib: Number(roundMib) };
    return measureUploads(place, { ...options, ...sizes });
  }, uploadsTable),
  early: suiteOf((place) => measureEarly(place, options), earlyTable),
  pipeline: suiteOf((place) => {
    const clips = values.clips === 'none' ? [] : values.clips.split(',');
    const [workers, others] = [values.workers.split(',').map(Number), Number(values.others)];
    return measurePipeline(place, { ...options, clips, workers, others });
  }, pipelineTable),
  verdict: suiteOf((place) => measureVerdict(place, options), verdictTable),
  live: suiteOf(
    (place) => measureLive(place, { ...options, sockets: Number(values.sockets), faults: Number(values.faults) }),
    liveTable,
  ),
  fanout: suiteOf((place) => measureFanout(place, { followers: Number(values.followers) }), fanoutTable),
  views: suiteOf((place) => measureViews(place, { views: Number(values.views) }), viewsTable),
  cache: suiteOf((place) => measureCaches(place, options), cachesTable),
  search: suiteOf((place) => measureSearch(place, { ...options, videos: Number(values.videos) }), searchTable),
  hostile: suiteOf((place) => measureHostile(place, options), hostileTable),
  logins: suiteOf(
    (place) => measureLogins(place, { guesses: Number(values.guesses), pairs: Number(values.pairs) }),
    loginsTable,
  ),
};
const chosen = suites[suite];
if (values.help || !chosen) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 1);
}

/** A million videos, their rows and what finds them are two thirds of this. */
const SHARED_BUFFERS: Record<string, string> = { search: '1GB' };
// Also when it is broken off while its servers start.
const opening = Place.open(SHARED_BUFFERS[suite]);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void opening.then((place) => place.close()).finally(() => process.exit(1));
  });
}
const place = await opening;
try {
  process.stdout.write(await chosen(place));
} finally {
  await place.close();
}
process.exit(0);
