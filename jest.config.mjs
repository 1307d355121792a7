export default {
  rootDir: '.',
  testEnvironment: 'node',
  testMatch: ['<rootDir>/{src,client/src,web/src}/**/*.spec.{ts,tsx}', '<rootDir>/test/**/*.test.ts'],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  transform: { '\\.[cm]?[jt]sx?$': '<rootDir>/test/support/transform.cjs' },
  transformIgnorePatterns: [],
  testTimeout: 120_000,
  maxWorkers: '100%',
  // Kept-alive connections of `fetch` would hold the process for some seconds after the last test.
  forceExit: true,
};
