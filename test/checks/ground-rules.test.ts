import { sources, textOf } from './sources.js';

const CODE = ['src/*.ts', 'web/*.ts', 'web/*.tsx'];

/** Also what the linter's rule does not see: imports of `env`, and `process` taken apart. */
const READS_ENVIRONMENT = /\bprocess\s*(?:\.\s*env\b|\[)|from\s+'(?:node:)?process'|=\s*process\s*[;,)]/;

test.each([
  'const a = process.env.PORT;',
  "process['env']",
  "import { env } from 'node:process';",
  'const { env } = process;',
])('%s reads the environment', (line) => {
  expect(READS_ENVIRONMENT.test(line)).toBe(true);
});

test('the environment is read in one place', () => {
  const readers = sources(...CODE).filter((path) => READS_ENVIRONMENT.test(textOf(path)));
  expect(readers.filter((path) => !path.startsWith('src/common/config/'))).toEqual([]);
});

test('nothing swallows a failure, and no test is left out', () => {
  const swallows = /\.catch\(\s*(?:\(\s*\w*\s*\)|\w+)\s*=>\s*(?:\{\s*\}|undefined)\s*\)|catch\s*(?:\(\w+\)\s*)?\{\s*\}/;
  const skips = /\b(?:it|test|describe)\.(?:skip|only|todo|failing)\b|\bx(?:it|test|describe)\(/;
  const own = sources('*.ts', '*.tsx', '*.mjs').filter((path) => path !== 'test/checks/ground-rules.test.ts');
  expect(own.filter((path) => swallows.test(textOf(path)))).toEqual([]);
  expect(own.filter((path) => skips.test(textOf(path)))).toEqual([]);
});

test('nothing names the machine that it was written on', () => {
  // Absolute paths of homes and work folders, and addresses in the lock file, which would tie an install to one registry.
  const homes = /(?:^|[\s"'`(=:])\/(?:home|Users|root|work|workspace)\/[\w.-]/m;
  const text = sources(
    '*.ts',
    '*.tsx',
    '*.mjs',
    '*.cjs',
    '*.json',
    '*.md',
    '*.sql',
    '*.html',
    '*.css',
    '.*',
    'scripts/*',
  );
  const exempt = ['test/checks/ground-rules.test.ts', 'package-lock.json'];
  expect(text.filter((path) => !exempt.includes(path) && homes.test(textOf(path)))).toEqual([]);
  expect(textOf('package-lock.json')).not.toMatch(/"resolved"/);
});

test('unfinished work has no place', () => {
  const marks = /\b(?:TODO|FIXME|XXX|HACK)\b/;
  const own = sources('src', 'web', 'test', 'scripts', 'bench', 'migrations', 'docs');
  expect(own.filter((path) => path !== 'test/checks/ground-rules.test.ts' && marks.test(textOf(path)))).toEqual([]);
});
