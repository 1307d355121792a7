import base from './jest.config.mjs';

const kinds = process.env.FAULTS_LEDGER || process.env.FAULTS_PROCESS ? ['faults'] : ['slow', 's3', 'deploy'];

/**
 * `npm run test:slow`: what takes minutes, or needs nginx and stores that are built from source; one file at a time.
 * `npm run test:faults`: the same for the schedules that it draws.
 */
export default {
  ...base,
  testMatch: kinds.map((name) => `<rootDir>/test/${name}/*.${name}.ts`),
  maxWorkers: 1,
  testTimeout: 300_000,
};
