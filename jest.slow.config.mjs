import base from './jest.config.mjs';

/** `npm run test:slow`: what takes minutes, one file at a time. */
export default { ...base, testMatch: ['<rootDir>/test/slow/*.slow.ts'], maxWorkers: 1, testTimeout: 300_000 };
