import base from './jest.config.mjs';

/** `npm run test:deploy`: the real nginx on the edge's configuration, a real object store, Compose's own reading of its files. */
export default { ...base, testMatch: ['<rootDir>/test/deploy/*.deploy.ts'] };
