import { createHash, randomBytes } from 'node:crypto';
import { hasher } from './hashing.js';

test.each([
  0, 1, 55, 56, 63, 64, 65, 1_000, 1_048_575, 1_048_576, 1_048_577, 3_000_000,
])('SHA-256 of %i bytes, without WebCrypto and with it', async (sizeBytes) => {
  const bytes = randomBytes(sizeBytes);
  const expected = createHash('sha256').update(bytes).digest('hex');
  expect(await hasher(-1)(new Blob([bytes]))).toBe(expected);
  expect(await hasher()(new Blob([bytes]))).toBe(expected);
});

test('its source text stands for itself', async () => {
  const digest: (blob: Blob) => Promise<string> = new Function(`return (${hasher})(-1)`)();
  expect(await digest(new Blob(['abc']))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
