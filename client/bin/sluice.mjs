#!/usr/bin/env node
import { existsSync } from 'node:fs';

// In a clone of the repository it is built as it is needed; a package brings it built.
const setup = new URL('../../scripts/setup.mjs', import.meta.url);
if (existsSync(setup)) {
  const { ensureBuilt, ensurePackages } = await import(setup.href);
  ensurePackages();
  ensureBuilt({ parts: ['client'] });
}
const { main } = await import(new URL('../dist/node/cli.js', import.meta.url).href);
process.exit(await main(process.argv.slice(2)));
