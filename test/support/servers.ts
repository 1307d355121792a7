import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { identityOf, isRunning, type ProcessIdentity, stopLeftovers } from '../../src/embedded/index.js';

const PREFIX = 'sluice-test-';

/** Linux has it: files that need no disk. */
const MEMORY = '/dev/shm';

/**
 * A new folder for this process, that other accounts (PostgreSQL's, the sandbox's) may pass through.
 * @param options.inMemory where the system has that: for many small files whose durability is not what is tested
 */
export async function temporaryFolder({ inMemory = false } = {}): Promise<string> {
  const folder = await mkdtemp(join(inMemory && existsSync(MEMORY) ? MEMORY : tmpdir(), PREFIX));
  await chmod(folder, 0o711);
  await writeFile(join(folder, 'owner'), JSON.stringify(identityOf(process.pid)));
  return folder;
}

/** Removes what test runs that were killed left: folders and the servers that still run on them. */
export async function removeLeftovers(): Promise<void> {
  const places = [tmpdir(), ...(existsSync(MEMORY) ? [MEMORY] : [])];
  const found = await Promise.all(places.map(async (place) => (await readdir(place)).map((name) => join(place, name))));
  for (const folder of found.flat()) {
    if (!basename(folder).startsWith(PREFIX)) continue;
    const owner = await readFile(join(folder, 'owner'), 'utf8').catch(() => null);
    if (owner && !isRunning(JSON.parse(owner) as ProcessIdentity)) {
      await stopLeftovers(folder);
      await rm(folder, { recursive: true, force: true });
    }
  }
}
