import { createHash, randomBytes } from 'node:crypto';
import { hashing } from './hashing.js';

test.each([
  0, 1, 55, 56, 63, 64, 65, 1_000, 1_048_575, 1_048_576, 1_048_577, 3_000_000,
])('SHA-256 of %i bytes, without WebCrypto and with it', async (sizeBytes) => {
  const { digest } = hashing();
  const bytes = randomBytes(sizeBytes);
  const expected = createHash('sha256').update(bytes).digest('hex');
  expect(await digest(new Blob([bytes]), -1)).toBe(expected);
  expect(await digest(new Blob([bytes]))).toBe(expected);
});
