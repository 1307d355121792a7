import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';

const SECRET = /^[0-9a-f]{64}$/;

/** The secret that `file` holds (64 hexadecimal digits); made, with mode 0600, where there is none. */
export async function secretIn(file: string): Promise<string> {
  try {
    const kept = (await readFile(file, 'utf8')).trim();
    if (!SECRET.test(kept)) throw new Error(`${file} holds no secret any more. Remove it, and a new one is made.`);
    return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const secret = randomBytes(32).toString('hex');
  await writeFile(`${file}.new`, secret, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
  return secret;
}
