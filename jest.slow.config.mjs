import base from './jest.config.mjs';

/** `npm run test:slow`: what takes minutes, or needs nginx and stores that are built from source; one file at a time. */
export default {
  ...base,
  testMatch: ['slow', 's3', 'deploy'].map((name) => `<rootDir>/test/${name}/*.${name}.ts`),
  maxWorkers: 1,
  testTimeout: 300_000,
};
