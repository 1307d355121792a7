import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const MOST = 15_000;

test('the client for browsers, hashing and all, is small', () => {
  const file = join(import.meta.dirname, '../../client/dist/browser/sluice.js');
  const source = readFileSync(file, 'utf8');
  const bytes = gzipSync(source, { level: 9 }).length;
  process.stderr.write(`client/dist/browser/sluice.js: ${bytes} bytes gzipped, of ${MOST} at most.\n`);
  expect(bytes).toBeLessThanOrEqual(MOST);
  // It is one file, and loads nothing from anywhere.
  expect(source).not.toMatch(/\bfrom\s*["'`]|\bimport\s*\(/);
});
