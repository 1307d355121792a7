#!/usr/bin/env node
import { existsSync } from 'node:fs';

const cli = new URL('../dist/node/cli.js', import.meta.url);
// A package brings it built; in a clone of the repository the first run builds it, `npm run build` renews it.
if (!existsSync(cli)) {
  const { ensureBuilt, ensurePackages } = await import('../../scripts/setup.mjs');
  ensurePackages();
  ensureBuilt({ parts: ['client'] });
}
const { main } = await import(cli.href);
process.exit(await main(process.argv.slice(2)));
