import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identityOf, isRunning, type ProcessIdentity, stopLeftovers } from '../../src/embedded/index.js';

const PREFIX = 'sluice-test-';

/** A new folder for this process, that other accounts (PostgreSQL's, the sandbox's) may pass through. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), PREFIX));
  await chmod(folder, 0o711);
  await writeFile(join(folder, 'owner'), JSON.stringify(identityOf(process.pid)));
  return folder;
}

/** Removes what test runs that were killed left: folders and the servers that still run on them. */
export async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    const owner = await readFile(join(folder, 'owner'), 'utf8').catch(() => null);
    if (owner && !isRunning(JSON.parse(owner) as ProcessIdentity)) {
      await stopLeftovers(folder);
      await rm(folder, { recursive: true, force: true });
    }
  }
}
