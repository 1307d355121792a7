import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const ROOT = resolve(__dirname, '../..');
const CRUISER = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
const CONFIG = join(ROOT, '.dependency-cruiser.mjs');

interface Violation {
  rule: { name: string };
  from: string;
  to: string;
}

/** What the linter finds in a project that has these files. */
async function violationsOf(files: Record<string, string>): Promise<string[]> {
  const project = mkdtempSync(join(tmpdir(), 'sluice-ranks-'));
  try {
    const all = {
      'package.json': '{"type":"module","dependencies":{"typeorm":"1"},"devDependencies":{"jest":"1"}}',
      'tsconfig.json': '{}',
      'node_modules/typeorm/package.json': '{"name":"typeorm","main":"index.js"}',
      'node_modules/typeorm/index.js': '',
      'node_modules/jest/package.json': '{"name":"jest","main":"index.js"}',
      'node_modules/jest/index.js': '',
      'web/src/page.ts': '',
      ...files,
    };
    for (const [path, text] of Object.entries(all)) {
      mkdirSync(join(project, dirname(path)), { recursive: true });
      writeFileSync(join(project, path), text);
    }
    const run = promisify(execFile)(
      process.execPath,
      [CRUISER, '--config', CONFIG, '--output-type', 'json', 'src', 'web'],
      { cwd: project },
    );
    // It exits with the number of violations; what it found is on stdout all the same.
    const { stdout } = await run.catch((error: { stdout: string }) => error);
    const { summary } = JSON.parse(stdout) as { summary: { violations: Violation[] } };
    return summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`).sort();
  } finally {
    rmSync(project, { recursive: true });
  }
}

/** A file, what it imports, and the rule that this breaks. */
const PLANTED: [from: string, to: string, rule: string][] = [
  ['src/modules/videos/high.ts', '../uploads/index.js', 'rank-of-videos'],
  ['src/modules/comments/peer.ts', '../playlists/index.js', 'rank-of-comments'],
  ['src/modules/uploads/inner.ts', '../videos/inner.js', 'module-through-its-index'],
  ['src/app.module.ts', './modules/videos/inner.js', 'module-from-outside'],
  ['src/common/live/inner.ts', '../jobs/inner.js', 'common-through-its-index'],
  ['src/cli.ts', './common/jobs/inner.js', 'common-from-outside'],
  ['src/common/live/module.ts', '../../modules/videos/index.js', 'common-knows-no-module'],
  ['src/modules/users/application.ts', '../../main.js', 'modules-know-no-application'],
  ['src/novelty.ts', './modules/novelties/index.js', 'module-without-rank'],
  ['src/modules/users/users.policy.ts', 'typeorm', 'policy-is-pure'],
  ['src/page.ts', '../web/src/page.js', 'product-stands-alone'],
  ['src/development.ts', 'jest', 'product-dependencies'],
  ['web/src/server.ts', '../../src/main.js', 'clients-know-no-server'],
];
const FINE: [from: string, to: string][] = [
  ['src/common/live/index.ts', '../jobs/index.js'],
  ['src/modules/storage/disk.ts', '../../common/jobs/index.js'],
  ['src/modules/storage/index.ts', './disk.js'],
  ['src/modules/streaming/index.ts', '../videos/index.js'],
  ['src/main.ts', './modules/streaming/index.js'],
  ['src/data.ts', 'typeorm'],
  ['web/src/other.ts', './page.js'],
];

test('each rule finds what is planted for it, a cycle of types too, and nothing else', async () => {
  const empty = ['common/jobs', 'modules/videos', 'modules/uploads', 'modules/playlists', 'modules/novelties'].map(
    (folder) => `src/${folder}`,
  );
  const found = await violationsOf({
    ...Object.fromEntries(
      empty.flatMap((folder) => [`${folder}/index.ts`, `${folder}/inner.ts`].map((path) => [path, ''])),
    ),
    ...Object.fromEntries([...FINE, ...PLANTED].map(([from, to]) => [from, `import '${to}';\n`])),
    'src/common/live/a.ts': "import type { B } from './b.js';\nexport type A = B;\n",
    'src/common/live/b.ts': "import type { A } from './a.js';\nexport type B = A;\n",
  });
  const planted = PLANTED.map(([from, , rule]) => `${rule}: ${from}`);
  expect(found).toEqual([...planted, 'no-cycle: src/common/live/a.ts'].sort());
});

test('every module of the repository has a rank', async () => {
  const { RANKS } = (await import(CONFIG)) as { RANKS: string[][] };
  const modules = readdirSync(join(ROOT, 'src/modules'));
  expect(modules.filter((name) => !RANKS.flat().includes(name))).toEqual([]);
});
