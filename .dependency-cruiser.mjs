/**
 * Who may import whom. A module imports modules of lower rank only, through their index.ts only (see
 * CONTRIBUTING.md). What must flow upward is an event, or a resolver that extends a type from below.
 */
export const RANKS = [
  ['storage'],
  ['media'],
  ['users'],
  ['auth'],
  ['channels'],
  ['videos'],
  ['subscriptions'],
  ['uploads'],
  ['transcoding'],
  ['streaming'],
  ['captions', 'comments', 'playlists', 'views'],
  ['search', 'notifications', 'analytics', 'moderation'],
  ['feeds', 'recommendations'],
];

const any = (names) => `(?:${names.join('|')})`;
const known = RANKS.flat();

/** One rule a module: whatever has its rank or a higher one is out of its reach. */
const ranks = RANKS.flatMap((peers, rank) =>
  peers.map((module) => ({
    name: `rank-of-${module}`,
    comment: `${module} imports only what is left of it: ${RANKS.slice(0, rank).flat().join(', ') || 'common'}`,
    severity: 'error',
    from: { path: `^src/modules/${module}/` },
    to: { path: `^src/modules/${any(RANKS.slice(rank).flat())}/`, pathNot: `^src/modules/${module}/` },
  })),
);

export default {
  forbidden: [
    ...ranks,
    {
      name: 'module-without-rank',
      comment: 'A new module is entered in RANKS first.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^src/modules/', pathNot: `^src/modules/${any(known)}/` },
    },
    {
      name: 'module-through-its-index',
      comment: 'What a module offers to other modules is in its index.ts.',
      severity: 'error',
      from: { path: '^src/modules/([^/]+)/' },
      to: { path: '^src/modules/', pathNot: ['^src/modules/[^/]+/index\\.ts$', '^src/modules/$1/'] },
    },
    {
      name: 'module-from-outside',
      comment: 'What a module offers to the application is in its index.ts.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/modules/' },
      to: { path: '^src/modules/', pathNot: '^src/modules/[^/]+/index\\.ts$' },
    },
    {
      name: 'common-through-its-index',
      comment: 'What a part of common offers to other parts is in its index.ts.',
      severity: 'error',
      from: { path: '^src/common/([^/]+)/' },
      to: { path: '^src/common/', pathNot: ['^src/common/[^/]+/index\\.ts$', '^src/common/$1/'] },
    },
    {
      name: 'common-from-outside',
      comment:
        'What a part of common offers to the rest is in its index.ts. main.ts migrates while Nest is still loading.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/common/' },
      to: {
        path: '^src/common/',
        pathNot: ['^src/common/[^/]+/index\\.ts$', '^src/common/database/migrations\\.ts$'],
      },
    },
    {
      name: 'common-knows-no-module',
      severity: 'error',
      from: { path: '^src/common/' },
      to: { path: '^src/(?:modules/|app\\.module|main|cli)' },
    },
    {
      name: 'modules-know-no-application',
      severity: 'error',
      from: { path: '^src/(?:common|modules)/' },
      to: { path: '^src/(?:[^/]+\\.ts$|embedded/|commands/)' },
    },
    { name: 'no-cycle', severity: 'error', from: { path: '^(?:src|web|client)/' }, to: { circular: true } },
    {
      name: 'policy-is-pure',
      comment: 'A policy decides from its arguments alone.',
      severity: 'error',
      from: { path: '\\.policy\\.ts$' },
      to: { path: 'node_modules/(?:@nestjs|typeorm|pg|ioredis|bull)/' },
    },
    {
      name: 'product-stands-alone',
      comment: 'What runs in production needs no test, script or page.',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^(?:test|scripts|bench|web|client)/' },
    },
    {
      name: 'product-dependencies',
      comment: 'What runs in production is installed in production, and named in package.json.',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.spec\\.ts$' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'clients-know-no-server',
      comment: 'The pages and the client speak the public API alone.',
      severity: 'error',
      from: { path: '^(?:web|client)/', pathNot: '\\.spec\\.tsx?$' },
      to: { path: '^(?:src|test|scripts)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
