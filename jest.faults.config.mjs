import slow from './jest.slow.config.mjs';

/** `npm run test:faults`: as many seeded schedules as are asked for. */
export default { ...slow, testMatch: ['<rootDir>/test/faults/*.faults.ts'] };
