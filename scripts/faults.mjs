import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './setup.mjs';

const { values } = parseArgs({
  options: {
    ledger: { type: 'string' },
    process: { type: 'string' },
    pipeline: { type: 'string' },
    seed: { type: 'string' },
    trace: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
if (values.help || (!values.ledger && !values.process && !values.pipeline)) {
  process.stdout.write(`npm run test:faults -- --ledger 5000 --process 100 --pipeline 100

Uploads and processing under faults, as many schedules as are asked for. Each is drawn from its seed, and prints it when a promise was broken.

  --ledger N     clients, workers and the collector on one small upload, interleaved statement by statement
  --process N    servers, PostgreSQL, Redis, the store and the link fail while the client uploads a video
  --pipeline N   workers are killed and stopped at marked points of the processing of a video, and PostgreSQL, Redis, the store
                 and encoders fail meanwhile
  --seed S       the first seed (1): with N = 1 that schedule alone
  --trace        tells what each schedule does
`);
  process.exit(values.help ? 0 : 2);
}
const files = Object.entries({ ledger: values.ledger, process: values.process, pipeline: values.pipeline }).filter(
  ([, count]) => count,
);
const jest = spawn(
  process.execPath,
  [
    join(root, 'scripts/test.mjs'),
    ...['--config', 'jest.faults.config.mjs'],
    ...files.map(([name]) => `test/faults/${name}.faults.ts`),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      ...(values.ledger && { FAULTS_LEDGER: values.ledger }),
      ...(values.process && { FAULTS_PROCESS: values.process }),
      ...(values.pipeline && { FAULTS_PIPELINE: values.pipeline }),
      ...(values.seed && { FAULTS_SEED: values.seed }),
      ...(values.trace && { FAULTS_TRACE: '1' }),
    },
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => jest.kill(signal));
jest.on('exit', (code, signal) => process.exit(signal ? 1 : code));
