// The S3 stores that tests run on, built from their Go modules: neither is published as a binary that we could pin.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { giveUp } from './setup.mjs';

const STORES = {
  minio: { module: 'github.com/minio/minio', version: 'v0.0.0-20260212201848-7aac2a2c5b7c', minutes: 5 },
  versitygw: { module: 'github.com/versity/versitygw/cmd/versitygw', version: 'v1.8.0', minutes: 2 },
};
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sluice');

/** @returns the path of the store's binary, built once and kept in the user's cache */
export function ensureStore(name) {
  const { module, version, minutes } = STORES[name];
  const file = join(cache, `${name}-${version}`);
  if (existsSync(file)) return file;
  if (spawnSync('go', ['version']).status !== 0) {
    giveUp(`${name} is built from source, and that needs Go 1.26 or newer: https://go.dev/dl.`);
  }
  process.stderr.write(`Building ${name}, once: some ${minutes} minutes …\n`);
  const folder = join(cache, `build-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0' };
  const { status } = spawnSync('go', ['install', `${module}@${version}`], { env, stdio: ['ignore', 2, 2] });
  if (status !== 0) giveUp(`go install ${module}@${version} failed.`);
  renameSync(join(folder, name), file);
  rmSync(folder, { recursive: true });
  return file;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of process.argv.slice(2)) process.stdout.write(`${ensureStore(name)}\n`);
}
