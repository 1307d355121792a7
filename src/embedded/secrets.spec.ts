import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { secretIn } from './secrets.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-secrets-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('makes a secret once, for its owner alone', async () => {
  const file = join(folder, 'made');
  const secret = await secretIn(file);
  expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(await secretIn(file)).toBe(secret);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

it.each(['', 'abc'])('takes no damaged file (%j) for a secret: anybody could guess it', async (text) => {
  const file = join(folder, 'damaged');
  await writeFile(file, text);
  await expect(secretIn(file)).rejects.toThrow(file);
});
