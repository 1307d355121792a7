import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { deliveryTable, measureDelivery } from './delivery.js';
import { Place } from './place.js';
import { measureRequests, requestsTable } from './requests.js';

const HELP = `npm run bench -- requests | delivery [--rounds N] [--seconds N] [--only TEXT] [--at N,N] [--json]

requests   processor time and latency of the server for { __typename }, a list of 20 videos and commitChunks of 100 chunks,
           beside a bare Nest + Apollo + Fastify server with the same SQL and beside node:http + pg
delivery   segments of 1 MB per second of processor time from the application and from the edge, beside nginx with the files

--rounds   how often each is measured, in random order (default 7)
--seconds  how long each time (default 2)
--only     only operations whose name has this text
--at       how many requests at once (default 1,16)
--json     one line of JSON with every round's figures

commitChunks uses the disk store, or the S3 store that S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY name.
BENCH_NODE_OPTIONS is given to the measured Node servers: --cpu-prof, say. bench/README.md has more.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string' },
    at: { type: 'string', default: '1,16' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const suite = positionals[0];
if (values.help || (suite !== 'requests' && suite !== 'delivery')) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 1);
}

const options = {
  rounds: Number(values.rounds),
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
  const report = <Measured>(measured: Measured[], tableOf: (measured: Measured[]) => string) =>
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ suite, machine, ...options, measured })}\n`
        : `${machine}\n\n${tableOf(measured)}\n`,
    );
  if (suite === 'requests') report(await measureRequests(place, options), requestsTable);
  else report(await measureDelivery(place, options), deliveryTable);
} finally {
  await place.close();
}
process.exit(0);
