// Writes the table of options, which the code has, into README.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt, ensurePackages, root } from './setup.mjs';

ensurePackages();
ensureBuilt();
const { optionsTable } = await import('../dist/common/config/index.js');
const file = join(root, 'README.md');
const readme = readFileSync(file, 'utf8');
const marked = /(<!-- configuration -->\n)[\s\S]*?(<!-- \/configuration -->)/;
if (!marked.test(readme)) throw new Error('README.md has no <!-- configuration --> … <!-- /configuration -->.');
writeFileSync(
  file,
  readme.replace(marked, (_, start, end) => `${start}\n${optionsTable()}\n\n${end}`),
);
