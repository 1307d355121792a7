// Compose itself, for its `config`: built from its Go module once, since a machine that tests has no Docker.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { giveUp } from './setup.mjs';

const MODULE = 'github.com/docker/compose/v5@v5.5.1';
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sluice');

/** @returns the path of `docker-compose` */
export function ensureCompose() {
  const file = join(cache, `docker-compose-${MODULE.split('@')[1]}`);
  if (existsSync(file)) return file;
  if (spawnSync('go', ['version']).status !== 0) {
    giveUp('Compose is built from source, and that needs Go 1.26.3 or newer: https://go.dev/dl.');
  }
  process.stderr.write('Building Compose, once: 2 minutes and more …\n');
  mkdirSync(cache, { recursive: true });
  // Its go.mod excludes versions, which `go install` refuses to follow for a module that is not the main one.
  const { Dir } = JSON.parse(execFileSync('go', ['mod', 'download', '-json', MODULE], { encoding: 'utf8' }));
  const made = `${file}-${process.pid}`;
  const { status } = spawnSync('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', made, './cmd'], {
    cwd: Dir,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' },
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) giveUp(`${MODULE} could not be built.`);
  renameSync(made, file);
  return file;
}
