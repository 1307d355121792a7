import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identityOf, isRunning, type ProcessIdentity } from './process-identity.js';

interface Holder extends ProcessIdentity {
  /** Where it answers. */
  readonly url: string;
}

export class DataDirHeld extends Error {
  constructor(
    readonly dataDir: string,
    readonly holder: { readonly pid: number; readonly url: string },
  ) {
    super(
      `${dataDir} is in use: Sluice runs on it with process id ${holder.pid}, at ${holder.url}. Stop that one first, or set another DATA_DIR.`,
    );
    this.name = 'DataDirHeld';
  }
}

/**
 * Makes this process the only one that runs embedded servers on `dataDir`; what a crashed one left is taken over.
 *
 * `lock/` holds one numbered file for each holder, and the highest number has it. A number is taken by exclusive
 * creation, so of two that find a dead holder only one can follow it, and no file that may be alive is ever removed.
 *
 * @returns what gives it back
 * @throws DataDirHeld
 */
export async function lockDataDir(dataDir: string, url: string): Promise<() => Promise<void>> {
  const folder = join(dataDir, 'lock');
  await mkdir(folder, { recursive: true });
  const me = JSON.stringify({ ...identityOf(process.pid), url });
  for (;;) {
    const highest = Math.max(0, ...(await numbersIn(folder)));
    if (highest > 0) {
      const holder = await holderIn(join(folder, String(highest)));
      if (holder && isRunning(holder)) throw new DataDirHeld(dataDir, holder);
    }
    const mine = join(folder, String(highest + 1));
    try {
      await writeFile(mine, me, { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    const others = (await numbersIn(folder)).filter((number) => number !== highest + 1);
    if (others.every((number) => number <= highest)) {
      for (const number of others) await rm(join(folder, String(number)), { force: true });
      return () => rm(mine, { force: true });
    }
    await rm(mine, { force: true });
  }
}

/** Who runs on `dataDir`, if anybody does. */
export async function holderOf(dataDir: string): Promise<{ pid: number; url: string } | null> {
  const folder = join(dataDir, 'lock');
  const highest = Math.max(0, ...(await numbersIn(folder)));
  const holder = highest > 0 ? await holderIn(join(folder, String(highest))) : null;
  return holder && isRunning(holder) ? holder : null;
}

async function numbersIn(folder: string): Promise<number[]> {
  try {
    return (await readdir(folder)).map(Number).filter(Number.isSafeInteger);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** A file is there a moment before its content is; one that stays without was left by a crash. */
async function holderIn(file: string): Promise<Holder | null> {
  for (let tries = 0; tries < 20; tries++) {
    try {
      const text = await readFile(file, 'utf8');
      if (text !== '') return JSON.parse(text) as Holder;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    await pause(25);
  }
  return null;
}
