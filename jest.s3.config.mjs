import base from './jest.config.mjs';

/** `npm run test:s3`: on real S3 stores. One file at a time: each starts stores and measures what they do. */
export default { ...base, testMatch: ['<rootDir>/test/s3/*.s3.ts'], maxWorkers: 1 };
