import { createHash, randomBytes } from 'node:crypto';
import files from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DiskStorage } from '../../src/modules/storage/disk-storage.js';
import { temporaryFolder } from '../support/index.js';

/** What a power cut leaves is what was synced, in the order in which it was: an acknowledged object is all there. */

let root: string;
let storage: DiskStorage;
const steps: string[] = [];

beforeAll(async () => {
  root = await temporaryFolder();
  storage = new DiskStorage({ root, publicUrl: 'http://localhost', signingSecret: '' });
  await storage.prepare();
  const { open, rename } = files;
  jest.spyOn(files, 'open').mockImplementation(async (path, ...rest) => {
    const file = await open(path, ...rest);
    const { sync } = file;
    const writev = file.writev.bind(file);
    file.sync = async () => {
      await sync.call(file);
      steps.push(`sync ${path}`);
    };
    file.writev = (buffers, position) => {
      steps.push(`write ${path}`);
      return writev(buffers, position);
    };
    return file;
  });
  jest.spyOn(files, 'rename').mockImplementation(async (from, to) => {
    await rename(from, to);
    steps.push(`rename ${from} ${to}`);
  });
});
afterAll(async () => {
  jest.restoreAllMocks();
  await files.rm(root, { recursive: true });
});
beforeEach(() => steps.splice(0));

/** The places of these steps among all, which must be there in this order. */
function inOrder(...wanted: string[]): void {
  const found = wanted.map((one) => steps.lastIndexOf(one));
  expect({ wanted, found, steps }).toEqual({ wanted, found: [...found].sort((a, b) => a - b), steps });
  expect(found).not.toContain(-1);
}

it('has its bytes, then its name, then the folders around it, on the disk before the put is acknowledged', async () => {
  const bytes = randomBytes(100_000);
  const digest = createHash('sha256').update(bytes).digest('hex');
  await storage.put('incoming/a/b', bytes);
  const leaf = storage.localPath('incoming/a/b')?.slice(0, -digest.length - 1) as string;
  const scratch = dirname(steps.find((step) => step.startsWith('write '))?.slice('write '.length) as string);
  const file = join(scratch, 'bytes');
  inOrder(
    `write ${file}`,
    `sync ${file}`,
    `rename ${file} ${join(scratch, digest)}`,
    `sync ${scratch}`,
    `rename ${scratch} ${leaf}`,
    `sync ${dirname(leaf)}`,
    `sync ${dirname(dirname(leaf))}`,
    `sync ${join(root, 'objects')}`,
  );
});

it('is gone from the disk before its deletion is acknowledged', async () => {
  await storage.put('incoming/c/d', randomBytes(10));
  steps.splice(0);
  await storage.delete(['incoming/c/d']);
  expect(steps).toContain(`sync ${join(root, 'objects')}`);
});
