import base from './jest.config.mjs';

/** `npm run test:s3`: against the store that S3_TEST_ENDPOINT, S3_TEST_ACCESS_KEY and S3_TEST_SECRET_KEY name. */
const { globalSetup: _, globalTeardown: __, ...rest } = base;
export default { ...rest, testMatch: ['<rootDir>/test/s3/*.s3.ts'], testTimeout: 60_000 };
